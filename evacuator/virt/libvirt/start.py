"""A start that was asked for, and until when it may still be made."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from evacuator.clock import boot_clock
from evacuator.errors import DriverError
from evacuator.keys.manager import Key


@dataclass(frozen=True)
class Start:
    """A start: of which guest, on whose behalf, and with which keys.

    ``begun``: when it was asked for, by the clock that counts the seconds which a suspended machine slept too. Before
    that its host proved that it may run the guest; a proof gets old.
    """

    uuid: str
    cause: str
    keys: Sequence[Key] = ()
    begun: float = field(default_factory=boot_clock)

    def require_prompt(self, host: str, limit: float, now: float) -> None:
        """Go on only within ``limit`` seconds: what goes immediately before the effect.

        :raises DriverError: it took longer; nothing was started.
        """
        if now - self.begun > limit:
            raise DriverError(
                reason=f"The hypervisor of host {host} came to the start of instance {self.uuid} after "
                f"{now - self.begun:.0f} seconds. By then somebody else may have it, so nothing was started: try again."
            )
