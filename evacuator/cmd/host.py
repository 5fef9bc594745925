"""``evacuator host power-off H`` and ``power-on H``: the mains switch of a simulated host."""

import argparse
import sys
from pathlib import Path

from evacuator import errors
from evacuator.virt.simulated import FOLDER, Mains


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``host`` with its two switches."""
    parser = subparsers.add_parser("host", help="switch a simulated host off or on", description=__doc__)
    switches = parser.add_subparsers(title="switches", metavar="SWITCH", required=True)
    off = switches.add_parser(
        "power-off",
        help="cut the mains: its guests die, nothing starts there, its heartbeats stop",
        description="Cut the mains of a simulated host: its guests die, nothing powers on there and its heartbeats "
        "stop, until it is switched on again. The services API is told nothing; the host falls silent.",
    )
    off.set_defaults(run=power_off)
    on = switches.add_parser(
        "power-on",
        help="give the mains back; its guests stay off",
        description="Give the mains back to a simulated host. Its guests stay off; it cleans itself of what was "
        "evacuated meanwhile, and then reports up.",
    )
    on.set_defaults(run=power_on)
    for switch in (off, on):
        switch.add_argument("host", metavar="H", help="the name of the simulated host")
        switch.add_argument(
            "--state-dir", metavar="D", type=Path, required=True, help="the state directory it is simulated in"
        )


def power_off(args: argparse.Namespace) -> int:
    """Switch the host off and say how many guests died with it."""
    try:
        mains = Mains(args.state_dir / FOLDER, args.host)
        was_on = mains.on
        died = mains.switch_off()
    except errors.EvacuatorError as error:
        return _failed(error)
    if not was_on and not died:
        print(f"Host {args.host} was switched off already.")
        return 0
    guests = "guest" if len(died) == 1 else "guests"
    print(f"Host {args.host} is switched off; {len(died)} running {guests} died with it.")
    return 0


def power_on(args: argparse.Namespace) -> int:
    """Switch the host on."""
    try:
        was_off = Mains(args.state_dir / FOLDER, args.host).switch_on()
    except errors.EvacuatorError as error:
        return _failed(error)
    if not was_off:
        print(f"Host {args.host} was switched on already.")
        return 0
    print(f"Host {args.host} is switched on; its guests stay off until they are started.")
    return 0


def _failed(error: errors.EvacuatorError) -> int:
    print(error, file=sys.stderr)
    return 1
