"""The heartbeat: what makes a host up, and tells it that something was taken from it."""

import logging

from evacuator import metrics
from evacuator.compute.cleaning import Cleaner
from evacuator.compute.host import Host
from evacuator.engine import service
from evacuator.engine.service import Pulse
from evacuator.errors import EvacuatorError, HypervisorUnknown

LOG = logging.getLogger(__name__)


class Superseded(EvacuatorError):
    """Another compute manager registered for this host, or its service was deleted."""

    message = (
        "Another compute manager has registered for host {host}, or its service was deleted: this one stops. "
        "To have the host managed from here, start this process again."
    )


class Heartbeat:
    """Beats for a host whose hypervisor answers and which is clean up to the epoch that the database holds.

    One mechanism for three things: a host that was evacuated, that was forced down, or that restarted finds its
    heartbeat refused, cleans, and only then beats with the new epoch.
    """

    def __init__(self, host: Host, pulse: Pulse, cleaner: Cleaner) -> None:
        self._host = host
        self._pulse = pulse
        self._cleaner = cleaner
        self.up = False

    def beat(self) -> bool:
        """Report up once; False when the host may not be, until it can.

        :raises Superseded: this manager must stop.
        """
        try:
            self.up = self._beat()
            if self.up:
                metrics.heard(self._host.name, self._host.clock)
        except Superseded:
            self.up = False
            raise
        return self.up

    def _beat(self) -> bool:
        host = self._host
        try:
            host.driver.facts()
            if service.beat(host.engine, self._pulse):
                return True
            epoch = service.epoch_to_clean(host.engine, self._pulse)
            if epoch is None:
                raise Superseded(host=host.name)
            if not self._cleaner.clean():
                LOG.warning("%s: a stale guest still runs here, so this host is not up", host.name)
                return False
        except HypervisorUnknown as unknown:
            # After a silence the guests may be others than before: clean first, also when nothing was evacuated.
            self._pulse.epoch = None
            LOG.warning("%s: no heartbeat: %s", host.name, unknown)
            return False
        self._pulse.epoch = epoch
        return service.beat(host.engine, self._pulse)
