"""What the API lists: filters, order and pages. Nothing here writes."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from oslo_db import exception as db_errors
from sqlalchemy import JSON, ColumnElement, Select, Text, and_, case, cast, false, func, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from evacuator.db import services
from evacuator.db.actions import find as find_action
from evacuator.db.flavors import find as find_flavor
from evacuator.db.models import (
    COMPUTE_BINARY,
    ComputeNode,
    Flavor,
    Instance,
    InstanceAction,
    InstanceActionEvent,
    Migration,
    Model,
    Service,
)
from evacuator.db.numbers import is_number
from evacuator.errors import ActionNotFound, InstanceNotFound, Invalid, NotFound

Column = InstrumentedAttribute[Any]


@dataclass(frozen=True)
class Page:
    """Which part of a list: at most ``limit`` rows after the one named ``marker``, in the order of ``sort``.

    ``sort``: (key, "asc" or "desc"), the first decides first; keys that are no columns are passed over.
    """

    limit: int
    marker: str | None = None
    sort: Sequence[tuple[str, str]] = ()


#: What versions that know of no pages show.
EVERYTHING = Page(1_000_000)


# -- servers


class Server(NamedTuple):
    """An instance, the name of the hypervisor of its host, and the zone of that host, or else the one asked for."""

    instance: Instance
    hypervisor_hostname: str | None
    zone: str | None


@dataclass(frozen=True)
class InState:
    """``vm_state`` with one of ``task_states``, or with none of ``other_than``."""

    vm_state: str
    task_states: Collection[str] | None = None
    other_than: Collection[str] = ()


@dataclass(frozen=True)
class ServerFilter:
    """Which servers. None asks for all of them; ``equal`` and ``matching`` (regular expressions) are by column.

    Among the columns of ``equal`` are the ``availability_zone`` and the ``node`` that servers are shown with.
    """

    project_id: str | None = None
    deleted: bool | None = False
    equal: Mapping[str, Any] = field(default_factory=dict)
    matching: Mapping[str, str] = field(default_factory=dict)
    states: Sequence[InState] | None = None
    flavor_id: str | None = None
    changes_since: datetime | None = None
    changes_before: datetime | None = None
    all_tags: Collection[str] = ()
    any_tag: Collection[str] = ()
    not_all_tags: Collection[str] = ()
    no_tag: Collection[str] = ()


#: What servers can be sorted by, where the name is not that of the column.
SERVER_SORT_ALIASES = {"node": "host", "locked_by": "locked_by_owner"}


def server(session: Session, uuid: str, project_id: str | None = None) -> Server:
    """Return a server that is not deleted, and that belongs to ``project_id`` where that is given.

    :raises InstanceNotFound:
    """
    found = _one_server(session, uuid, project_id, not_(Instance.deleted))
    if found is None:
        raise InstanceNotFound(uuid=uuid)
    return found


def server_even_deleted(session: Session, uuid: str, project_id: str | None = None) -> Server:
    """Return a server, deleted or not.

    :raises InstanceNotFound:
    """
    found = _one_server(session, uuid, project_id, true())
    if found is None:
        raise InstanceNotFound(uuid=uuid)
    return found


def servers(session: Session, wanted: ServerFilter, page: Page) -> list[Server]:
    """Return a page of servers, newest first unless the page says otherwise.

    :raises Invalid: the marker is no server of the project, or the database cannot read a regular expression.
    """
    order = _order(Instance, page.sort, SERVER_SORT_ALIASES) or [_Key(Instance.created_at, descending=True)]
    order.append(_Key(Instance.id, descending=order[-1].descending))
    statement = _all_servers().where(*_server_conditions(wanted))
    if page.marker is not None:
        marker = _one_server(session, page.marker, wanted.project_id, true())
        if marker is None:
            raise Invalid(reason=f"marker [{page.marker}] not found")
        statement = statement.where(_after(order, marker.instance))
    statement = statement.order_by(*(part for key in order for part in key.order())).limit(page.limit)
    try:
        return [Server(*row) for row in session.execute(statement)]
    except db_errors.DBError as error:
        if not wanted.matching:
            raise
        raise Invalid(reason=f"The database cannot read one of these: {dict(wanted.matching)}") from error


#: Where an instance is; where it has no host, where it shall be.
ZONE = func.coalesce(Service.availability_zone, Instance.availability_zone)

#: What its hypervisor calls itself; of a host that has none any more, the host.
NODE = func.coalesce(ComputeNode.hypervisor_hostname, Instance.host)

#: What is not in the row of the instance.
ELSEWHERE: Mapping[str, ColumnElement[Any]] = {"availability_zone": ZONE, "node": NODE}


def _all_servers() -> "Select[Instance, str | None, str | None]":
    return (
        select(Instance, ComputeNode.hypervisor_hostname, ZONE)
        .outerjoin(ComputeNode, ComputeNode.host == Instance.host)
        .outerjoin(Service, and_(Service.host == Instance.host, Service.binary == COMPUTE_BINARY))
    )


def _one_server(session: Session, uuid: str, project_id: str | None, also: ColumnElement[bool]) -> Server | None:
    statement = _all_servers().where(Instance.uuid == uuid, also)
    if project_id is not None:
        statement = statement.where(Instance.project_id == project_id)
    row = session.execute(statement).one_or_none()
    return Server(*row) if row else None


def _server_conditions(wanted: ServerFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.project_id is not None:
        yield Instance.project_id == wanted.project_id
    if wanted.deleted is not None:
        yield Instance.deleted == wanted.deleted
    for name, value in wanted.equal.items():
        column = ELSEWHERE[name] if name in ELSEWHERE else getattr(Instance, name)
        yield column.in_(value) if isinstance(value, list | tuple | set | frozenset) else column == value
    for name, pattern in wanted.matching.items():
        yield getattr(Instance, name).regexp_match(pattern)
    if wanted.states is not None:
        yield or_(false(), *(_is_in(state) for state in wanted.states))
    if wanted.flavor_id is not None:
        yield Instance.flavor["id"].as_string() == wanted.flavor_id
    yield from _changed(Instance, wanted.changes_since, wanted.changes_before)
    yield from (_tagged(tag) for tag in wanted.all_tags)
    if wanted.any_tag:
        yield or_(*(_tagged(tag) for tag in wanted.any_tag))
    if wanted.not_all_tags:
        yield not_(and_(*(_tagged(tag) for tag in wanted.not_all_tags)))
    yield from (not_(_tagged(tag)) for tag in wanted.no_tag)


def _is_in(state: InState) -> ColumnElement[bool]:
    here = Instance.vm_state == state.vm_state
    if state.task_states is not None:
        return and_(here, Instance.task_state.in_(state.task_states))
    if state.other_than:
        return and_(here, or_(Instance.task_state.is_(None), Instance.task_state.not_in(state.other_than)))
    return here


def _tagged(tag: str) -> ColumnElement[bool]:
    # Tags are one JSON list; as text each stands there between quotes, on every database.
    return cast(Instance.tags, Text).contains(json.dumps(tag), autoescape=True)


# -- hosts and services


class HostState(NamedTuple):
    """The compute service of a host, and whether it is up at this moment."""

    service: Service
    up: bool


def host_states(session: Session, hosts: Iterable[str | None], down_time: float) -> dict[str, HostState]:
    """Return the compute services of ``hosts`` by host."""
    names = {host for host in hosts if host is not None}
    if not names:
        return {}
    statement = select(Service, services.is_up(down_time)).where(
        Service.binary == COMPUTE_BINARY, Service.host.in_(names)
    )
    return {service.host: HostState(service, bool(up)) for service, up in session.execute(statement)}


class Hypervisor(NamedTuple):
    """A compute node, its service, and whether that is up at this moment."""

    node: ComputeNode
    service: Service
    up: bool


def hypervisors(session: Session, down_time: float, page: Page, name_part: str | None = None) -> list[Hypervisor]:
    """Return a page of hypervisors by id; only those with ``name_part`` in their host name where that is given.

    :raises Invalid: the marker is no hypervisor.
    """
    statement = _all_hypervisors(down_time).order_by(ComputeNode.id).limit(page.limit)
    if name_part is not None:
        statement = statement.where(ComputeNode.hypervisor_hostname.contains(name_part, autoescape=True))
    if page.marker is not None:
        column = ComputeNode.id if is_number(page.marker) else ComputeNode.uuid
        marker = session.scalar(select(ComputeNode.id).where(column == _number_or_text(page.marker)))
        if marker is None:
            raise Invalid(reason=f"marker [{page.marker}] not found")
        statement = statement.where(ComputeNode.id > marker)
    return [Hypervisor(node, service, bool(up)) for node, service, up in session.execute(statement)]


def hypervisor(session: Session, hypervisor_id: str, down_time: float) -> Hypervisor:
    """Return a hypervisor by its number or its uuid.

    :raises NotFound:
    """
    column = ComputeNode.id if is_number(hypervisor_id) else ComputeNode.uuid
    statement = _all_hypervisors(down_time).where(column == _number_or_text(hypervisor_id))
    row = session.execute(statement).one_or_none()
    if row is None:
        raise NotFound(reason=f"Hypervisor with ID '{hypervisor_id}' could not be found.")
    return Hypervisor(row[0], row[1], bool(row[2]))


def instances_by_host(session: Session, hosts: Iterable[str]) -> dict[str, list[Instance]]:
    """Return the instances that are not deleted, by the host allowed to run them."""
    found: dict[str, list[Instance]] = {host: [] for host in hosts}
    statement = select(Instance).where(Instance.host.in_(found), not_(Instance.deleted)).order_by(Instance.id)
    for instance in session.scalars(statement):
        found[instance.host or ""].append(instance)
    return found


def _all_hypervisors(down_time: float) -> "Select[ComputeNode, Service, bool]":
    return select(ComputeNode, Service, services.is_up(down_time)).join(
        Service, (Service.host == ComputeNode.host) & (Service.binary == COMPUTE_BINARY)
    )


def _number_or_text(value: str) -> int | str:
    return int(value) if is_number(value) else value


# -- migrations


@dataclass(frozen=True)
class MigrationFilter:
    """Which migrations. ``host``: the source or the destination."""

    equal: Mapping[str, Any] = field(default_factory=dict)
    host: str | None = None
    changes_since: datetime | None = None
    changes_before: datetime | None = None


class MigrationEnds(NamedTuple):
    """A migration, and the nodes of its two hosts as far as they are still known."""

    migration: Migration
    source: ComputeNode | None
    destination: ComputeNode | None


def migrations(session: Session, wanted: MigrationFilter, page: Page) -> list[MigrationEnds]:
    """Return a page of the migrations of instances that still are: by id, or as the page says.

    :raises Invalid: the marker is no migration.
    """
    order = _order(Migration, page.sort) or [_Key(Migration.id, descending=False)]
    source, destination = aliased(ComputeNode), aliased(ComputeNode)
    # One look for each row of the page. A join, databases may begin at the instances, all of which they then sort.
    its_instance_is_deleted = select(Instance.deleted).where(Instance.uuid == Migration.instance_uuid).scalar_subquery()
    statement = (
        select(Migration, source, destination)
        .outerjoin(source, source.host == Migration.source_compute)
        .outerjoin(destination, destination.host == Migration.dest_compute)
        .where(not_(its_instance_is_deleted), *_migration_conditions(wanted))
    )
    if page.marker is not None:
        marker = session.scalars(select(Migration).where(Migration.uuid == page.marker)).one_or_none()
        if marker is None:
            raise Invalid(reason=f"Marker {page.marker} could not be found.")
        statement = statement.where(_after(order, marker))
    statement = statement.order_by(*(part for key in order for part in key.order())).limit(page.limit)
    return [MigrationEnds(*row) for row in session.execute(statement)]


def _migration_conditions(wanted: MigrationFilter) -> Iterable[ColumnElement[bool]]:
    for name, value in wanted.equal.items():
        yield getattr(Migration, name) == value
    if wanted.host is not None:
        yield or_(Migration.source_compute == wanted.host, Migration.dest_compute == wanted.host)
    yield from _changed(Migration, wanted.changes_since, wanted.changes_before)


# -- instance actions


@dataclass(frozen=True)
class ActionFilter:
    """Which actions of one instance."""

    instance_uuid: str
    changes_since: datetime | None = None
    changes_before: datetime | None = None


def actions(session: Session, wanted: ActionFilter, page: Page) -> list[InstanceAction]:
    """Return a page of the actions of an instance, newest first.

    :raises Invalid: the marker is no request id of the instance.
    """
    order = [_Key(InstanceAction.start_time, descending=True), _Key(InstanceAction.id, descending=True)]
    statement = select(InstanceAction).where(
        InstanceAction.instance_uuid == wanted.instance_uuid,
        *_changed(InstanceAction, wanted.changes_since, wanted.changes_before),
    )
    if page.marker is not None:
        marker = find_action(session, wanted.instance_uuid, page.marker)
        if marker is None:
            raise Invalid(reason=f"Marker {page.marker} could not be found.")
        statement = statement.where(_after(order, marker))
    statement = statement.order_by(*(part for key in order for part in key.order())).limit(page.limit)
    return list(session.scalars(statement))


def action(
    session: Session, instance_uuid: str, request_id: str
) -> tuple[InstanceAction, Sequence[InstanceActionEvent]]:
    """Return an action of an instance and its events, newest first.

    :raises ActionNotFound:
    """
    found = find_action(session, instance_uuid, request_id)
    if found is None:
        raise ActionNotFound(request_id=request_id)
    events = session.scalars(
        select(InstanceActionEvent)
        .where(InstanceActionEvent.action_id == found.id)
        .order_by(InstanceActionEvent.start_time.desc(), InstanceActionEvent.id.desc())
    )
    return found, events.all()


# -- flavors


@dataclass(frozen=True)
class FlavorFilter:
    """Which flavors: with at least that much memory (MiB) and disk (GiB). ``sees_private``: see ``flavors.get``."""

    sees_private: bool = False
    is_public: bool | None = True
    min_memory_mb: int = 0
    min_root_gb: int = 0


def flavors(session: Session, wanted: FlavorFilter, page: Page) -> list[Flavor]:
    """Return a page of flavors, by the id that clients use unless the page says otherwise.

    :raises Invalid: the marker is no flavor.
    """
    order = _order(Flavor, page.sort) or [_Key(Flavor.flavorid, descending=False)]
    order.append(_Key(Flavor.id, descending=False))
    statement = select(Flavor).where(
        Flavor.memory_mb >= wanted.min_memory_mb, Flavor.root_gb >= wanted.min_root_gb, Flavor.disabled.is_(False)
    )
    if wanted.is_public is not None:
        statement = statement.where(Flavor.is_public.is_(wanted.is_public))
    if page.marker is not None:
        marker = find_flavor(session, page.marker, sees_private=wanted.sees_private)
        if marker is None:
            raise Invalid(reason=f"marker [{page.marker}] not found")
        statement = statement.where(_after(order, marker))
    statement = statement.order_by(*(part for key in order for part in key.order())).limit(page.limit)
    return list(session.scalars(statement))


# -- order and pages


@dataclass(frozen=True)
class _Key:
    """A column to sort by; null comes before everything else, on every database."""

    column: Column
    descending: bool

    def order(self) -> list[ColumnElement[Any]]:
        parts = [self._not_null(), self.column] if _is_nullable(self.column) else [self.column]
        return [part.desc() if self.descending else part.asc() for part in parts]

    def equal_to(self, value: Any) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == value

    def beyond(self, value: Any) -> ColumnElement[bool]:
        if value is None:
            return false() if self.descending else self.column.is_not(None)
        greater: ColumnElement[bool] = self.column > value
        if not self.descending:
            return greater
        smaller: ColumnElement[bool] = self.column < value
        return or_(smaller, self.column.is_(None)) if _is_nullable(self.column) else smaller

    def _not_null(self) -> ColumnElement[int]:
        return case((self.column.is_(None), 0), else_=1)


def _is_nullable(column: Column) -> bool:
    return bool(column.property.columns[0].nullable)


def _order(model: type[Model], sort: Sequence[tuple[str, str]], aliases: Mapping[str, str] | None = None) -> list[_Key]:
    names = [((aliases or {}).get(key, key), direction == "desc") for key, direction in sort]
    # PostgreSQL has no order for JSON.
    columns = {name for name, column in model.__table__.columns.items() if not isinstance(column.type, JSON)}
    return [_Key(getattr(model, name), descending) for name, descending in names if name in columns]


def _after(order: Sequence[_Key], row: Any) -> ColumnElement[bool]:
    """Come after ``row``: equal in the first keys, and beyond it in the next."""
    values = [getattr(row, key.column.key) for key in order]
    return or_(
        *(
            and_(*(order[i].equal_to(values[i]) for i in range(n)), order[n].beyond(values[n]))
            for n in range(len(order))
        )
    )


def _changed(
    model: type[Instance | Migration | InstanceAction], since: datetime | None, before: datetime | None
) -> Iterable[ColumnElement[bool]]:
    begun = model.start_time if issubclass(model, InstanceAction) else model.created_at
    changed = func.coalesce(model.updated_at, begun)
    if since is not None:
        yield changed >= since
    if before is not None:
        yield changed <= before
