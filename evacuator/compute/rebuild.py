"""Carry out one evacuation on its destination: claim, define, own, power, record."""

import logging

from evacuator import metrics
from evacuator.compute.cleaning import Cleaner
from evacuator.compute.host import Host, guest_of
from evacuator.engine import claim, fail, finish, own
from evacuator.engine.claim import Assignment
from evacuator.errors import DriverError, HypervisorUnknown, KeyUnavailable, Overtaken, SharedStorageMismatch
from evacuator.virt.driver import DiskSource

LOG = logging.getLogger(__name__)

#: An evacuation whose guest could not even be defined for want of an answer ends after as many attempts.
MOST_ATTEMPTS = 20


class Rebuilder:
    """Works on the evacuations whose destination this host is. Every step may be repeated after a crash."""

    def __init__(self, host: Host, cleaner: Cleaner) -> None:
        self._host = host
        self._cleaner = cleaner

    def rebuild(self, migration_id: int, instance_uuid: str, attempt: int | None) -> None:
        """Carry out an evacuation, if it is still this host's to carry out."""
        host = self._host
        with host.locks.hold(instance_uuid):
            assignment = claim.claim_evacuation(host.engine, host.name, migration_id, attempt, host.version)
            if assignment is None:
                return
            try:
                with metrics.phase("attempt"):
                    self._carry_out(assignment)
            except Overtaken as overtaken:
                # The acknowledgement of our own commit may have been lost, or somebody else has the instance now.
                LOG.info("migration %s: %s; looking again", migration_id, overtaken)
                self._cleaner.look_again(instance_uuid)

    def _carry_out(self, assignment: Assignment) -> None:
        if assignment.record.attempt > MOST_ATTEMPTS:
            self._give_up(assignment, f"It was begun {MOST_ATTEMPTS} times and never came to an end: see the logs of")
            return
        disk = self._disk_of(assignment)
        try:
            _check_storage(assignment)
            with metrics.phase("define"):
                self._host.driver.define(guest_of(assignment.instance), disk, assignment.cause)
        except DriverError as error:
            self._refused(assignment, error, disk, owned=assignment.owned)
            return
        try:
            if assignment.ends_running:
                self._start(assignment, disk)
            else:
                finish.finish_stopped(self._host.engine, self._host.name, assignment, disk)
        except Overtaken as overtaken:
            if disk is not DiskSource.REPLACED:
                raise
            # Else the disk would lie here until an evacuation comes that takes it for the instance's.
            LOG.info("migration %s: %s; taking back what was made for it", assignment.record.id, overtaken)
            self._cleaner.take_back(assignment, disk)

    def _disk_of(self, assignment: Assignment) -> DiskSource:
        """Keep the disk, unless it was lost with its host, came from an image, and the operator allows to replace it.

        The disks of an adopted guest are where its definition says, and of them there is no image.
        """
        instance = assignment.instance
        lost = not assignment.shares_storage and not assignment.record.on_shared_storage
        of_image = instance.image_ref is not None and instance.definition is None
        return DiskSource.REPLACED if lost and of_image and self._host.rebuild_from_image else DiskSource.EXISTING

    def _start(self, assignment: Assignment, disk: DiskSource) -> None:
        host = self._host
        try:
            keys = host.keys_of(
                assignment.instance,
                assignment.record.request_id,
                lambda: own.prove_attempt(host.engine, host.name, assignment),
            )
        except KeyUnavailable as unavailable:
            self._leave_to_owner(assignment, disk, unavailable)
            return
        host.proven(lambda: own.own_instance(host.engine, host.name, assignment))
        try:
            with metrics.phase("power_on"):
                host.driver.power_on(assignment.instance.uuid, assignment.cause, keys)
        except DriverError as error:
            self._refused(assignment, error, disk, owned=True)
        except HypervisorUnknown as unknown:
            self._give_up(assignment, f"{unknown} Whether the instance was started is not known: look on", owned=True)
        else:
            finish.finish_running(host.engine, host.name, assignment, disk)

    def _leave_to_owner(self, assignment: Assignment, disk: DiskSource, why: KeyUnavailable) -> None:
        """End an evacuation whose guest needs a key that is not to be had: it is not started, whatever was begun.

        If it runs, an earlier attempt of this host started it and died before it could say so.
        """
        host = self._host
        guest = host.driver.find(assignment.instance.uuid) if assignment.owned else None
        if guest is not None and guest.running:
            finish.finish_running(host.engine, host.name, assignment, disk)
        else:
            finish.finish_stopped(host.engine, host.name, assignment, disk, why)

    def _refused(self, assignment: Assignment, error: DriverError, disk: DiskSource, *, owned: bool) -> None:
        """The hypervisor would not: give the instance back to its source, then forget the guest.

        The source has the good copy of a disk that this evacuation replaced, so that the new one goes with the guest.
        In this order, because until it is written down somebody else may end the evacuation, to whom both would belong;
        and only if they are still nobody's by then.
        """
        host, uuid = self._host, assignment.instance.uuid
        if owned:
            try:
                guest = host.driver.find(uuid)
            except (DriverError, HypervisorUnknown) as left:
                self._give_up(assignment, f"{error} {left} Whether the instance runs is not known: look on", owned=True)
                return
            if guest is not None and guest.running:
                finish.finish_running(host.engine, host.name, assignment, disk)
                return
        if assignment.owned and disk is DiskSource.REPLACED:
            # An earlier attempt may have started it: what was written since is on the new disk and nowhere else.
            self._give_up(
                assignment, f"{error} An earlier attempt may have started the instance on its new disk: look on"
            )
            return
        fail.fail_at_source(host.engine, assignment, str(error))
        self._cleaner.take_back(assignment, disk)

    def _give_up(self, assignment: Assignment, reason: str, *, owned: bool = False) -> None:
        """End it where it is: with this host once it owns the instance, with the source before."""
        host = self._host
        if owned or assignment.owned:
            way_out = f"{reason} {host.name}, or fence that host and evacuate again."
            fail.fail_at_destination(host.engine, assignment, way_out)
        else:
            fail.fail_at_source(host.engine, assignment, f"{reason} {host.name}, then evacuate again.")


def _check_storage(assignment: Assignment) -> None:
    """Hold what the caller said of the storage (below 2.14) against what the two hosts publish."""
    said, shared = assignment.record.on_shared_storage, assignment.shares_storage
    if said is not None and said != shared:
        source, destination = assignment.record.source_compute, assignment.record.dest_compute
        do = "share" if shared else "do not share"
        raise SharedStorageMismatch(
            reason=f"The request says onSharedStorage = {said}, but hosts {source} and {destination} {do} theirs."
        )
