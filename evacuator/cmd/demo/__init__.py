"""``evacuator demo``: the whole story on one machine, with the proof."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from evacuator.cmd.demo.site import PATIENCE, Launch, Site, all_in_one, running
from evacuator.cmd.demo.story import Story
from evacuator.cmd.options import add_config_file
from evacuator.errors import EvacuatorError

#: What a table needs where there is no terminal to tell how wide it may be.
PLAIN_WIDTH = 132


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "demo",
        help="show the whole story, with the proof, in less than a minute",
        description="Start three simulated hosts, make servers, switch a host off, evacuate at microversions 2.94 and "
        "2.95, and show from the hypervisors' journals which guest was powered on. Exit status 0 only if everything "
        "went as promised. Nothing is left behind.",
    )
    parser.add_argument("--keep", action="store_true", help="leave it running to explore, until Ctrl-C")
    add_config_file(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell the story; 0 only if all of it held."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    with _unwound_by_signals():
        return run_story(console, keep=args.keep, config_files=args.config_file or ())


def run_story(
    console: Console,
    *,
    keep: bool = False,
    config_files: Sequence[Path] = (),
    launch: Launch = all_in_one,
    patience: float = PATIENCE,
) -> int:
    """Tell the story about the site that ``launch`` starts; 0 only if all of it held.

    ``launch`` gives the command to start, which has to behave as ``evacuator all-in-one`` does. Nothing that has to
    happen is waited for longer than ``patience`` seconds.
    """
    try:
        with running(launch, config_files, patience) as site:
            held = Story(site, console).tell()
            verdict, style = ("All of it held.", "bold green") if held else ("NOT everything held.", "bold red")
            console.print(verdict, style=style)
            if keep:
                _wait_for_ctrl_c(site, console)
    except EvacuatorError as error:
        print(f"evacuator demo: {error}", file=sys.stderr)
        return 1
    return 0 if held else 1


def _wait_for_ctrl_c(site: Site, console: Console) -> None:
    try:
        for line in site.how_to_explore():
            console.print(line, markup=False, soft_wrap=True)
        while site.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left behind.")


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT unwind the stack, so that what was started is stopped.

    SIGINT too, since a shell script has what it starts in the background ignore it.
    """

    def leave(signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    handlers = {signal.SIGTERM: leave, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
