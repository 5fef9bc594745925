"""``evacuator all-in-one`` with a hypervisor driver that breaks a promise: the first argument says which."""

import sys

from evacuator.cmd import main, wiring
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings


class StartsThenStops(SimulatedDriver):
    """Does what Nova 2.95 does: a guest that is evacuated is started, and stopped at once."""

    def define(self, guest, disk, cause):
        super().define(guest, disk, cause)
        if cause.startswith("migration"):
            self.power_on(guest.uuid, cause)
            self.power_off(guest.uuid, cause)


class NeverStarts(SimulatedDriver):
    """Says that it started a guest of an evacuation, and did not."""

    def power_on(self, uuid, cause, keys=()):
        if not cause.startswith("migration"):
            super().power_on(uuid, cause, keys)


class KeepsStaleGuests(SimulatedDriver):
    """Says that it removed a guest, and did not."""

    def destroy(self, uuid, cause, *, disks):
        """Do nothing."""


BROKEN = {cls.__name__: cls for cls in (StartsThenStops, NeverStarts, KeepsStaleGuests)}

if __name__ == "__main__":
    broken, *arguments = sys.argv[1:]
    wiring.DRIVERS["simulated"] = lambda conf, host, state_dir: BROKEN[broken](
        host, state_dir / FOLDER, SimulatedSettings.from_conf(conf)
    )
    sys.exit(main.main(arguments))
