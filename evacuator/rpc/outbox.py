"""Sends messages off the path of whoever has something to say."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from evacuator import metrics
from evacuator.rpc.rush import Rush

LOG = logging.getLogger(__name__)


def _nobody_counts() -> None:
    pass


@dataclass(frozen=True)
class _Message:
    """How it is sent, by when it is sent in spite of a rush, and who counts it if it is dropped."""

    send: Callable[[], None]
    latest: float
    lost: Callable[[], None]


class Outbox:
    """A thread that sends, in order. A message that cannot be sent is dropped; ``loss`` says what becomes of it.

    ``most``: how many may wait; a broker that is away must not make this process grow. ``name``: of its length among
    the metrics. While there is a ``rush``, a message waits for its end, ``patience`` seconds at most.
    """

    def __init__(
        self,
        most: int = 10_000,
        loss: str = "A wake-up is lost; its receiver finds the work by itself",
        name: str = "outbox",
        rush: Rush | None = None,
        patience: float = 1.0,
    ) -> None:
        self._loss = loss
        self._rush = rush or Rush()
        self._patience = patience
        self._waiting: queue.Queue[_Message | None] = queue.Queue(most)
        metrics.queue(name, self._waiting.qsize)
        self._name = name
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, send: Callable[[], None], lost: Callable[[], None] = _nobody_counts) -> None:
        """Have ``send`` called soon, and ``lost`` if the message is dropped. Never waits."""
        try:
            self._start()
            self._waiting.put_nowait(_Message(send, time.monotonic() + self._patience, lost))
        except queue.Full:
            lost()
            LOG.warning("%s: too many messages wait for the broker.", self._loss)
        except RuntimeError as error:
            # What the message tells of has happened already; whoever did it is not to fail for want of a thread.
            lost()
            LOG.warning("%s: %s", self._loss, error)

    def close(self, timeout: float = 5.0) -> None:
        """Send what waits, for ``timeout`` seconds at most."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _start(self) -> None:
        # Not before there is something to send: a server that loads the application and then forks would leave the
        # thread behind.
        with self._guard:
            if self._thread is None:
                thread = threading.Thread(target=self._send_all, name=self._name, daemon=True)
                thread.start()
                # Not before it runs: the next message tries again.
                self._thread = thread

    def _send_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._rush.wait_until_over(message.latest - time.monotonic())
            try:
                message.send()
            except Exception as error:  # noqa: BLE001 - whatever the broker's library raises, nothing depends on it
                message.lost()
                LOG.warning("%s: %s", self._loss, error)
