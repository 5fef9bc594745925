"""Runs compute managers: the threads and timers that they do not have themselves."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evacuator.compute.heartbeat import Superseded
from evacuator.compute.manager import ComputeManager, Submits
from evacuator.errors import EvacuatorError, HypervisorUnknown

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intervals:
    """Seconds between two runs of each periodic task."""

    report: float = 10.0
    sweep: float = 5.0
    orphans: float = 30.0
    clean: float = 30.0
    power_sync: float = 60.0


class Periodic:
    """Does one thing again and again in a thread of its own; ``jitter`` is a share of the interval.

    ``task`` answers for its own errors.
    """

    def __init__(self, name: str, interval: float, task: Callable[[], None], jitter: float = 0.0) -> None:
        self._interval = interval
        self._jitter = jitter
        self._task = task
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have it end after the run that is under way."""
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval * (1 + self._jitter * random.uniform(-1, 1))):  # noqa: S311
            self._task()


class Timer(Protocol):
    """Something that is done again and again until it is stopped."""

    def stop(self) -> None:
        """Have it end after the run that is under way."""

    def join(self, timeout: float) -> None:
        """Wait for its end."""


class Times(Protocol):
    """Makes timers: threads, or a simulator's."""

    def __call__(self, name: str, interval: float, task: Callable[[], None], jitter: float = 0.0) -> Timer:
        """Do ``task`` again and again from now on."""


class Works(Submits, Protocol):
    """Workers that can be told to stop."""

    def stop(self, timeout: float) -> bool:
        """Let the work in hand come to an end for ``timeout`` seconds; tell whether all of it did."""
        ...


class ComputeService:
    """A compute manager with its timers and its workers.

    The order of a start: register, clean and beat, and only then listen to messages and pick up what waits. When
    another manager takes this one's place, everything here stops.
    """

    def __init__(
        self,
        manager: ComputeManager,
        workers: Works,
        intervals: Intervals,
        listen: Callable[[], Callable[[], None]],
        times: Times = Periodic,
    ) -> None:
        self._manager = manager
        self._workers = workers
        self._intervals = intervals
        self._listen = listen
        self._times = times
        self._stop_listening: Callable[[], None] | None = None
        self._registered = False
        #: Set once another manager has taken this one's place.
        self.superseded = threading.Event()
        self._timers: list[Timer] = []

    def start(self) -> bool:
        """Start; False when the host is not up yet, its hypervisor being silent, say: the timers go on trying."""
        every = self._intervals
        self._attempt("start", self._beat)
        self._timers = [
            self._timer("heartbeat", every.report, self._beat),
            self._timer("sweep", every.sweep, self._manager.sweep),
            self._timer("orphans", every.orphans, self._manager.settle, jitter=0.5),
            self._timer("clean", every.clean, self._manager.clean),
            self._timer("power", every.power_sync, self._manager.sync_power),
        ]
        return self._manager.up

    def stop(self, timeout: float = 10.0) -> None:
        """Stop listening and timing, and let the work in hand come to an end for ``timeout`` seconds.

        What does not is left as it is recorded, for the next start.
        """
        self._fall_silent()
        latest = time.monotonic() + timeout
        for timer in self._timers:
            timer.join(max(0.0, latest - time.monotonic()))
        if self._workers.stop(max(0.0, latest - time.monotonic())):
            self._manager.host.driver.close()
        else:
            # Closed under it, the driver would look like a hypervisor that is silent, and that may end an evacuation.
            LOG.warning("%s: work is still in hand; the next start goes on with it", self._manager.host.name)

    def _timer(self, name: str, interval: float, task: Callable[[], object], jitter: float = 0.0) -> Timer:
        name = f"{self._manager.host.name} {name}"
        return self._times(name, interval, lambda: self._attempt(name, task), jitter)

    def _attempt(self, name: str, task: Callable[[], object]) -> None:
        """Do one of the periodic tasks once; what goes wrong is logged, and it will be tried again."""
        try:
            task()
        except HypervisorUnknown as unknown:
            LOG.warning("%s: %s", name, unknown)
        except Superseded as superseded:
            LOG.error("%s", superseded)  # noqa: TRY400 - the sentence says it all
            self._fall_silent()
            self._workers.stop(0)
            self.superseded.set()
        except EvacuatorError as error:
            LOG.error("%s: %s", name, error)  # noqa: TRY400
        except Exception:
            LOG.exception("%s failed; it will be tried again", name)

    def _fall_silent(self) -> None:
        for timer in self._timers:
            timer.stop()
        if self._stop_listening is not None:
            self._stop_listening()

    def _beat(self) -> None:
        if not self._registered:
            self._manager.start()
            self._registered = True
        if self._manager.beat() and self._stop_listening is None:
            self._stop_listening = self._listen()
            self._manager.sweep()
