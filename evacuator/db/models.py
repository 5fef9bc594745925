"""The tables. A model is what was read; every write is a conditional statement in the noun's own file.

Tables and columns bear Nova's names where Nova has them. Times are UTC by the database's clock.
"""

import html
import re
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Boolean, Computed, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from evacuator.db.clock import Moment, now

COMPUTE_BINARY = "nova-compute"

#: The zone of every host that no aggregate puts into another.
DEFAULT_ZONE = "nova"

#: Where the definition of an adopted guest names it: before anything else that has a name.
_NAME = re.compile(r"<name>([^<]+)</name>")


class Model(DeclarativeBase):
    """What all tables share: constraint names that Alembic can speak of on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: Moment,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }
    # A host is a name to the letter on every database, so that "A" and "a" are two.
    __table_args__: Any = {  # noqa: RUF012
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
    }


def _table_args(*constraints: Any) -> tuple[Any, ...]:
    return (*constraints, Model.__table_args__)


class Service(Model):
    """A process that serves a host; only compute services here.

    Up is: heard within the down time, not forced down, and ``cleaned_epoch = epoch``, which says that the host has
    cleaned up after the last evacuation away from it. ``up_since`` is reset by a heartbeat that follows a gap, so
    that it tells since when the service has been heard without one. ``incarnation`` is new at each start.
    """

    __tablename__ = "services"
    __table_args__ = _table_args(
        UniqueConstraint("host", "binary"),
        Index(None, "binary", "version"),
        Index(None, "binary", "last_seen"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    host: Mapped[str] = mapped_column(String(255))
    binary: Mapped[str] = mapped_column(String(255), default=COMPUTE_BINARY)
    version: Mapped[int | None]
    availability_zone: Mapped[str] = mapped_column(String(255), default=DEFAULT_ZONE)
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    disabled_reason: Mapped[str | None] = mapped_column(String(255))
    forced_down: Mapped[bool] = mapped_column(Boolean, default=False)
    last_seen: Mapped[datetime | None]
    up_since: Mapped[datetime | None]
    incarnation: Mapped[str | None] = mapped_column(String(36))
    epoch: Mapped[int] = mapped_column(default=0)
    cleaned_epoch: Mapped[int] = mapped_column(default=-1)
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime | None]


class ComputeNode(Model):
    """The hypervisor of a host: what it has, and what claims take of it.

    ``*_used`` and ``claims`` (how many there are) change only in the transaction that inserts or deletes a claim.
    ``storage_id``: hosts that publish
    the same one keep their instances' disks on the same storage.
    """

    __tablename__ = "compute_nodes"
    __table_args__ = _table_args(Index(None, "free_memory_mb", "id"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    host: Mapped[str] = mapped_column(String(255), unique=True)
    hypervisor_hostname: Mapped[str] = mapped_column(String(255))
    hypervisor_type: Mapped[str] = mapped_column(String(255))
    hypervisor_version: Mapped[int] = mapped_column(default=0)
    host_ip: Mapped[str | None] = mapped_column(String(39))
    cpu_info: Mapped[dict[str, Any]] = mapped_column(default=dict)
    storage_id: Mapped[str] = mapped_column(String(255))
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    local_gb: Mapped[int]
    vcpus_used: Mapped[int] = mapped_column(default=0)
    memory_mb_used: Mapped[int] = mapped_column(default=0)
    local_gb_used: Mapped[int] = mapped_column(default=0)
    claims: Mapped[int] = mapped_column(default=0)
    free_memory_mb: Mapped[int | None] = mapped_column(Integer, Computed("memory_mb - memory_mb_used", persisted=True))
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime | None]


class Instance(Model):
    """A server.

    ``host`` is the one host allowed to run it. ``evacuation_id`` is the uuid of the unfinished evacuation that holds
    it, or null: this is the lock, ``task_state`` is only what clients see. ``order_id`` is the request whose order
    (build, start, stop, reboot, delete) the host still has to carry out. ``state_before_failure`` is the vm_state
    that a failed evacuation replaced by ERROR, so that a retry can restore it. ``fault`` is what clients are shown in
    ERROR: code, message, details, since ``fault_at``. ``availability_zone`` is the one that was asked for and that it
    must not leave, null for any. ``definition`` is what the hypervisor was told of a guest that we
    did not make but adopted, so that another host can be told the same; null for those made from the template.
    ``key_ids`` are the secrets that open its encrypted disks, as their key manager knows them; null where none are.
    """

    __tablename__ = "instances"
    __table_args__ = _table_args(
        Index(None, "project_id", "deleted", "created_at"),
        Index(None, "deleted", "created_at"),
        Index(None, "host", "deleted"),
        Index(None, "host", "order_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    display_name: Mapped[str] = mapped_column(String(255))
    display_description: Mapped[str | None] = mapped_column(String(255))
    hostname: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    reservation_id: Mapped[str] = mapped_column(String(36))
    launch_index: Mapped[int] = mapped_column(default=0)
    image_ref: Mapped[str | None] = mapped_column(String(255))
    flavor: Mapped[dict[str, Any]]
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]
    instance_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    tags: Mapped[list[str]] = mapped_column(default=list)
    key_name: Mapped[str | None] = mapped_column(String(255))
    user_data: Mapped[str | None] = mapped_column(Text)
    definition: Mapped[str | None] = mapped_column(Text)
    key_ids: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    config_drive: Mapped[str] = mapped_column(String(255), default="")
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    locked: Mapped[bool] = mapped_column(Boolean, default=False)
    locked_by_owner: Mapped[bool] = mapped_column(Boolean, default=False)
    locked_reason: Mapped[str | None] = mapped_column(String(255))

    host: Mapped[str | None] = mapped_column(String(255))
    vm_state: Mapped[str] = mapped_column(String(255))
    task_state: Mapped[str | None] = mapped_column(String(255))
    power_state: Mapped[int] = mapped_column(default=0)
    evacuation_id: Mapped[str | None] = mapped_column(String(36))
    order_id: Mapped[str | None] = mapped_column(String(255))
    state_before_failure: Mapped[str | None] = mapped_column(String(255))
    fault: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    fault_at: Mapped[datetime | None]

    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime | None]
    launched_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]
    # To be compared with = or NOT: for IS FALSE, MariaDB reads the whole table.
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)

    @property
    def instance_name(self) -> str:
        """The name that the hypervisor knows the guest by; an adopted one has it from its definition."""
        told = _NAME.search(self.definition) if self.definition else None
        return html.unescape(told[1]) if told else f"instance-{self.id:08x}"


class Migration(Model):
    """The record of an evacuation; it is the state machine (see ``evacuator.evacuation.transitions``).

    ``attempt`` is raised by every assignment and every claim, and each write compares it. ``final_state`` is decided
    at acceptance and never derived again. ``min_service_version``: a compute older than this may not take it.
    ``host_named``: the caller named the destination, so that no other may replace it. ``assignments`` counts the
    destinations tried, ``assigned_at`` when the last was chosen. ``disk`` says which disk was used: existing or
    replaced.
    """

    __tablename__ = "migrations"
    __table_args__ = _table_args(
        Index(None, "status", "dest_compute"),
        Index(None, "status", "source_compute"),
        Index(None, "source_compute", "created_at"),
        Index(None, "dest_compute", "created_at"),
        Index(None, "instance_uuid", "status"),
        Index(None, "created_at"),
        Index(None, "request_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    instance_uuid: Mapped[str] = mapped_column(String(36), ForeignKey("instances.uuid"))
    migration_type: Mapped[str] = mapped_column(String(16), default="evacuation")
    status: Mapped[str] = mapped_column(String(255))
    attempt: Mapped[int] = mapped_column(default=1)
    source_compute: Mapped[str] = mapped_column(String(255))
    source_node: Mapped[str | None] = mapped_column(String(255))
    dest_compute: Mapped[str | None] = mapped_column(String(255))
    dest_node: Mapped[str | None] = mapped_column(String(255))
    dest_host: Mapped[str | None] = mapped_column(String(39))
    final_state: Mapped[str] = mapped_column(String(16))
    vm_state_before: Mapped[str] = mapped_column(String(255))
    min_service_version: Mapped[int] = mapped_column(default=0)
    on_shared_storage: Mapped[bool | None] = mapped_column(Boolean)
    host_named: Mapped[bool] = mapped_column(Boolean, default=False)
    assignments: Mapped[int] = mapped_column(default=1)
    assigned_at: Mapped[datetime] = mapped_column(default=now())
    request_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str] = mapped_column(String(255))
    disk: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime | None]


class Allocation(Model):
    """A claim: what an instance takes of a host, from before it is there until it is gone from there."""

    __tablename__ = "allocations"
    __table_args__ = _table_args(UniqueConstraint("instance_uuid", "host"), Index(None, "host"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    instance_uuid: Mapped[str] = mapped_column(String(36), ForeignKey("instances.uuid"))
    host: Mapped[str] = mapped_column(String(255))
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]


class InstanceAction(Model):
    """What somebody asked of an instance."""

    __tablename__ = "instance_actions"
    __table_args__ = _table_args(Index(None, "instance_uuid", "request_id"), Index(None, "instance_uuid", "start_time"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    instance_uuid: Mapped[str] = mapped_column(String(36), ForeignKey("instances.uuid"))
    action: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str] = mapped_column(String(255))
    start_time: Mapped[datetime] = mapped_column(default=now())
    finish_time: Mapped[datetime | None]
    message: Mapped[str | None] = mapped_column(String(255))
    updated_at: Mapped[datetime | None]


class InstanceActionEvent(Model):
    """A part of an action, and how it ended: ``result`` is Success, Error or null."""

    __tablename__ = "instance_actions_events"
    __table_args__ = _table_args(Index(None, "action_id", "event"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("instance_actions.id"))
    event: Mapped[str] = mapped_column(String(255))
    start_time: Mapped[datetime] = mapped_column(default=now())
    finish_time: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(String(255))
    traceback: Mapped[str | None] = mapped_column(Text)
    host: Mapped[str | None] = mapped_column(String(255))
    details: Mapped[str | None] = mapped_column(Text)


class Flavor(Model):
    """A size that instances are made in."""

    __tablename__ = "flavors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    flavorid: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    root_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap: Mapped[int] = mapped_column(default=0)
    is_public: Mapped[bool] = mapped_column(Boolean, default=True)
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    rxtx_factor: Mapped[float] = mapped_column(default=1.0)
    description: Mapped[str | None] = mapped_column(Text)
    extra_specs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now())


class Aggregate(Model):
    """A group of hosts. One with an ``availability_zone`` puts its hosts into that."""

    __tablename__ = "aggregates"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    aggregate_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime | None]


class AggregateHost(Model):
    """A host in an aggregate."""

    __tablename__ = "aggregate_hosts"
    __table_args__ = _table_args(UniqueConstraint("aggregate_id", "host"), Index(None, "host"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    aggregate_id: Mapped[int] = mapped_column(ForeignKey("aggregates.id"))
    host: Mapped[str] = mapped_column(String(255))
