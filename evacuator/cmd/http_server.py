"""The HTTP server of this process. What is no request at all is refused as everything else is."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

import waitress
from oslo_config import cfg
from waitress import channel, task
from waitress.utilities import Error

from evacuator.api.faults import KEYS

#: A client that frames its body in a way that we do not know is told that it should not.
NOT_IMPLEMENTED, BAD_REQUEST = 501, 400


def bound(address: str, port: int, resolve: Callable[..., Any] = socket.getaddrinfo) -> socket.socket:
    """Return a socket on one address: a name such as "localhost" often has two, and then the older kind is meant.

    :raises OSError:
    """
    found = resolve(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, place = min(found, key=lambda row: row[0] != socket.AF_INET)
    return socket.create_server(place[:2], family=family)


class Fault:
    """A refusal of the server's own, told as the application tells its."""

    def __init__(self, error: Error) -> None:
        self._error = error

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status, headers and body, as the server asks for them."""
        code, reason = self._error.code, self._error.reason
        if code == NOT_IMPLEMENTED:
            code, reason = BAD_REQUEST, "Bad Request"
        told = {KEYS.get(code, "computeFault"): {"code": code, "message": str(self._error.body)}}
        return f"{code} {reason}", [("Content-Type", "application/json; charset=UTF-8")], json.dumps(told).encode()


class Refusal(task.ErrorTask):  # type: ignore[misc] # waitress ships no types
    """Answers what is no request."""

    def execute(self) -> None:
        """Write the answer."""
        self.request.error = Fault(self.request.error)
        super().execute()


class Channel(channel.HTTPChannel):  # type: ignore[misc] # waitress ships no types
    """A client's connection."""

    error_task_class = Refusal


class HttpServer:
    """Serves an application in threads of this process."""

    def __init__(self, application: WSGIApplication, address: str, port: int, conf: cfg.ConfigOpts) -> None:
        self._server = waitress.create_server(
            application,
            sockets=[bound(address, port)],
            threads=conf.api.threads,
            ident=None,
            clear_untrusted_proxy_headers=True,
            # It takes as much into a file before anybody sees it. What is just above the application's own limit may
            # come in: it is refused in the order of all other checks.
            max_request_body_size=2 * conf.api.max_body_bytes,
        )
        self._server.channel_class = Channel
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.effective_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Take no more requests, and answer those that are being worked on."""
        deadline = time.monotonic() + timeout
        # The listening socket alone; the way by which workers tell that an answer is ready stays open until the end.
        self._server.del_channel()
        self._server.socket.close()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout)
        while self._unsent() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _unsent(self) -> bool:
        return any(channel.total_outbufs_len for channel in list(self._server.active_channels.values()))
