"""The compute manager of release 1: ``python -m tests.services.release_1.compute HOST CONFIG STATE_DIR``.

It keeps the protocol in the database, but knows no target state: whatever was not stopped it starts. Nothing here is
shared with today's release but the hypervisor (which is the machine's, not the release's), so that nothing here changes
when that does: the messages and the SQL are written out as they were.
"""

import json
import logging
import signal
import sys
import threading
from pathlib import Path
from uuid import uuid4

import oslo_messaging
from oslo_config import cfg
from sqlalchemy import Connection, create_engine, text

from evacuator.virt.driver import DiskSource, Guest
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings
from tests.services.release_1.orders import waiting_orders

LOG = logging.getLogger("release_1")
VERSION = 1
REPORT_INTERVAL = 0.5
SWEEP_INTERVAL = 1.0

REBUILD = "compute_rebuild_instance"

CLOCK = {"mysql": "UTC_TIMESTAMP(6)", "postgresql": "(clock_timestamp() AT TIME ZONE 'UTC')"}


class NotOurs(Exception):
    """A conditional write found its row changed."""


class Serializer(oslo_messaging.NoOpSerializer):
    """Release 1 knows version 1.0 of its two objects, and nothing newer."""

    KNOWN = ("Migration", "Instance")

    def deserialize_entity(self, context, entity):
        if isinstance(entity, dict) and "evacuator_object.name" in entity:
            name, version = entity["evacuator_object.name"], entity["evacuator_object.version"]
            if name not in self.KNOWN or version != "1.0":
                message = f"release 1 does not know {name} {version}"
                raise ValueError(message)
            return entity["evacuator_object.data"]
        return entity


class Endpoint:
    """RPC 1.0."""

    target = oslo_messaging.Target(version="1.0")

    def __init__(self, manager):
        self._manager = manager

    def rebuild_instance(self, _context, instance, migration):
        LOG.info("received rebuild_instance 1.0 of migration %s: %s", migration["id"], sorted(migration))
        assert set(migration) <= {
            "id", "uuid", "instance_uuid", "status", "source_compute", "dest_compute",
        }, migration  # fmt: skip
        assert set(instance) <= {"uuid", "host", "vm_state", "vcpus", "memory_mb", "disk_gb"}, instance
        self._manager.wake.set()

    def carry_out_order(self, _context, instance_uuid, order_id):
        LOG.info("received carry_out_order 1.0 of %s: %s", instance_uuid, order_id)
        self._manager.wake.set()


class Manager:
    """One host."""

    def __init__(self, host: str, url: str, state_dir: Path) -> None:
        self.host = host
        self.incarnation = str(uuid4())
        self.wake = threading.Event()
        self.driver = SimulatedDriver(host, state_dir / FOLDER, SimulatedSettings())
        self.engine = create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
        self.now = CLOCK[self.engine.dialect.name]

    def write(self, connection: Connection, statement: str, **values) -> None:
        """Write exactly one row."""
        if connection.execute(text(statement.replace(":now", self.now)), values).rowcount != 1:
            raise NotOurs(statement)

    def start(self) -> None:
        """Register; the host is up with the first heartbeat."""
        statement = (
            "UPDATE services SET incarnation = :incarnation, version = :version, epoch = epoch + 1 WHERE host = :host"
        )
        with self.engine.begin() as connection:
            self.write(connection, statement, incarnation=self.incarnation, version=VERSION, host=self.host)

    def beat(self) -> None:
        """Report up, after cleaning where the epoch says so."""
        beat = (
            "UPDATE services SET last_seen = :now, cleaned_epoch = :epoch WHERE host = :host "
            "AND incarnation = :incarnation AND epoch = :epoch"
        )
        with self.engine.begin() as connection:
            row = connection.execute(
                text("SELECT epoch, cleaned_epoch FROM services WHERE host = :host AND incarnation = :incarnation"),
                {"host": self.host, "incarnation": self.incarnation},
            ).one_or_none()
        if row is None:
            LOG.error("superseded")
            raise SystemExit(1)
        if row.epoch != row.cleaned_epoch:
            self.clean()
        with self.engine.begin() as connection:
            self.write(connection, beat, epoch=row.epoch, host=self.host, incarnation=self.incarnation)

    def clean(self) -> None:
        """Remove what was evacuated from here, and complete the records."""
        with self.engine.connect() as connection:
            for guest in self.driver.inventory():
                row = connection.execute(
                    text("SELECT host, evacuation_id FROM instances WHERE uuid = :uuid"), {"uuid": guest.uuid}
                ).one_or_none()
                if row is not None and row.host != self.host and row.evacuation_id is None:
                    self.driver.destroy(guest.uuid, f"cleaning of {self.host}", disks=False)
            done = connection.execute(
                text("SELECT id, instance_uuid FROM migrations WHERE status = 'done' AND source_compute = :host"),
                {"host": self.host},
            ).all()
        for record in done:
            with self.engine.begin() as connection:
                self.write(
                    connection,
                    "UPDATE migrations SET status = 'completed', updated_at = :now WHERE id = :id AND status = 'done'",
                    id=record.id,
                )
                self.release(connection, record.instance_uuid, self.host)

    def release(self, connection: Connection, uuid: str, host: str) -> None:
        """Give back what an instance takes of a host, if it takes anything."""
        claim = connection.execute(
            text("SELECT id, vcpus, memory_mb, disk_gb FROM allocations WHERE instance_uuid = :uuid AND host = :host"),
            {"uuid": uuid, "host": host},
        ).one_or_none()
        if claim is None:
            return
        self.write(connection, "DELETE FROM allocations WHERE id = :id", id=claim.id)
        self.write(
            connection,
            "UPDATE compute_nodes SET vcpus_used = vcpus_used - :vcpus, memory_mb_used = memory_mb_used - :memory, "
            "local_gb_used = local_gb_used - :disk, claims = claims - 1 WHERE host = :host",
            vcpus=claim.vcpus, memory=claim.memory_mb, disk=claim.disk_gb, host=host,
        )  # fmt: skip

    def begin_event(self, connection: Connection, uuid: str, request_id: str, event: str) -> None:
        """Record that this host's part of what was asked begins, unless it has begun already."""
        asked = "SELECT max(id) FROM instance_actions WHERE instance_uuid = :uuid AND request_id = :request"
        action = connection.execute(text(asked), {"uuid": uuid, "request": request_id}).scalar_one()
        part = {"action": action, "event": event}
        begun = "SELECT id FROM instance_actions_events WHERE action_id = :action AND event = :event"
        if connection.execute(text(f"{begun} AND finish_time IS NULL"), part).first() is None:
            self.write(
                connection,
                "INSERT INTO instance_actions_events (action_id, event, start_time, host) "
                "VALUES (:action, :event, :now, :host)",
                **part, host=self.host,
            )  # fmt: skip

    def end_event(self, connection: Connection, uuid: str, request_id: str, event: str) -> None:
        """Record that this host's part of what was asked succeeded, and with it the whole."""
        asked = "instance_uuid = :uuid AND request_id = :request"
        self.write(
            connection,
            "UPDATE instance_actions_events SET finish_time = :now, result = 'Success' WHERE event = :event "
            f"AND finish_time IS NULL AND action_id = (SELECT max(id) FROM instance_actions WHERE {asked})",
            uuid=uuid, request=request_id, event=event,
        )  # fmt: skip
        self.write(
            connection,
            f"UPDATE instance_actions SET finish_time = :now, updated_at = :now WHERE {asked}",
            uuid=uuid, request=request_id,
        )  # fmt: skip

    def sweep(self) -> None:
        """Carry out every evacuation to this host that this release may take, and every order that waits for it."""
        for record in self.waiting_evacuations():
            try:
                self.rebuild(record)
            except NotOurs as lost:
                LOG.info("migration %s is not ours any more: %s", record.id, lost)
        for order in waiting_orders(self):
            try:
                order.carry_out()
            except NotOurs as lost:
                LOG.info("order %s is not ours any more: %s", order.id, lost)

    def waiting_evacuations(self) -> list:
        with self.engine.connect() as connection:
            return connection.execute(
                text(
                    "SELECT id, uuid, status, attempt, instance_uuid, source_compute, vm_state_before, request_id "
                    "FROM migrations WHERE dest_compute = :host AND status IN ('accepted', 'pre-migrating') "
                    "AND min_service_version <= :version ORDER BY id"
                ),
                {"host": self.host, "version": VERSION},
            ).all()

    def rebuild(self, record) -> None:
        """Claim, define, own, power on, record; in release 1 whatever was not stopped is started."""
        attempt = record.attempt + 1
        with self.engine.begin() as connection:
            self.write(
                connection,
                "UPDATE migrations SET status = 'pre-migrating', attempt = :next, updated_at = :now WHERE id = :id "
                "AND status = :status AND attempt = :attempt AND min_service_version <= :version",
                next=attempt, id=record.id, status=record.status, attempt=record.attempt, version=VERSION,
            )  # fmt: skip
            instance = connection.execute(
                text("SELECT * FROM instances WHERE uuid = :uuid"), {"uuid": record.instance_uuid}
            ).one()
            self.begin_event(connection, record.instance_uuid, record.request_id, REBUILD)
        cause = f"migration {record.id} attempt {attempt}"
        guest = Guest(
            uuid=instance.uuid, name=f"instance-{instance.id:08x}", vcpus=instance.vcpus,
            memory_mb=instance.memory_mb, disk_gb=instance.disk_gb, image_ref=instance.image_ref,
            project_id=instance.project_id, definition=instance.definition,
        )  # fmt: skip
        self.driver.define(guest, DiskSource.EXISTING, cause)
        starts = record.vm_state_before != "stopped"
        mine = {"uuid": instance.uuid, "evacuation": record.uuid, "me": self.host, "source": record.source_compute}
        held = "WHERE uuid = :uuid AND evacuation_id = :evacuation AND host IN (:me, :source)"
        if starts:
            with self.engine.begin() as connection:
                self.write(connection, f"UPDATE instances SET host = :me, updated_at = :now {held}", **mine)
            self.driver.power_on(instance.uuid, cause)
        state, power = ("active", 1) if starts else ("stopped", 4)
        with self.engine.begin() as connection:
            self.write(
                connection,
                "UPDATE instances SET host = :me, vm_state = :state, power_state = :power, task_state = NULL, "
                f"evacuation_id = NULL, order_id = NULL, updated_at = :now {held}",
                **mine, state=state, power=power,
            )  # fmt: skip
            self.write(
                connection,
                "UPDATE migrations SET status = 'done', disk = 'existing', updated_at = :now WHERE id = :id "
                "AND status = 'pre-migrating' AND attempt = :attempt",
                id=record.id, attempt=attempt,
            )  # fmt: skip
            self.end_event(connection, record.instance_uuid, record.request_id, REBUILD)


def main(host: str, files: list[str], state_dir: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    conf = cfg.CONF
    conf.register_opts([cfg.StrOpt("connection")], group="database")
    conf([], project="release-1", default_config_files=files)
    manager = Manager(host, conf.database.connection, Path(state_dir))
    manager.start()
    manager.clean()
    manager.beat()
    transport = oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])
    target = oslo_messaging.Target(topic="compute", server=host)
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint(manager)], serializer=Serializer())
    server.start()
    sys.stdout.write(f"{host} is up\n")
    sys.stdout.flush()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def beats() -> None:
        while not stopping.wait(REPORT_INTERVAL):
            try:
                manager.beat()
            except NotOurs:
                LOG.info("the heartbeat was refused; cleaning")

    threading.Thread(target=beats, daemon=True).start()
    while not stopping.is_set():
        manager.wake.wait(SWEEP_INTERVAL)
        manager.wake.clear()
        manager.sweep()
    server.stop()
    transport.cleanup()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
