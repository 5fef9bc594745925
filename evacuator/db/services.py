"""Services: who is up, who is silent, and which release each runs. Every judgement on time is the database's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, case, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session

from evacuator.db.clock import now, seconds_ago
from evacuator.db.models import COMPUTE_BINARY, Instance, Migration, Service
from evacuator.db.writes import Facts, add, change, count, remove, table_of
from evacuator.errors import HostNotMapped, ServiceNotFound
from evacuator.evacuation.transitions import UNFINISHED, Status

SERVICES = table_of(Service)
HERE = SERVICES.c

#: What a service's epoch becomes when something is taken from its host.
NEXT_EPOCH = HERE.epoch + 1


@dataclass(frozen=True)
class Heard:
    """A service and what the database says of it at this moment.

    ``age``: seconds since it was heard last, None if never. ``witnessed``: another compute service was heard without
    a gap for the whole down time, so that silence proves something.
    """

    service: Service
    up: bool
    silent: bool
    witnessed: bool
    now: datetime

    @property
    def age(self) -> float | None:
        """Seconds since the service was heard last."""
        if self.service.last_seen is None:
            return None
        return (self.now - self.service.last_seen).total_seconds()


def _heard_within(seconds: float) -> ColumnElement[bool]:
    return func.coalesce(HERE.last_seen, HERE.created_at) >= seconds_ago(seconds)


def is_up(down_time: float) -> ColumnElement[bool]:
    """Fresh, not forced down, and clean. A heartbeat from the future (a clock was set back) is fresh."""
    return and_(
        HERE.last_seen >= seconds_ago(down_time),
        not_(HERE.forced_down),
        HERE.cleaned_epoch == HERE.epoch,
    )


def _witnessed(down_time: float) -> ColumnElement[bool]:
    # A database outage, or our own restart, makes everybody silent at once. Silence counts only if somebody else
    # could be heard all along; gaps of half the down time leave a living host time for several heartbeats.
    other = SERVICES.alias().c
    return exists().where(
        other.binary == COMPUTE_BINARY,
        other.host != HERE.host,
        other.last_seen >= seconds_ago(down_time / 2),
        other.up_since <= seconds_ago(down_time),
    )


def is_silent(down_time: float) -> ColumnElement[bool]:
    """Not heard for the down time, while another compute service was."""
    return and_(not_(_heard_within(down_time)), _witnessed(down_time))


def listing(session: Session, down_time: float, host: str | None = None, binary: str | None = None) -> list[Heard]:
    """Return services by host name."""
    wanted = {name: value for name, value in (("host", host), ("binary", binary)) if value is not None}
    rows = session.execute(_listing(down_time, frozenset(wanted)), wanted).all()
    return [Heard(service, bool(up), bool(silent), bool(seen), _moment(at)) for service, up, silent, seen, at in rows]


@cache
def _listing(down_time: float, by: frozenset[str]) -> Select[Service, bool, bool, bool, datetime]:
    return (
        select(Service, is_up(down_time), not_(_heard_within(down_time)), _witnessed(down_time), now())
        .where(*(HERE[name] == bindparam(name) for name in sorted(by)))
        .order_by(Service.id)
    )


def _moment(at: datetime | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def of_host(session: Session, host: str, down_time: float) -> Heard | None:
    """Return the compute service of ``host``."""
    return next(iter(listing(session, down_time, host=host, binary=COMPUTE_BINARY)), None)


def get(session: Session, service_id: int | str) -> Service:
    """Return a service by its number or, since 2.53, its uuid.

    :raises ServiceNotFound:
    """
    column = Service.id if isinstance(service_id, int) else Service.uuid
    service = session.scalars(select(Service).where(column == service_id)).one_or_none()
    if service is None:
        raise ServiceNotFound(service_id=service_id)
    return service


def by_host(session: Session, host: str, binary: str = COMPUTE_BINARY) -> Service:
    """Return the service of ``host``.

    :raises HostNotMapped:
    """
    service = session.scalars(select(Service).where(Service.host == host, Service.binary == binary)).one_or_none()
    if service is None:
        raise HostNotMapped(host=host)
    return service


def some_older_than(version: int) -> ColumnElement[bool]:
    """Whether any compute service is older than ``version``; see :func:`older_than`."""
    # Two looks, so that every database finds each by its index.
    return or_(
        exists().where(HERE.binary == COMPUTE_BINARY, HERE.version.is_(None)),
        exists().where(HERE.binary == COMPUTE_BINARY, HERE.version < version),
    )


def older_than(session: Session, version: int, most: int = 20) -> Sequence[tuple[str, int]]:
    """Return (host, version) of compute services older than ``version``, oldest first.

    Down and disabled ones count: they may come back at any moment. One that reported no version is version 0.
    """
    reported = func.coalesce(Service.version, 0)
    statement = (
        select(Service.host, reported)
        .where(Service.binary == COMPUTE_BINARY, or_(Service.version.is_(None), Service.version < version))
        .order_by(reported, Service.host)
        .limit(most)
    )
    return [(host, found) for host, found in session.execute(statement).all()]


def prove_down(session: Session, host: str, down_time: float) -> bool:
    """Write that something is being taken from ``host``, if it is forced down or provably silent; False if not.

    The proof is the write: the host's next heartbeat carries the old epoch, finds no row, and cleans up first.
    """
    its_row = {"host": host, "binary": COMPUTE_BINARY}
    if change(session, Service, {**its_row, "forced_down": True}, {"epoch": NEXT_EPOCH}):
        return True
    # The witness is looked for in a read of its own: MariaDB locks every row that a write looks at, and the heartbeats
    # of a living host would wait for whoever takes something from a dead one. What somebody else was heard to say by
    # then stays said; that the host itself was not heard since is what the write tests.
    heard = of_host(session, host, down_time)
    if heard is None or not (heard.silent and heard.witnessed):
        return False
    not_heard_since = {**its_row, "last_seen": heard.service.last_seen}
    return change(session, Service, not_heard_since, {"epoch": NEXT_EPOCH}) == 1


def must_clean(session: Session, host: str | None) -> None:
    """Write that something of ``host`` is not its own any more: it must clean before it is up."""
    change(session, Service, {"host": host, "binary": COMPUTE_BINARY}, {"epoch": NEXT_EPOCH})


def register(session: Session, host: str, uuid: str, incarnation: str, version: int) -> None:
    """Record that a compute manager started on ``host``: it must clean before its first heartbeat is taken."""
    fresh = {"incarnation": incarnation, "version": version}
    if not change(session, Service, {"host": host, "binary": COMPUTE_BINARY}, {**fresh, "epoch": NEXT_EPOCH}):
        add(session, Service, {"uuid": uuid, "host": host, "binary": COMPUTE_BINARY, **fresh})


_EPOCH_OF = select(Service.epoch).where(
    Service.host == bindparam("its_host"),
    Service.binary == COMPUTE_BINARY,
    Service.incarnation == bindparam("its_incarnation"),
)


def epoch_of(session: Session, host: str, incarnation: str) -> int | None:
    """Return the epoch of ``host``; None when another incarnation has registered, or the service was deleted."""
    return session.scalar(_EPOCH_OF, {"its_host": host, "its_incarnation": incarnation})


def beat(session: Session, host: str, incarnation: str, epoch: int, down_time: float) -> bool:
    """Say that ``host`` is alive and clean up to ``epoch``; False when its row says otherwise."""
    mine = {"its_host": host, "its_incarnation": incarnation, "its_epoch": epoch}
    return count(session, _beat(down_time), mine) == 1


@cache
def _beat(down_time: float) -> Update:
    # One that follows a heartbeat from the future begins anew, too: nobody knows how long the clock was set back.
    gap = or_(HERE.last_seen.is_(None), HERE.last_seen < seconds_ago(down_time / 2), HERE.last_seen > now())
    return (
        update(SERVICES)
        .where(
            HERE.host == bindparam("its_host"),
            HERE.binary == COMPUTE_BINARY,
            HERE.incarnation == bindparam("its_incarnation"),
            HERE.epoch == bindparam("its_epoch"),
        )
        # In this order: MariaDB computes each value from what those before it have written already.
        .ordered_values(
            ("up_since", case((or_(gap, HERE.up_since.is_(None)), now()), else_=HERE.up_since)),
            ("last_seen", now()),
            ("cleaned_epoch", HERE.epoch),
        )
    )


def edit(session: Session, service: Service, values: Facts) -> None:
    """Write what an operator set: disabled, its reason, forced down."""
    change(session, Service, {"id": service.id}, {**values, "updated_at": now()})


def owes_cleaning(session: Session, host: str) -> bool:
    """Tell whether evacuations away from ``host`` are done but not cleaned up there."""
    statement = select(Migration.id).where(Migration.status == Status.DONE, Migration.source_compute == host).limit(1)
    return session.scalar(statement) is not None


def what_holds(session: Session, host: str) -> str | None:
    """Say what keeps the service of ``host`` from being forgotten; None when nothing does."""
    hosting = select(Instance.id).where(Instance.host == host, not_(Instance.deleted)).limit(1)
    if session.scalar(hosting) is not None:
        return "is hosting instances; evacuate, migrate or delete them first"
    named = or_(Migration.source_compute == host, Migration.dest_compute == host)
    if session.scalar(select(Migration.id).where(Migration.status.in_(UNFINISHED), named).limit(1)) is not None:
        return "has in-progress migrations; wait for them to end"
    return None


def delete(session: Session, service: Service) -> None:
    """Forget a service."""
    remove(session, Service, {"id": service.id})
