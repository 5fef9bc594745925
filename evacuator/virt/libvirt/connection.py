"""A connection to one libvirt daemon, on which nobody waits longer than told, whatever state the daemon is in."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import libvirt

from evacuator.errors import HypervisorUnknown
from evacuator.virt.libvirt.lanes import AllHang, Lanes, TimedOut

LOG = logging.getLogger(__name__)
T = TypeVar("T")

#: Connecting can hang for ever (a frozen daemon takes the connection and says nothing). So many attempts may hang at
#: once; after that there is a new one only every few minutes. One that comes back late is used all the same.
MOST_ATTEMPTS = 4
RARELY_SECONDS = 300.0

_KEEPALIVE_COUNT = 3

#: What the client's side of libvirt says when the connection, not the hypervisor, is at fault.
_LOST_DOMAINS = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
_LOST_CODES = (
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_AUTH_FAILED,
)


@dataclass(frozen=True)
class Timing:
    """Seconds: for a question, for an effect, and between two signs of life."""

    call: float = 10.0
    effect: float = 60.0
    keepalive: int = 5


class _EventLoop:
    """libvirt's event loop, one for the process: keepalive and events need it before the first connection."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs = False

    def ensure(self) -> None:
        """Have it run."""
        with self._guard:
            if self._runs:
                return
            # Without this libvirt writes every error to standard error as well.
            libvirt.registerErrorHandler(lambda _context, _error: None, None)
            libvirt.virEventRegisterDefaultImpl()
            threading.Thread(target=self._run, name="libvirt events", daemon=True).start()
            self._runs = True

    @staticmethod
    def _run() -> None:
        while True:
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError as error:
                LOG.error("libvirt's event loop: %s", error)  # noqa: TRY400 - the sentence says it all
                time.sleep(1)


EVENT_LOOP = _EventLoop()


@dataclass(eq=False)
class Session:
    """One open connection. It is closed by the last who leaves it, once it is retired."""

    conn: Any
    number: int
    callbacks: list[int] = field(default_factory=list)
    users: int = 0
    retired: bool = False

    @property
    def alive(self) -> bool:
        """Whether the transport is still open; asks nobody."""
        try:
            return bool(self.conn.isAlive())
        except libvirt.libvirtError:
            return False


class _Attempt:
    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.done = threading.Event()
        self.error: str | None = None


@dataclass(frozen=True)
class Listener:
    """Who is told what libvirt says by itself. Both are called in libvirt's own thread and must not wait."""

    lifecycle: Callable[[str, int, int], None]
    rebooted: Callable[[str], None]


class Connection:
    """Reaches the daemon at ``uri``; connects when it is needed, and again when it was lost."""

    def __init__(self, host: str, uri: str, timing: Timing, listener: Listener | None = None) -> None:
        self.host = host
        self.uri = uri
        self.timing = timing
        self._listener = listener
        self._lanes = Lanes(f"{host} libvirt")
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._attempts: list[_Attempt] = []
        self._opened = 0
        self._closed = False

    def ask(self, question: Callable[[Session], T]) -> T:
        """Return what ``question`` finds out; it changes nothing.

        :raises HypervisorUnknown: no answer in time, or no connection.
        """
        return self._call(question, self.timing.call)

    def do(self, effect: Callable[[Session], T]) -> T:
        """Return what ``effect`` returns; when there is no answer it may have happened or not.

        :raises HypervisorUnknown: no answer in time, or no connection.
        """
        return self._call(effect, self.timing.effect)

    def close(self) -> None:
        """Let go, and wait for nothing."""
        with self._guard:
            self._closed = True
            session = self._session
        if session is not None:
            self._retire(session)
        self._lanes.close()

    def _call(self, work: Callable[[Session], T], timeout: float) -> T:
        deadline = time.monotonic() + timeout
        # A host that does not let us in within the time for a question is silent, also to who wants an effect.
        session = self._enter(min(deadline, time.monotonic() + self.timing.call))
        try:
            return self._lanes.call(lambda: self._work(session, work), max(0.0, deadline - time.monotonic()))
        except TimedOut:
            self._retire(session)
            raise self._unknown(f"no answer within {timeout:g} seconds") from None
        except AllHang:
            self._leave(session)
            raise self._unknown("too many calls wait for an answer already") from None
        except libvirt.libvirtError as error:
            if session.alive and not self.is_about_connection(error):
                raise
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_TIMEOUT:
                self._retire(session)
            raise self._unknown(str(error)) from error

    def _work(self, session: Session, work: Callable[[Session], T]) -> T:
        try:
            return work(session)
        finally:
            self._leave(session)

    @staticmethod
    def is_about_connection(error: "libvirt.libvirtError") -> bool:
        """Whether it is the connection or the daemon that is at fault, so that nobody knows what happened."""
        timed_out = error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT
        return timed_out or error.get_error_domain() in _LOST_DOMAINS or error.get_error_code() in _LOST_CODES

    def _unknown(self, reason: str) -> HypervisorUnknown:
        return HypervisorUnknown(host=self.host, reason=reason)

    # -- sessions

    def _enter(self, deadline: float) -> Session:
        while True:
            with self._guard:
                session = self._usable()
                if session is not None:
                    session.users += 1
                    return session
                if self._closed:
                    raise self._unknown("the driver was closed")
                attempt = self._attempt()
            if not attempt.done.wait(max(0.0, deadline - time.monotonic())):
                raise self._unknown(f"connecting to {self.uri} takes longer than {self.timing.call:g} seconds")
            if attempt.error is not None:
                raise self._unknown(attempt.error)

    def _usable(self) -> Session | None:
        session = self._session
        if session is not None and not session.alive:
            LOG.warning("%s: the connection to %s was lost", self.host, self.uri)
            self._retire_locked(session)
            return None
        return session

    def _leave(self, session: Session) -> None:
        with self._guard:
            session.users -= 1
            if session.retired and session.users == 0:
                self._dispose(session)

    def _retire(self, session: Session) -> None:
        with self._guard:
            self._retire_locked(session)

    def _retire_locked(self, session: Session) -> None:
        if session.retired:
            return
        session.retired = True
        if self._session is session:
            self._session = None
        if session.users == 0:
            self._dispose(session)

    @staticmethod
    def _dispose(session: Session) -> None:
        # Saying goodbye to a daemon that hangs takes until its keepalive has run out: not in anybody's way.
        threading.Thread(target=_say_goodbye, args=(session,), name="libvirt goodbye", daemon=True).start()

    # -- connecting

    def _attempt(self) -> _Attempt:
        """Return the attempt to wait for: the last one, unless it hangs and there may be another."""
        last = self._attempts[-1] if self._attempts else None
        if last is not None:
            patience = self.timing.call if len(self._attempts) < MOST_ATTEMPTS else RARELY_SECONDS
            if time.monotonic() - last.begun < patience:
                return last
        attempt = _Attempt()
        self._attempts.append(attempt)
        threading.Thread(target=self._open, args=(attempt,), name=f"{self.host} connecting", daemon=True).start()
        return attempt

    def _open(self, attempt: _Attempt) -> None:
        try:
            session = self._opened_session()
        except libvirt.libvirtError as error:
            attempt.error = str(error)
            session = None
        with self._guard:
            self._attempts.remove(attempt)
            if session is not None:
                if self._closed or self._session is not None:
                    session.retired = True
                    self._dispose(session)
                else:
                    self._session = session
        attempt.done.set()

    def _opened_session(self) -> Session:
        EVENT_LOOP.ensure()
        conn = libvirt.open(self.uri)
        conn.setKeepAlive(self.timing.keepalive, _KEEPALIVE_COUNT)
        with self._guard:
            self._opened += 1
            session = Session(conn, self._opened)
        if self._listener is not None:
            _listen(session, self._listener)
        LOG.info("%s: connected to %s", self.host, self.uri)
        return session


def _listen(session: Session, listener: Listener) -> None:
    def lifecycle(_conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        listener.lifecycle(domain.UUIDString(), event, detail)

    def rebooted(_conn: Any, domain: Any, _opaque: Any) -> None:
        listener.rebooted(domain.UUIDString())

    register = session.conn.domainEventRegisterAny
    session.callbacks.append(register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None))
    session.callbacks.append(register(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, rebooted, None))


def _say_goodbye(session: Session) -> None:
    # A callback holds the connection: it would never be closed.
    for callback in session.callbacks:
        try:
            session.conn.domainEventDeregisterAny(callback)
        except libvirt.libvirtError as error:
            LOG.debug("a connection that is given up: %s", error)
    try:
        session.conn.close()
    except libvirt.libvirtError as error:
        LOG.debug("a connection that is given up: %s", error)
