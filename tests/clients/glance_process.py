"""The parts of Glance that run in processes of their own: ``prepare CONF`` and ``serve FD``.

Like Keystone it reads its options from the global configuration and from ``sys.argv``.
"""

import os
import socket
import sys
import threading


def prepare(configuration: str) -> None:
    """Make the tables."""
    from glance.cmd import manage  # noqa: PLC0415

    sys.argv[1:] = ["--config-file", configuration, "db", "sync"]
    manage.main()


def serve(descriptor: int) -> None:
    """Answer on a socket that somebody else has bound, for as long as standard input stays open."""
    del sys.argv[1:]
    import waitress  # noqa: PLC0415
    from glance.wsgi.api import application  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, daemon=True).start()
    waitress.serve(application, sockets=[socket.socket(fileno=descriptor)], threads=2, _quiet=True)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2])
    else:
        serve(int(sys.argv[2]))
