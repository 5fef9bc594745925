"""Options that commands share."""

import argparse
from pathlib import Path

#: Read when no --config-file is given and it exists.
DEFAULT_CONFIG_FILE = Path("/etc/evacuator/evacuator.conf")

LAST_PORT = 65535


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """Let a command be configured by files."""
    parser.add_argument(
        "--config-file",
        action="append",
        type=Path,
        metavar="FILE",
        help=f"configuration file; may be given more than once, the last wins (default: {DEFAULT_CONFIG_FILE})",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number from 0 to {LAST_PORT}")
    return int(text)


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Let a command serve HTTP at a chosen address."""
    parser.add_argument("--listen", metavar="ADDRESS", default="127.0.0.1", help="address to serve on (%(default)s)")
    parser.add_argument(
        "--port", metavar="PORT", type=_port, default=8774, help="port; 0 takes a free one (%(default)s)"
    )
