"""What the scripts of services share; imported by its bare name, since they run as scripts."""

import os
import socket
import sys
import threading
from typing import Any


def serve(application: Any, descriptor: int, threads: int) -> None:
    """Answer on a socket that somebody else has bound, for as long as standard input stays open."""
    import waitress  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, daemon=True).start()
    waitress.serve(application, sockets=[socket.socket(fileno=descriptor)], threads=threads, _quiet=True)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
