"""What release 1 does with an order for one of its own instances: build, start, stop, reboot, delete.

As in ``compute``, the SQL is written out as it was, and the hypervisor is the machine's.
"""

import logging

from sqlalchemy import text

from evacuator.virt.driver import DiskSource, Guest

LOG = logging.getLogger("release_1")

#: The instance, as long as an order is its current one and this host's.
HELD = "WHERE uuid = :uuid AND host = :me AND order_id = :order_id AND evacuation_id IS NULL AND NOT deleted"

RUNS = "vm_state = 'active', power_state = 1, state_before_failure = NULL, fault = NULL, fault_at = NULL"
RESTS = "vm_state = 'stopped', power_state = 4, state_before_failure = NULL, fault = NULL, fault_at = NULL"
LAUNCHED = f"{RUNS}, launched_at = :now"
GONE = "vm_state = 'deleted', power_state = 0, deleted = TRUE, terminated_at = :now"


class Order:
    """One order, in the hands of its host."""

    def __init__(self, manager, instance):
        self.manager = manager
        self.instance = instance
        self.uuid, self.id = instance.uuid, instance.order_id
        self.event, self.work, self.left = WORK[instance.task_state]

    def carry_out(self):
        """Take it in hand, do it, and record what it left."""
        with self.manager.engine.begin() as connection:
            self.prove(connection)
            self.manager.begin_event(connection, self.uuid, self.id, self.event)
        self.work(self)
        with self.manager.engine.begin() as connection:
            self.write(connection, f"{self.left}, task_state = NULL, order_id = NULL, updated_at = :now")
            if self.left is GONE:
                self.release_all(connection)
            self.manager.end_event(connection, self.uuid, self.id, self.event)

    def write(self, connection, values):
        who = {"uuid": self.uuid, "me": self.manager.host, "order_id": self.id}
        self.manager.write(connection, f"UPDATE instances SET {values} {HELD}", **who)

    def prove(self, connection):
        self.write(connection, "updated_at = :now")

    def proven(self):
        """What every power-on follows, and every removal of a disk."""
        with self.manager.engine.begin() as connection:
            self.prove(connection)

    def release_all(self, connection):
        claims = connection.execute(
            text("SELECT host FROM allocations WHERE instance_uuid = :uuid ORDER BY host"), {"uuid": self.uuid}
        ).all()
        for claim in claims:
            self.manager.release(connection, self.uuid, claim.host)

    def define(self, disk):
        instance = self.instance
        guest = Guest(
            uuid=instance.uuid, name=f"instance-{instance.id:08x}", vcpus=instance.vcpus,
            memory_mb=instance.memory_mb, disk_gb=instance.disk_gb, image_ref=instance.image_ref,
            project_id=instance.project_id, definition=instance.definition,
        )  # fmt: skip
        self.manager.driver.define(guest, disk, self.id)

    def build(self):
        self.define(DiskSource.NEW)
        self.proven()
        self.manager.driver.power_on(self.uuid, self.id)

    def start(self):
        self.define(DiskSource.EXISTING)
        self.proven()
        self.manager.driver.power_on(self.uuid, self.id)

    def stop(self):
        self.manager.driver.power_off(self.uuid, self.id)

    def reboot(self):
        self.define(DiskSource.EXISTING)
        self.proven()
        self.manager.driver.reboot(self.uuid, self.id)

    def delete(self):
        self.proven()
        self.manager.driver.destroy(self.uuid, self.id, disks=True)


#: By task state: the event, what is done, and what that leaves.
WORK = {
    "spawning": ("compute__do_build_and_run_instance", Order.build, LAUNCHED),
    "powering-on": ("compute_start_instance", Order.start, LAUNCHED),
    "powering-off": ("compute_stop_instance", Order.stop, RESTS),
    "rebooting": ("compute_reboot_instance", Order.reboot, RUNS),
    "rebooting_hard": ("compute_reboot_instance", Order.reboot, RUNS),
    "deleting": ("compute_terminate_instance", Order.delete, GONE),
}


def waiting_orders(manager):
    """Return the orders that wait for this host."""
    with manager.engine.connect() as connection:
        waiting = "SELECT * FROM instances WHERE host = :me AND order_id IS NOT NULL AND NOT deleted ORDER BY id"
        return [Order(manager, instance) for instance in connection.execute(text(waiting), {"me": manager.host}).all()]
