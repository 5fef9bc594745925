"""All options in one place: ``register_all`` for the commands, ``list_opts`` for ``oslo-config-generator``."""

from collections.abc import Sequence

from oslo_config import cfg

from evacuator.conf import api, compute, database, encryption, glance, libvirt, notifications, rpc, simulated

Section = tuple[cfg.OptGroup | None, Sequence[cfg.Opt]]

_MODULES = (api, compute, database, encryption, glance, libvirt, notifications, rpc, simulated)


def list_opts() -> list[Section]:
    """Return every option by its group; None is ``[DEFAULT]``."""
    sections: list[Section] = [(module.GROUP, module.OPTS) for module in _MODULES]
    return [(None, compute.DEFAULT_OPTS), *sections]


def register_all(conf: cfg.ConfigOpts) -> None:
    """Register every option with ``conf``; a second time changes nothing."""
    for module in _MODULES:
        module.register(conf)
