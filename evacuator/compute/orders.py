"""Carry out what was ordered for this host's own instances: create, start, stop, reboot, delete."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evacuator.compute.host import Host, guest_of
from evacuator.db.models import Instance
from evacuator.engine import delete, orders
from evacuator.errors import DriverError, KeyUnavailable, Overtaken
from evacuator.evacuation.states import PowerState, TaskState, VmState
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource

LOG = logging.getLogger(__name__)

STARTED: Mapping[str, Any] = {
    "vm_state": VmState.ACTIVE,
    "power_state": PowerState.RUNNING,
    "state_before_failure": None,
    "fault": None,
    "fault_at": None,
}
STOPPED = {**STARTED, "vm_state": VmState.STOPPED, "power_state": PowerState.SHUTDOWN}


@dataclass(frozen=True)
class Work:
    """How an order is carried out: the name of its event, what is done, and whether a refusal is an ERROR."""

    event: str
    carry_out: Callable[["OrderBook", Instance, str], Mapping[str, Any] | None]
    becomes_error: bool = False
    launches: bool = False


class OrderBook:
    """Works on the orders that wait for this host. Every order may be repeated after a crash.

    When the hypervisor does not answer, the order stays in the book.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def carry_out(self, uuid: str, order_id: str) -> None:
        """Carry out an order, if it is still the current one of an instance of this host."""
        host = self._host
        with host.locks.hold(uuid):
            try:
                instance = host.proven(lambda: orders.begin_order(host.engine, host.name, uuid, order_id, EVENTS))
                self._carry_out(WORK[str(instance.task_state)], instance, order_id)
            except Overtaken as overtaken:
                LOG.info("%s: order %s for %s is void: %s", host.name, order_id, uuid, overtaken)

    def _carry_out(self, work: Work, instance: Instance, order_id: str) -> None:
        where = (self._host.engine, self._host.name, instance.uuid, order_id, work.event)
        try:
            states = work.carry_out(self, instance, order_id)
        except (DriverError, KeyUnavailable) as error:
            orders.fail_order(*where, error, becomes_error=work.becomes_error)
            return
        if states is not None:
            orders.complete_order(*where, states, launched=work.launches)

    def create(self, instance: Instance, order_id: str) -> Mapping[str, Any]:
        """Make the guest and its disk, and start it."""
        self._host.driver.define(guest_of(instance), DiskSource.NEW, order_id)
        return self._power_on(instance, order_id)

    def start(self, instance: Instance, order_id: str) -> Mapping[str, Any]:
        """Start the guest; after a failed evacuation away from here it may have to be defined again.

        Where its keys cannot be had it may run all the same: by this very order, if we died before we could say so.
        """
        driver = self._host.driver
        driver.define(guest_of(instance), DiskSource.EXISTING, order_id)
        try:
            return self._power_on(instance, order_id)
        except KeyUnavailable:
            found = driver.find(instance.uuid)
            if found is not None and found.power_state == PowerState.RUNNING:
                return STARTED
            raise

    def stop(self, instance: Instance, order_id: str) -> Mapping[str, Any]:
        """Stop the guest."""
        self._host.driver.power_off(instance.uuid, order_id)
        return STOPPED

    def reboot(self, instance: Instance, order_id: str) -> Mapping[str, Any]:
        """Restart the guest: a power-on like any other, unless it restarts by itself.

        Until it is known that it did not, the proof is too old to start anything on. As for a start, the guest may have
        to be defined again: somebody may have undefined it, and this is what is said to bring it back.
        """
        driver = self._host.driver
        keys = self._keys_of(instance, order_id)
        if instance.task_state == TaskState.REBOOTING:
            self._prove(instance, order_id)
            if driver.reboot_softly(instance.uuid, order_id):
                return STARTED
        driver.define(guest_of(instance), DiskSource.EXISTING, order_id)
        self._prove(instance, order_id)
        driver.reboot(instance.uuid, order_id, keys)
        return STARTED

    def delete(self, instance: Instance, order_id: str) -> None:
        """Remove the guest and its disks; with that the instance is gone.

        Its disk may be another host's by now, so that this needs as fresh a proof as a power-on.
        """
        self._prove(instance, order_id)
        self._host.driver.destroy(instance.uuid, order_id, disks=True)
        delete.bury_destroyed(self._host.engine, self._host.name, instance.uuid, order_id)

    def _power_on(self, instance: Instance, order_id: str) -> Mapping[str, Any]:
        keys = self._keys_of(instance, order_id)
        self._prove(instance, order_id)
        self._host.driver.power_on(instance.uuid, order_id, keys)
        return STARTED

    def _keys_of(self, instance: Instance, order_id: str) -> tuple[Key, ...]:
        return self._host.keys_of(instance, order_id, lambda: self._prove_once(instance, order_id))

    def _prove(self, instance: Instance, order_id: str) -> None:
        self._host.proven(lambda: self._prove_once(instance, order_id))

    def _prove_once(self, instance: Instance, order_id: str) -> None:
        orders.prove_order(self._host.engine, self._host.name, instance.uuid, order_id)


WORK: Mapping[str, Work] = {
    TaskState.SPAWNING: Work("compute__do_build_and_run_instance", OrderBook.create, becomes_error=True, launches=True),
    TaskState.POWERING_ON: Work("compute_start_instance", OrderBook.start, launches=True),
    TaskState.POWERING_OFF: Work("compute_stop_instance", OrderBook.stop),
    TaskState.REBOOTING: Work("compute_reboot_instance", OrderBook.reboot),
    TaskState.REBOOTING_HARD: Work("compute_reboot_instance", OrderBook.reboot),
    TaskState.DELETING: Work("compute_terminate_instance", OrderBook.delete),
}
EVENTS = {task_state: work.event for task_state, work in WORK.items()}
