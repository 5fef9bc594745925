"""A bounded pool of threads that never keeps a process from ending."""

import queue
import threading
import time
from collections.abc import Callable

from evacuator import metrics


class Workers:
    """``size`` threads that do what is submitted, in order."""

    def __init__(self, size: int, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        metrics.queue(name, self._work.qsize)
        # Daemons: work that waits for a hung hypervisor must not outlive the order to stop. What it worked on is
        # recorded as unfinished, and the next start goes on with it.
        self._threads = [threading.Thread(target=self._run, name=f"{name} {n}", daemon=True) for n in range(size)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], None], /) -> None:
        """Have ``work`` done; it answers for its own errors."""
        self._work.put(work)

    def stop(self, timeout: float) -> bool:
        """Let the work in hand come to an end for ``timeout`` seconds; tell whether all of it did."""
        while not self._work.empty():
            try:
                self._work.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
