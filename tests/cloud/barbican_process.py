"""The parts of Barbican that run in processes of their own: ``prepare`` and ``serve FD``.

Barbican reads the file ``.barbican/barbican.conf`` of whoever runs it and takes no other, so that they need a home of
their own.
"""

import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import files
from pathlib import Path
from typing import Any

from serving import serve


def prepare() -> None:
    """Make the tables."""
    from barbican.cmd import db_manage  # noqa: PLC0415

    sys.argv[1:] = ["upgrade"]
    db_manage.main()


def pipelines() -> Path:
    """Return where the package says how its parts are put together."""
    (found,) = [path for path in files("barbican") or () if path.name == "barbican-api-paste.ini"]
    return Path(str(found.locate())).resolve()


class Remembering:
    """Writes down what was asked for, and how it was answered, in a line each."""

    def __init__(self, application: Any, path: Path) -> None:
        self._application = application
        self._path = path

    def __call__(self, environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # Now: whoever answers it cuts pieces off the path.
        asked = f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']}"

        def start(status: str, *rest: Any) -> Any:
            with self._path.open("a") as told:
                told.write(f"{asked} {status[:3]}\n")
            return start_response(status, *rest)

        return self._application(environment, start)  # type: ignore[no-any-return]


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "prepare":
        prepare()
    else:
        del sys.argv[1:]
        from barbican.common import config
        from paste import deploy

        home = Path(os.environ["HOME"])
        config.parse_args(config.CONF, [])
        application = deploy.loadapp(f"config:{pipelines()}", name="main")
        # One thread: its SQLite file knows no queue, and answers 500 to whoever comes second.
        serve(Remembering(application, home / "requests"), int(arguments[0]), threads=1)
