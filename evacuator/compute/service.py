"""Runs compute managers: the threads and timers that they do not have themselves."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from evacuator.compute.heartbeat import Superseded
from evacuator.compute.manager import ComputeManager
from evacuator.compute.workers import Workers
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
    """Does one thing again and again in a thread of its own; ``jitter`` is a share of the interval."""

    def __init__(self, name: str, interval: float, task: Callable[[], object], jitter: float = 0.0) -> None:
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
            try:
                self._task()
            except HypervisorUnknown as unknown:
                LOG.warning("%s: %s", self._thread.name, unknown)
            except Superseded as superseded:
                LOG.error("%s", superseded)  # noqa: TRY400 - the sentence says it all
                return
            except EvacuatorError as error:
                LOG.error("%s: %s", self._thread.name, error)  # noqa: TRY400
            except Exception:
                LOG.exception("%s failed; it will be tried again", self._thread.name)


class ComputeService:
    """A compute manager with its timers and its workers.

    The order of a start: register, clean and beat, and only then listen to messages and pick up what waits.
    """

    def __init__(
        self,
        manager: ComputeManager,
        workers: Workers,
        intervals: Intervals,
        listen: Callable[[], Callable[[], None]],
    ) -> None:
        self._manager = manager
        self._workers = workers
        self._intervals = intervals
        self._listen = listen
        self._stop_listening: Callable[[], None] | None = None
        self._registered = False
        self._periodic: list[Periodic] = []

    def start(self) -> bool:
        """Start; False when the host is not up yet, its hypervisor being silent, say: the timers go on trying."""
        name, every = self._manager.host.name, self._intervals
        up = self._try_first_beat()
        self._periodic = [
            Periodic(f"{name} heartbeat", every.report, self._beat),
            Periodic(f"{name} sweep", every.sweep, self._manager.sweep),
            Periodic(f"{name} orphans", every.orphans, self._manager.settle, jitter=0.5),
            Periodic(f"{name} clean", every.clean, self._manager.clean),
            Periodic(f"{name} power", every.power_sync, self._manager.sync_power),
        ]
        return up

    def stop(self, timeout: float = 10.0) -> None:
        """Stop listening and timing, and let the work in hand come to an end for ``timeout`` seconds.

        What does not is left as it is recorded, for the next start.
        """
        for periodic in self._periodic:
            periodic.stop()
        if self._stop_listening is not None:
            self._stop_listening()
        for periodic in self._periodic:
            periodic.join(timeout)
        if not self._workers.stop(timeout):
            LOG.warning("%s: work is still in hand; the next start goes on with it", self._manager.host.name)
        self._manager.host.driver.close()

    def _try_first_beat(self) -> bool:
        try:
            return self._beat()
        except HypervisorUnknown as unknown:
            LOG.warning("%s: %s", self._manager.host.name, unknown)
            return False

    def _beat(self) -> bool:
        if not self._registered:
            self._manager.start()
            self._registered = True
        up = self._manager.beat()
        if up and self._stop_listening is None:
            self._stop_listening = self._listen()
            self._manager.sweep()
        return up
