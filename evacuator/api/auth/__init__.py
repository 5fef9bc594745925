"""Who asks: a file for each ``[api] auth_strategy``."""

from collections.abc import Callable, Mapping
from typing import Protocol

from oslo_config import cfg

from evacuator.api.http import Request
from evacuator.context import RequestContext


class Authenticator(Protocol):
    """Finds out who asks."""

    def __call__(self, request: Request) -> RequestContext:
        """Return the caller's identity: always with a user and a project, with roles, and with the request's id.

        :raises Unauthenticated: nobody knows who it is.
        :raises Forbidden: it is somebody who has no project here.
        """


def _noauth(_conf: cfg.ConfigOpts) -> Authenticator:
    from evacuator.api.auth.noauth import noauth  # noqa: PLC0415 - only what is configured is imported

    return noauth


def _http_basic(conf: cfg.ConfigOpts) -> Authenticator:
    from evacuator.api.auth.http_basic import HttpBasic  # noqa: PLC0415

    return HttpBasic.from_conf(conf)


def _keystone(conf: cfg.ConfigOpts) -> Authenticator:
    from evacuator.api.auth.keystone import Keystone  # noqa: PLC0415

    return Keystone.from_conf(conf)


STRATEGIES: Mapping[str, Callable[[cfg.ConfigOpts], Authenticator]] = {
    "noauth": _noauth,
    "http_basic": _http_basic,
    "keystone": _keystone,
}


def authenticator_of(conf: cfg.ConfigOpts) -> Authenticator:
    """Make what ``[api] auth_strategy`` names.

    :raises NotConfigured: it lacks what it needs.
    """
    return STRATEGIES[conf.api.auth_strategy](conf)
