"""The HTTP server of this process. What is no request at all is refused as everything else is."""

import json
import resource
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from wsgiref.types import WSGIApplication

from oslo_config import cfg
from waitress import channel, parser, server, task
from waitress.utilities import Error

from evacuator.api.faults import KEYS
from evacuator.api.http import BEGUN
from evacuator.clock import boot_clock

#: A client that frames its body in a way that we do not know is told that it should not.
NOT_IMPLEMENTED, BAD_REQUEST = 501, 400

#: How many clients may be connected; more wait until one has gone, or has said nothing for two minutes.
CONNECTIONS = 1000

#: How many files a process with a server should be allowed, as in its unit. A connection is one of them, as is what the
#: database and libvirt need; who does not ask has 1024. Nor should it be all that there is: libvirt goes through as
#: many before it starts another program, as ssh.
FILES = 16384


def bound(address: str, port: int, resolve: Callable[..., Any] = socket.getaddrinfo) -> socket.socket:
    """Return a socket on one address: a name such as "localhost" often has two, and then the older kind is meant.

    :raises OSError:
    """
    found = resolve(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, place = min(found, key=lambda row: row[0] != socket.AF_INET)
    return socket.create_server(place[:2], family=family)


def connections_at_most() -> int:
    """Return how many clients may be connected: no more than leave this process half of its files.

    It is given more of those before, if it has too few and may have more.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    given, most = (FILES if limit == resource.RLIM_INFINITY else min(limit, FILES) for limit in limits)
    if given < most:
        with suppress(OSError, ValueError):  # a sandbox may refuse what the limit allows
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
            given = most
    return min(CONNECTIONS, given // 2)


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


class Inlet:
    """Knows how long what is read from a socket may have lain there, while this process stood still or was busy.

    ``empty_at``: the last moment at which there was nothing, by ``clock``. Whatever is found was sent after that.
    """

    def __init__(self, socket_: socket.socket, clock: Callable[[], float], empty_at: float) -> None:
        self._socket = socket_
        self._clock = clock
        self._waited_since: float | None = None
        self.empty_at = empty_at

    def wait(self) -> None:
        """Note that something is waited for from now on; since this was done last, nothing was found."""
        if self._waited_since is not None:
            self.empty_at = self._waited_since
        self._waited_since = self._clock()

    def leave(self) -> None:
        """Note that something was found, or that nobody waits."""
        self._waited_since = None

    def look(self) -> None:
        """See whether there is nothing now."""
        now = self._clock()
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except ValueError:  # it was closed meanwhile
            return
        if not poll.poll(0):
            self.empty_at = now


class Task(task.WSGITask):  # type: ignore[misc] # waitress ships no types
    """Has the application answer a request."""

    def get_environment(self) -> dict[str, Any]:
        """Return what the application is told, with when the request may have been sent at the earliest."""
        environment: dict[str, Any] = super().get_environment()
        environment[BEGUN] = self.request.begun
        return environment

    def build_response_header(self) -> bytes:
        """Return the first that is sent of an answer. The client's next request comes after it."""
        self.channel.inlet.look()
        return bytes(super().build_response_header())


class Channel(channel.HTTPChannel):  # type: ignore[misc] # waitress ships no types
    """A client's connection."""

    task_class = Task
    error_task_class = Refusal

    def __init__(self, listener: "Listener", connection: socket.socket, *args: Any, **kwargs: Any) -> None:
        self.inlet = Inlet(connection, listener.clock, listener.newest_sent_after)
        super().__init__(listener, connection, *args, **kwargs)

    def parser_class(self, adjustments: Any) -> Any:
        """Make what reads the next request, of which the first part has come."""
        request = parser.HTTPRequestParser(adjustments)
        request.begun = self.inlet.empty_at
        return request

    def readable(self) -> bool:
        """Tell whether to wait for what the client sends."""
        return _waits(self.inlet, super().readable())

    def handle_read(self) -> None:
        """Take what the client sent."""
        self.inlet.leave()
        super().handle_read()


class Listener(server.TcpWSGIServer):  # type: ignore[misc] # waitress ships no types
    """The socket to which clients connect.

    ``newest_sent_after``: before this, nobody sent anything on the connection that was accepted last. ``is_leaving``:
    it closes when it is about to wait for clients next.
    """

    channel_class = Channel
    is_leaving = False

    def __init__(self, *args: Any, clock: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = clock
        self.newest_sent_after = clock()
        self._inlet = Inlet(self.socket, clock, self.newest_sent_after)
        # A queue that is never found empty still has no room for more than so many: who comes out of it was not in it
        # yet when the one so many before came out.
        self._accepted_at = deque[float](maxlen=self.adj.backlog + 2)

    def readable(self) -> bool:
        """Tell whether to wait for clients."""
        if self.is_leaving:
            # By nobody but who waits for it: to close what another thread waits for ends that thread.
            self.del_channel()
            self.socket.close()
            return False
        return _waits(self._inlet, super().readable())

    def handle_accept(self) -> None:
        """Take a connection out of the queue."""
        self._inlet.leave()
        long_ago = self._accepted_at[0] if len(self._accepted_at) == self._accepted_at.maxlen else 0.0
        self.newest_sent_after = max(self._inlet.empty_at, long_ago)
        self._accepted_at.append(self.clock())
        super().handle_accept()
        self._inlet.look()


def _waits(inlet: Inlet, waits: object) -> bool:
    if waits:
        inlet.wait()
    else:
        inlet.leave()
    return bool(waits)


class HttpServer:
    """Serves an application in threads of this process.

    Each request is told when it may have been sent at the earliest, by ``clock``, which is the engine's.
    """

    def __init__(
        self,
        application: WSGIApplication,
        address: str,
        port: int,
        conf: cfg.ConfigOpts,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        listening = bound(address, port)
        self._server = Listener(
            application,
            clock=clock,
            _sock=listening,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            threads=conf.api.threads,
            # Those that a proxy keeps open, or somebody who says nothing, must leave some for the others.
            connection_limit=connections_at_most(),
            asyncore_use_poll=True,
            ident=None,
            clear_untrusted_proxy_headers=True,
            # It takes as much into a file before anybody sees it. What is just above the application's own limit may
            # come in: it is refused in the order of all other checks.
            max_request_body_size=2 * conf.api.max_body_bytes,
        )
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
        self._server.is_leaving = True
        self._server.pull_trigger()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout)
        while self._unsent() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _unsent(self) -> bool:
        return any(channel.total_outbufs_len for channel in list(self._server.active_channels.values()))
