"""Cleaning by inventory: whatever the hypervisor has that does not belong here is stopped or removed."""

import logging

from evacuator.compute.host import Host
from evacuator.db.models import Migration
from evacuator.engine import clean
from evacuator.errors import DriverError, HypervisorUnknown
from evacuator.evacuation.cleaning import Verdict, verdict
from evacuator.virt.driver import DiskSource, KnownGuest

LOG = logging.getLogger(__name__)

#: Who holds an instance's lock longer than this is working on it; cleaning comes back to it.
PATIENCE_SECONDS = 1.0


class Cleaner:
    """Makes a host's guests what the database says they should be."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def clean(self) -> bool:
        """Go through the whole inventory; False while a stale guest still runs, so that the host must not be up.

        :raises HypervisorUnknown: the inventory is not known, so nothing is clean.
        """
        driver, name = self._host.driver, self._host.name
        self._take_keys_back()
        ours = clean.settled_here(self._host.engine, name)
        clean_now = all([self._settle(guest) for guest in driver.inventory() if guest.uuid not in ours])  # noqa: C419 - every one
        present = {guest.uuid for guest in driver.inventory()}
        for record in clean.cleaned(self._host.engine, name, present):
            self._complete(record)
        return clean_now

    def _complete(self, record: Migration) -> None:
        """End an evacuation whose guest is gone. Its disk stays out of the way of another that comes back here."""
        try:
            if record.disk == DiskSource.REPLACED:
                self._host.driver.set_aside(record.instance_uuid, f"migration {record.id}")
        except DriverError as error:
            LOG.warning("%s: %s", self._host.name, error)
        else:
            clean.complete_cleaned(self._host.engine, self._host.name, record.id)

    def _take_keys_back(self) -> None:
        try:
            self._host.driver.take_keys_back()
        except (DriverError, HypervisorUnknown) as error:
            # What it means for the host is said by its inventory.
            LOG.warning("%s: could not take back what an interrupted start may have left: %s", self._host.name, error)

    def look_again(self, uuid: str) -> None:
        """Settle one guest, whose evacuation turned out not to be ours any more; the caller holds its lock."""
        guest = self._host.driver.find(uuid)
        if guest is not None:
            self._carry_out(guest)

    def _settle(self, guest: KnownGuest) -> bool:
        if self._judge(guest) in (Verdict.KEEP, Verdict.REPORT):
            return True
        with self._host.locks.hold(guest.uuid, PATIENCE_SECONDS) as held:
            return held and self._carry_out(guest)

    def _carry_out(self, guest: KnownGuest) -> bool:
        judged = self._judge(guest)
        driver, cause = self._host.driver, f"cleaning of {self._host.name}"
        try:
            if judged == Verdict.STOP:
                # It runs elsewhere, or soon will: there is no time to ask it.
                driver.power_off(guest.uuid, cause, hard=True)
            elif judged in (Verdict.REMOVE, Verdict.REMOVE_WITH_DISKS):
                LOG.info("%s: guest %s does not belong here: %s", self._host.name, guest.uuid, judged)
                driver.destroy(guest.uuid, cause, disks=judged == Verdict.REMOVE_WITH_DISKS)
            else:
                return True
        except DriverError as error:
            LOG.warning("%s: could not %s stale guest %s: %s", self._host.name, judged, guest.uuid, error)
        left = driver.find(guest.uuid)
        return left is None or not left.running

    def _judge(self, guest: KnownGuest) -> Verdict:
        ownership = clean.ownership_of(self._host.engine, self._host.name, guest.uuid)
        judged = verdict(self._host.name, ownership, marked=guest.marked)
        if judged == Verdict.REPORT:
            LOG.warning("%s: guest %s is not known to have been ours; left alone", self._host.name, guest.uuid)
        return judged
