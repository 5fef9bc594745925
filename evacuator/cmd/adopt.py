"""``evacuator adopt``: take guests that exist already under management."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from oslo_config import cfg

from evacuator.cmd import state_dir, wiring
from evacuator.cmd.options import add_config_file
from evacuator.conf.libvirt import host_sections, require_section_for
from evacuator.context import RequestContext
from evacuator.db import census, schema
from evacuator.engine import adopt as adopting
from evacuator.engine.adopt import ExistingGuest
from evacuator.engine.engine import Engine, Rules
from evacuator.errors import DatabaseRefuses, DatabaseUnavailable, EvacuatorError, NotConfigured
from evacuator.evacuation.destination import Room

if TYPE_CHECKING:
    from evacuator.virt.libvirt.adoption import Adoption, Found

#: Whose guests are that nobody said it of.
PROJECT = "admin"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "adopt",
        help="take guests that exist already under management",
        description="Take domains that libvirt has on a host under management, so that they can be evacuated. One that "
        "another host could not run (local disks, devices of its host) is left alone, and the reason is shown. Of a "
        "domain only its metadata and its autostart are changed. Again for one that is adopted: its definition is read "
        "anew, after it was edited. Exit status: 0 when all that were asked for are adopted.",
    )
    add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and ask no database")
    parser.add_argument(
        "--project", help=f"the project that they belong to ({PROJECT}); one that is adopted already stays in its own"
    )
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say on which host, and which of its domains."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="names or ids of domains")
    parser.add_argument("--all", action="store_true", help="every domain of the host")
    parser.add_argument("--host", metavar="H", required=True, help="the host's name in the services API")
    parser.add_argument(
        "--state-dir",
        metavar="D",
        type=Path,
        help="where all-in-one keeps its database, unless one is configured; all-in-one must not run meanwhile",
    )
    add_config_file(parser)


def run(args: argparse.Namespace) -> int:
    """Adopt, and say what became of each domain."""
    with adoption_of(args.host) as adoption:
        chosen = choose(adoption.survey(), args.names, every=args.all)
        if args.dry_run:
            return 0 if all([_show(found) for found in chosen]) else 1  # noqa: C419 - every one
        with engine_of(args.host, args.state_dir) as engine:
            driver = wiring.driver_of(cfg.CONF, args.host, None)
            try:
                adopting.register_node(engine, args.host, asdict(driver.facts()))
            finally:
                driver.close()
            taken = [_adopt(engine, adoption, args, found) for found in chosen]
    return 0 if all(taken) else 1


def _show(found: "Found") -> bool:
    """Say what would become of a domain; no database is needed for that."""
    if found.obstacles:
        print(f"{found.name}: cannot be adopted")
        _print_each(found.obstacles)
        return False
    print(f"{found.name}: {'is adopted' if found.marked else 'can be adopted'}")
    _print_each(found.notes)
    return True


def _adopt(engine: Engine, adoption: "Adoption", args: argparse.Namespace, found: "Found") -> bool:
    if found.obstacles:
        print(f"{found.name}: not adopted")
        _print_each(found.obstacles)
        return False
    context = RequestContext(user_id="admin", project_id=args.project or PROJECT, is_admin=True)
    room = Room(found.vcpus, found.memory_mb, found.disk_gb)
    try:
        taken = adoption.take(found.uuid, f"adopted into {args.host}")
        guest = ExistingGuest(found.uuid, found.name, room, found.power_state, taken.definition, taken.key_ids)
        outcome = adopting.adopt_guest(engine, context, args.host, guest, args.project)
    except EvacuatorError as error:
        if isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseRefuses):
            # It may have been adopted all the same, and libvirt must not start it by itself then.
            print(f"{found.name}: nobody knows whether it is adopted; adopt it again")
            _print_each([str(error)])
            return False
        print(f"{found.name}: not adopted")
        _print_each([str(error), *([] if found.marked else _let_go(adoption, found))])
        return False
    print(f"{found.name}: {outcome} ({found.uuid})")
    _print_each(found.notes)
    return True


def _let_go(adoption: "Adoption", found: "Found") -> list[str]:
    """Give back what was taken of a domain that is not adopted; return what to do where that fails."""
    try:
        adoption.let_go(found.uuid)
    except EvacuatorError as error:
        return [f"Its mark, and its autostart, could not be given back: {error} Adopt it again, or release it."]
    return []


def _print_each(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"    {line}")


def choose(found: Sequence["Found"], names: Sequence[str], *, every: bool) -> list["Found"]:
    """Return the domains that were asked for.

    :raises NotConfigured: none was, or one is not there.
    """
    if every == bool(names):
        raise NotConfigured(reason="Name the domains, or say --all.")
    if every:
        return list(found)
    known = {each.uuid: each for each in found} | {each.name: each for each in found}
    missing = [name for name in names if name not in known]
    if missing:
        raise NotConfigured(reason=f"There is no domain {', '.join(missing)} there. Known: {', '.join(sorted(known))}.")
    return [known[name] for name in names]


@contextmanager
def adoption_of(host: str) -> Iterator["Adoption"]:
    """Reach the domains of a host.

    :raises NotConfigured: it is no libvirt host, nothing says where it is, or libvirt's bindings are missing.
    """
    conf = cfg.CONF
    try:
        from evacuator.virt.libvirt.adoption import adoption_on  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotConfigured(reason=f"This needs libvirt's Python bindings ({error}): see docs/libvirt.md.") from error
    conf.set_override("driver", "libvirt", "compute")
    require_section_for(conf, host)
    adoption = adoption_on(conf, host)
    print(f"Host {host} is at {adoption.uri}.")
    try:
        yield adoption
    finally:
        adoption.close()


@contextmanager
def engine_of(host: str, directory: Path | None) -> Iterator[Engine]:
    """Open the database; all-in-one's own only while that does not run.

    :raises NotConfigured: neither the configuration nor the database knows such a host.
    """
    with ExitStack() as closing:
        default = None
        if directory is not None and not cfg.CONF.database.connection:
            default = state_dir.sqlite_url(closing.enter_context(state_dir.held(directory)))
        database = wiring.database_of(cfg.CONF, default=default)
        closing.callback(database.close)
        if default is not None:
            schema.upgrade(database)
        known = {*census.hosts(database), *host_sections(cfg.CONF), cfg.CONF.host}
        if host not in known:
            raise NotConfigured(
                reason=f"There is no host {host}: neither a section [host:{host}] in the configuration nor a compute "
                f"service. Known: {', '.join(sorted(known))}."
            )
        yield Engine(database, _Silence(), Rules())


class _Silence:
    """Wakes nobody: nothing that is done here is work for a compute manager."""

    def can_send_target_state(self) -> bool:
        """Never asked."""
        return True

    def rebuild_instance(self, *_what: object) -> None:
        """Never asked."""

    def carry_out_order(self, *_what: object) -> None:
        """Never asked."""
