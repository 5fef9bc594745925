"""Cleaning by inventory: whatever the hypervisor has that does not belong here is stopped or removed."""

import logging
from collections.abc import Callable

from evacuator.compute.host import Host
from evacuator.db.models import Migration
from evacuator.engine import clean
from evacuator.engine.claim import Assignment
from evacuator.errors import DriverError, FilesOutOfReach, HypervisorUnknown
from evacuator.evacuation.cleaning import MUST_NOT_RUN, Verdict, verdict
from evacuator.virt.driver import DiskSource, KnownGuest, work_of

LOG = logging.getLogger(__name__)

#: Who holds an instance's lock longer than this is working on it; cleaning comes back to it.
PATIENCE_SECONDS = 1.0

#: What is not for us to change.
UNTOUCHED = frozenset({Verdict.KEEP, Verdict.REPORT, Verdict.DISPUTE})


class Cleaner:
    """Makes a host's guests what the database says they should be."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cause = f"cleaning of {host.name}"

    def clean(self) -> bool:
        """Go through the whole inventory; False while a stale guest still runs, so that the host must not be up.

        A guest of which the hypervisor says nothing holds up none of the others.

        :raises HypervisorUnknown: the inventory is not known, so nothing is clean.
        """
        driver, name = self._host.driver, self._host.name
        self._take_keys_back()
        ours = clean.settled_here(self._host.engine, name)
        found = [guest for guest in driver.inventory() if guest.uuid not in ours]
        # What runs comes first: another host may run it, too.
        judged = {guest.uuid: self._settle(guest) for guest in sorted(found, key=lambda guest: not guest.running)}
        # Before the inventory: whoever was frozen between the two would take an older one for an answer.
        owed = clean.owed_by(self._host.engine, name)
        left = driver.inventory()
        present = {guest.uuid for guest in left}
        for record in owed:
            if record.instance_uuid not in present:
                self._complete(record)
        return None not in judged.values() and not any(
            guest.running and judged.get(guest.uuid) in MUST_NOT_RUN for guest in left
        )

    def _complete(self, record: Migration) -> None:
        """End an evacuation whose guest is gone. Its disk stays out of the way of another that comes back here.

        Where this host shares its storage with whoever has the instance now, that is the disk it runs on.
        """
        host, engine = self._host, self._host.engine
        try:
            if record.disk == DiskSource.REPLACED:
                # Whoever was frozen here may have the disk of a server before it that has come back since.
                owed, in_use = host.proven(
                    lambda: (clean.is_owed(engine, record.id), clean.keeps_disk_in_use(engine, record))
                )
                if not owed:
                    return
                if not in_use:
                    host.driver.set_aside(record.instance_uuid, f"migration {record.id}")
        except FilesOutOfReach as error:
            # Nor will they ever be. Where disks are made anew nobody takes an old one for the instance's.
            LOG.warning("%s: %s The old one stays in its place", host.name, error)
        except (DriverError, HypervisorUnknown) as error:
            LOG.warning("%s: %s", host.name, error)
            return
        clean.complete_cleaned(engine, host.name, record.id)

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
            self._carry_out(guest, self._judge, self._cause)

    def take_back(self, assignment: Assignment, disk: DiskSource) -> None:
        """Settle the guest of an evacuation that has failed here, or was taken away; the caller holds its lock.

        With it goes its ``disk``, if the evacuation made that. Neither goes that is another's by now: whoever was
        frozen here may find that the next evacuation, to this very host or to one of its storage, has come and gone.
        """
        engine, name, record = self._host.engine, self._host.name, assignment.record

        def judge(guest: KnownGuest) -> Verdict:
            judged = self._judge(guest)
            made_here = disk is DiskSource.REPLACED and guest.replaced_by == work_of(assignment.cause)
            unused = judged == Verdict.REMOVE and made_here and clean.owns_its_disk(engine, name, record)
            return Verdict.REMOVE_WITH_DISKS if unused else judged

        guest = self._host.driver.find(record.instance_uuid)
        if guest is not None:
            self._carry_out(guest, judge, assignment.cause)

    def _settle(self, guest: KnownGuest) -> Verdict | None:
        """Judge a guest and do what follows; None where somebody is working on it."""
        judged = self._judge(guest)
        if judged in UNTOUCHED:
            self._report(guest, judged)
            return judged
        with self._host.locks.hold(guest.uuid, PATIENCE_SECONDS) as held:
            return self._carry_out(guest, self._judge, self._cause) if held else None

    def _carry_out(self, guest: KnownGuest, judge: Callable[[KnownGuest], Verdict], cause: str) -> Verdict:
        # As fresh as the proof before a power-on: whoever was frozen here may have a guest before it that is another's.
        judged = self._host.proven(lambda: judge(guest))
        driver = self._host.driver
        try:
            if judged == Verdict.STOP:
                # It runs elsewhere, or soon will: there is no time to ask it.
                driver.power_off(guest.uuid, cause, hard=True)
            elif judged in (Verdict.REMOVE, Verdict.REMOVE_WITH_DISKS):
                LOG.info("%s: guest %s does not belong here: %s", self._host.name, guest.uuid, judged)
                driver.destroy(guest.uuid, cause, disks=judged == Verdict.REMOVE_WITH_DISKS)
        except (DriverError, HypervisorUnknown) as error:
            LOG.warning("%s: could not %s stale guest %s: %s", self._host.name, judged, guest.uuid, error)
        return judged

    def _judge(self, guest: KnownGuest) -> Verdict:
        ownership = clean.ownership_of(self._host.engine, self._host.name, guest.uuid)
        return verdict(self._host.name, ownership, marked=guest.marked, running=guest.running)

    def _report(self, guest: KnownGuest, judged: Verdict) -> None:
        if judged == Verdict.REPORT:
            LOG.warning("%s: guest %s is not known to have been ours; left alone", self._host.name, guest.uuid)
        if judged == Verdict.DISPUTE:
            LOG.error(
                "%s: guest %s runs here, but it is recorded on another host, and no evacuation brought it to this one "
                "or left it here. It is left alone, and this host stays down. If this is the hypervisor of that other "
                "host, manage it under that name; if the guest is a stray copy, destroy it",
                self._host.name,
                guest.uuid,
            )
