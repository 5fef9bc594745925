"""How a libvirt daemon is reached, with nobody waiting longer than told, whatever state the daemon is in."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import libvirt

from evacuator.errors import HypervisorUnknown
from evacuator.lanes import AllHang, Lanes, TimedOut

LOG = logging.getLogger(__name__)
T = TypeVar("T")

#: Connecting can hang for ever (a frozen daemon takes the connection and says nothing). So many attempts may hang at
#: once; after that there is a new one only after a few minutes, and after twice as long for each that hangs too, half
#: an hour at most: each keeps a thread, files and what a tunnel needs. One that comes back late is used all the same,
#: and as soon as fewer hang the waits are shorter.
MOST_ATTEMPTS = 4
RARELY_SECONDS = 300.0
RAREST_SECONDS = 1800.0

#: What libvirt's bindings raise: for an error whose message is no UTF-8, as a tunnel's may be, it is SystemError.
FAILURES = (libvirt.libvirtError, SystemError)

#: So many connections that nobody uses are kept for the next calls.
MOST_IDLE = 4

#: How events are listened to, in seconds: between two looks whether the connection lives, between two attempts to make
#: one, and of silence until libvirt is asked whether it is there, so many times.
LISTEN_SECONDS = 1.0
RETRY_SECONDS = 5.0
KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3

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
    """Seconds: for a question, and for an effect."""

    call: float = 10.0
    effect: float = 60.0


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
            except FAILURES as error:
                LOG.error("libvirt's event loop: %s", words_of(error))  # noqa: TRY400 - the sentence says it all
                time.sleep(1)


EVENT_LOOP = _EventLoop()


@dataclass(eq=False)
class Session:
    """One open connection, for one call at a time: see :class:`Connection`.

    ``generation``: how often the daemon had been lost before it was opened.
    """

    conn: Any
    generation: int

    @property
    def alive(self) -> bool:
        """Whether the transport is still open; asks nobody."""
        return is_alive(self.conn)


def words_of(error: BaseException) -> str:
    """Return what libvirt says in one of the ``FAILURES``, with a sign for each byte that cannot be read."""
    undecoded = error.__cause__
    return undecoded.object.decode(errors="replace") if isinstance(undecoded, UnicodeDecodeError) else str(error)


def is_alive(conn: Any) -> bool:
    """Whether the transport of a connection is still open; asks nobody."""
    try:
        return bool(conn.isAlive())
    except FAILURES:
        return False


class GivenUp(Exception):
    """Nobody waits for this call any more, so what it was about to do is not done."""


class Call:
    """One call, in its own thread: the connection that it goes over, and whether somebody still waits for it."""

    def __init__(self, session: Session) -> None:
        self.conn = session.conn
        self.generation = session.generation
        self.given_up = False

    def require_wanted(self) -> None:
        """Go on only if somebody still waits: what goes immediately before an effect.

        A call that hung in its first question comes back to its effect when the daemon does, long after whoever asked
        for it was told that nobody knows, and acted on that.

        :raises GivenUp:
        """
        if self.given_up:
            raise GivenUp


class Attempt:
    """One that goes on, or hangs; ``begun`` by the clock that only counts."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.over = False


def may_try(hanging: Sequence[Attempt], most: int) -> bool:
    """Tell whether to try to connect while these attempts hang: at once below so many, then more and more rarely."""
    if len(hanging) < most:
        return True
    wait = RARELY_SECONDS
    for _ in hanging[most:]:
        wait = min(2 * wait, RAREST_SECONDS)
    return time.monotonic() - hanging[-1].begun > wait


class Connection:
    """Reaches the daemon at ``uri``: connects when that is needed, and again when it was lost.

    A session carries one call at a time; calls at the same time have a session each. libvirt's clients before 10.3
    crash when two threads call on one connection (CVE-2024-4418), or when a keepalive goes out during a call. So there
    is no keepalive: what it would notice is noticed by whoever waits for an answer.
    """

    def __init__(self, host: str, uri: str, timing: Timing) -> None:
        self.host = host
        self.uri = uri
        self.timing = timing
        self._lanes = Lanes(f"{host} libvirt")
        self._changed = threading.Condition()
        self._idle: list[Session] = []
        self._attempts: list[Attempt] = []
        self._generation = 0
        self._failures = 0
        self._failure = ""
        self._closed = False

    def ask(self, question: Callable[[Call], T]) -> T:
        """Return what ``question`` finds out; it changes nothing.

        :raises HypervisorUnknown: no answer in time, or no connection.
        """
        return self._call(question, self.timing.call)

    def do(self, effect: Callable[[Call], T]) -> T:
        """Return what ``effect`` returns; when there is no answer it may have happened or not.

        :raises HypervisorUnknown: no answer in time, or no connection.
        """
        return self._call(effect, self.timing.effect)

    def close(self) -> None:
        """Let go, and wait for nothing."""
        with self._changed:
            self._closed = True
            self._drop_idle()
            self._changed.notify_all()
        self._lanes.close()

    def _call(self, work: Callable[[Call], T], timeout: float) -> T:
        deadline = time.monotonic() + timeout
        # A host that does not let us in within the time for a question is silent, also to who wants an effect.
        session = self._enter(min(deadline, time.monotonic() + self.timing.call))
        call = Call(session)
        try:
            return self._lanes.call(lambda: self._work(session, call, work), max(0.0, deadline - time.monotonic()))
        except TimedOut:
            call.given_up = True
            self._lost()
            raise self._unknown(f"no answer within {timeout:g} seconds") from None
        except AllHang as error:
            self._leave(session)
            raise self._unknown(str(error)) from None
        except libvirt.libvirtError as error:
            if session.alive and not self.is_about_connection(error):
                raise
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_TIMEOUT:
                self._lost()
            raise self._unknown(str(error)) from error
        except SystemError as error:
            # Which error it was is lost with its message.
            self._lost()
            raise self._unknown(words_of(error)) from error

    def _work(self, session: Session, call: Call, work: Callable[[Call], T]) -> T:
        try:
            return work(call)
        finally:
            self._leave(session)

    @staticmethod
    def is_about_connection(error: "libvirt.libvirtError") -> bool:
        """Whether it is the connection or the daemon that is at fault, so that nobody knows what happened."""
        timed_out = error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT
        return timed_out or error.get_error_domain() in _LOST_DOMAINS or error.get_error_code() in _LOST_CODES

    def _unknown(self, reason: str) -> HypervisorUnknown:
        # What a tunnel has to say may be several lines.
        return HypervisorUnknown(host=self.host, reason=" ".join(reason.split()))

    # -- sessions

    def _enter(self, deadline: float) -> Session:
        """Take a session that nobody uses, or wait for a new one."""
        attempt: Attempt | None = None
        with self._changed:
            failures = self._failures
            while True:
                session = self._take_idle()
                if session is not None:
                    return session
                if self._closed:
                    raise self._unknown("the driver was closed")
                if self._failures != failures:
                    raise self._unknown(self._failure)
                if (attempt is None or attempt.over) and may_try(self._attempts, MOST_ATTEMPTS):
                    attempt = self._connect()
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise self._unknown(f"connecting to {self.uri} takes longer than {self.timing.call:g} seconds")

    def _take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.alive:
                return session
            _dispose(session.conn)
            self._generation += 1
        return None

    def _leave(self, session: Session) -> None:
        with self._changed:
            usable = session.generation == self._generation and not self._closed and len(self._idle) < MOST_IDLE
            if usable and session.alive:
                self._idle.append(session)
                self._changed.notify()
                return
        _dispose(session.conn)

    def _lost(self) -> None:
        """Trust no session that was opened until now."""
        with self._changed:
            self._generation += 1
            self._drop_idle()

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for session in idle:
            _dispose(session.conn)

    # -- connecting

    def _connect(self) -> Attempt:
        attempt = Attempt()
        try:
            threading.Thread(target=self._open, args=(attempt,), name=f"{self.host} connecting", daemon=True).start()
        except RuntimeError as error:  # the system lets us have no more
            raise self._unknown(str(error)) from error
        # Not before it runs: it would count as one that hangs. Nor is it over yet, as that takes what we hold.
        self._attempts.append(attempt)
        return attempt

    def _open(self, attempt: Attempt) -> None:
        conn, failure = None, ""
        try:
            EVENT_LOOP.ensure()
            conn = libvirt.open(self.uri)
        except (*FAILURES, RuntimeError) as error:  # the event loop may find no thread
            failure = words_of(error)
        with self._changed:
            attempt.over = True
            self._attempts.remove(attempt)
            if conn is None:
                self._failures += 1
                self._failure = failure
            elif self._closed:
                _dispose(conn)
            else:
                self._idle.append(Session(conn, self._generation))
            self._changed.notify_all()


class Listener:
    """Hears what libvirt tells by itself, on a connection of its own, again after it was lost.

    Both callables are called in libvirt's own thread and must not wait: ``lifecycle`` with uuid, event and detail,
    ``rebooted`` with the uuid.
    """

    def __init__(
        self, host: str, uri: str, lifecycle: Callable[[str, int, int], None], rebooted: Callable[[str], None]
    ) -> None:
        self._host = host
        self._uri = uri
        self._lifecycle = lifecycle
        self._rebooted = rebooted
        self._closing = threading.Event()
        self._listening = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hanging: list[Attempt] = []

    def listen(self, timeout: float = 0.0) -> bool:
        """Begin to listen; tell whether it does within ``timeout`` seconds.

        Who has tried to connect for too long, as to a daemon that was frozen and then killed, is replaced.
        """
        with self._guard:
            hangs = self._hanging and not self._listening.is_set()
            if self._thread is None or (hangs and may_try(self._hanging, 1)):
                thread = threading.Thread(target=self._run, name=f"{self._host} listening", daemon=True)
                thread.start()
                # Not before it runs: whoever asks next tries again.
                self._thread = thread
        return self._listening.wait(timeout)

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set() and self._is_wanted():
            try:
                EVENT_LOOP.ensure()
                self._hear()
            except (*FAILURES, RuntimeError) as error:  # the event loop may find no thread
                LOG.info("%s: libvirt's events are not heard: %s", self._host, words_of(error))
                self._closing.wait(RETRY_SECONDS)

    def _is_wanted(self) -> bool:
        with self._guard:
            return self._thread is threading.current_thread()

    def _open(self) -> Any:
        attempt = Attempt()
        with self._guard:
            self._hanging.append(attempt)
        try:
            return libvirt.open(self._uri)
        finally:
            with self._guard:
                self._hanging.remove(attempt)

    def _hear(self) -> None:
        conn = self._open()
        if not self._is_wanted():
            _dispose(conn)
            return
        # Nothing is ever called on this connection, so that its keepalive is in nobody's way.
        conn.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        kinds = (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot),
        )
        callbacks = [conn.domainEventRegisterAny(None, kind, callback, None) for kind, callback in kinds]
        self._listening.set()
        while is_alive(conn) and not self._closing.wait(LISTEN_SECONDS):
            pass
        self._listening.clear()
        _dispose(conn, callbacks)

    def _on_lifecycle(self, _conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        self._lifecycle(domain.UUIDString(), event, detail)

    def _on_reboot(self, _conn: Any, domain: Any, _opaque: Any) -> None:
        self._rebooted(domain.UUIDString())


#: The connections to which nobody has said goodbye yet.
_LEFT: deque[tuple[Any, Sequence[int]]] = deque()


def _dispose(conn: Any, callbacks: Sequence[int] = ()) -> None:
    """Close a connection in a thread of its own: saying goodbye to a daemon that hangs takes as long as that does."""
    _LEFT.append((conn, callbacks))
    with suppress(RuntimeError):  # no thread is to be had: whoever says goodbye next does it here, too
        threading.Thread(target=_say_goodbyes, name="libvirt goodbye", daemon=True).start()


def _say_goodbyes() -> None:
    while True:
        try:
            conn, callbacks = _LEFT.pop()
        except IndexError:
            return
        _say_goodbye(conn, callbacks)


def _say_goodbye(conn: Any, callbacks: Sequence[int]) -> None:
    try:
        # A callback holds the connection: it would never be closed.
        for callback in callbacks:
            conn.domainEventDeregisterAny(callback)
    except FAILURES as error:
        LOG.debug("a connection that is given up: %s", words_of(error))
    try:
        conn.close()
    except FAILURES as error:
        LOG.debug("a connection that is given up: %s", words_of(error))
