"""``evacuator``: finds the command, reads the configuration, runs it."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence

from oslo_config import cfg

from evacuator.cmd import logs
from evacuator.cmd.options import DEFAULT_CONFIG_FILE
from evacuator.conf import opts
from evacuator.errors import EvacuatorError

#: Each a module of this package with ``add_parser(subparsers)``, in the order in which --help shows them.
COMMANDS = {
    "demo": "demo",
    "all-in-one": "all_in_one",
    "api": "api",
    "compute": "compute",
    "host": "host",
    "adopt": "adopt",
    "release": "release",
    "watch": "watch",
    "verify": "verify",
    "db": "db",
    "upgrade-check": "upgrade_check",
}

UNKNOWN_REFERENCE = (
    "A value in the configuration has a $, which there stands before the name of another option, and there is none of "
    "that name. Write $$ where a $ is meant, as in a password, or %24 in a URL."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="evacuator", description="Bring the instances of a dead hypervisor host back on other hosts."
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _modules(arguments):
        importlib.import_module(f"evacuator.cmd.{module}").add_parser(subparsers)
    args = parser.parse_args(arguments)
    # Of some commands 1 is an answer, so that what keeps them from giving one has another status.
    failed: int = getattr(args, "failed", 1)
    try:
        configure(cfg.CONF, getattr(args, "config_file", None))
        status: int = args.run(args)
        sys.stdout.flush()
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError):
        # What the library says repeats what stands behind the $, which may be half of a password.
        print(f"evacuator: {UNKNOWN_REFERENCE}", file=sys.stderr)
        return failed
    except (EvacuatorError, cfg.Error) as error:
        print(f"evacuator: {error}", file=sys.stderr)
        return failed
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read what we print has seen enough; neither must the end of the process complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:  # noqa: BLE001 - nobody is above
        traceback.print_exc()
        return failed
    return status


def _modules(arguments: Sequence[str]) -> Iterable[str]:
    """Return the modules to import: the named command's alone, since importing all of them takes a second."""
    named = COMMANDS.get(arguments[0]) if arguments else None
    return [named] if named else COMMANDS.values()


def configure(conf: cfg.ConfigOpts, files: Sequence[object] | None) -> None:
    """Read the configuration files into ``conf``, or the default one where there is one."""
    opts.register_all(conf)
    logs.register(conf)
    try:
        found = [str(file) for file in files or ([DEFAULT_CONFIG_FILE] if DEFAULT_CONFIG_FILE.is_file() else [])]
        conf([], project="evacuator", prog="evacuator", default_config_files=found)
    except (cfg.Error, OSError, UnicodeError) as error:
        print(f"evacuator: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    sys.exit(main())
