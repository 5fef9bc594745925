"""``evacuator release``: give guests back that were adopted."""

import argparse
from typing import TYPE_CHECKING

from evacuator.cmd.adopt import add_arguments, adoption_of, choose, engine_of
from evacuator.engine.adopt import release_guest
from evacuator.engine.engine import Engine
from evacuator.errors import EvacuatorError

if TYPE_CHECKING:
    from evacuator.virt.libvirt.adoption import Adoption, Found


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "release",
        help="give guests back that were adopted",
        description="Forget domains of a host, adopted or made here: their guests and disks stay as they are, the mark "
        "in their metadata goes, and an autostart that adoption took away comes back. Exit status: 0 when all that "
        "were asked for are released.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Release, and say what became of each domain."""
    with adoption_of(args.host) as adoption, engine_of(args.host, args.state_dir) as engine:
        chosen = choose(adoption.survey(), args.names, every=args.all)
        released = [_release(engine, adoption, args.host, found, every=args.all) for found in chosen]
    return 0 if all(released) else 1


def _release(engine: Engine, adoption: "Adoption", host: str, found: "Found", *, every: bool) -> bool:
    try:
        known = release_guest(engine, host, found.uuid)
        adoption.let_go(found.uuid)
    except EvacuatorError as error:
        print(f"{found.name}: not released\n    {error}")
        return False
    if known or found.marked:
        print(f"{found.name}: released")
    elif not every:
        print(f"{found.name}: was not ours")
    return True
