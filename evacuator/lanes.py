"""Calls that may hang, in threads of their own, so that nobody waits for them longer than told."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

#: So many calls may hang at once; then nobody is asked any more until one of them comes back.
MOST = 48


class TimedOut(Exception):
    """The call has not come back; it may still, and may still do what it was told."""


class AllHang(Exception):
    """Every thread that there may be waits for a call that does not come back."""


class Lanes:
    """A thread for each call that is under way, kept for the next one.

    The threads are daemons: one that hangs for ever keeps nobody from ending the process.
    """

    def __init__(self, name: str, most: int = MOST) -> None:
        self._name = name
        self._most = most
        self._guard = threading.Lock()
        self._made = 0
        self._idle: list[queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]] = []
        self._closed = False

    def call(self, work: Callable[[], T], timeout: float) -> T:
        """Return what ``work`` returns, or raise what it raises.

        :raises TimedOut: not within ``timeout`` seconds; the work goes on.
        :raises AllHang: it was not begun.
        """
        future: Future[T] = Future()
        self._lane().put((work, future))
        if not wait([future], timeout).done:
            raise TimedOut
        return future.result()

    def close(self) -> None:
        """Let the idle threads end, and the others after what they do."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for lane in idle:
            lane.put(None)

    def _lane(self) -> "queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]":
        with self._guard:
            if self._idle:
                return self._idle.pop()
            if self._made >= self._most:
                raise AllHang("too many calls wait for an answer already")
            lane: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
            name = f"{self._name} {self._made + 1}"
            try:
                threading.Thread(target=self._run, args=(lane,), name=name, daemon=True).start()
            except RuntimeError as error:  # the system lets us have no more
                raise AllHang(str(error)) from error
            # Not before it runs: what was counted and is not there would be missed for ever.
            self._made += 1
        return lane

    def _run(self, lane: "queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]") -> None:
        while (job := lane.get()) is not None:
            work, future = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for it
                future.set_exception(error)
            else:
                future.set_result(result)
            del job, work, future
            with self._guard:
                if self._closed:
                    return
                self._idle.append(lane)
