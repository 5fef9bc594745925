"""The mains switch of a simulated host."""

import time
from collections.abc import Callable
from pathlib import Path

from evacuator.virt.simulated.journal import require_known
from evacuator.virt.simulated.machine import Machine


class Mains:
    """The mains switch of one simulated host: what ``evacuator host power-off`` and ``power-on`` turn.

    :raises NotFound: there is no such host.
    """

    def __init__(self, root: Path, host: str) -> None:
        require_known(root, host)
        self._machine = Machine(root, host)

    @property
    def on(self) -> bool:
        """Whether the mains are on."""
        return self._machine.mains_on

    def switch_off(self, clock: Callable[[], float] = time.time) -> list[str]:
        """Cut the mains: nothing answers or starts there any more. Return the guests that died."""
        with self._machine.locked():
            # The switch first: if we die within the loop, the host is off and the next call goes on from here.
            self._machine.set_mains(on=False)
            return self._kill(clock)

    def switch_on(self, clock: Callable[[], float] = time.time) -> bool:
        """Give the mains back; guests stay off, as on a host without autostart. Return whether it was off."""
        with self._machine.locked():
            if self._machine.mains_on:
                return False
            # What an interrupted switch_off left running must not come back to life.
            self._kill(clock)
            self._machine.set_mains(on=True)
            return True

    def _kill(self, clock: Callable[[], float]) -> list[str]:
        self._machine.take_keys_back()
        running = [file for file in self._machine.read_all() if file.known.running]
        for file in running:
            self._machine.stop(file, clock(), "mains off")
        return [file.guest.uuid for file in running]
