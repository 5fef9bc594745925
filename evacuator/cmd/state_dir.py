"""The state directory of a process that embeds everything."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evacuator.errors import NotConfigured, StateDirectoryInUse

DATABASE = "evacuator.sqlite"


def sqlite_url(state_dir: Path) -> str:
    """Return the URL of the database in a state directory."""
    return f"sqlite:///{state_dir.absolute() / DATABASE}"


@contextmanager
def held(state_dir: Path) -> Iterator[Path]:
    """Make the directory and hold it, alone, until the end of the block or of the process.

    :raises StateDirectoryInUse: another process holds it.
    :raises NotConfigured: it cannot be made.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "lock").open("w")
    except OSError as error:
        raise NotConfigured(reason=f"The state directory {state_dir} cannot be used: {error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateDirectoryInUse(path=state_dir) from error
        yield state_dir
