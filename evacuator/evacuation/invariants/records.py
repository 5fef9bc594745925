"""I3: what holds an instance has a record, and every record ends. I7: every compute service is one that we know."""

from collections.abc import Iterator

from evacuator.evacuation.invariants.codes import Code, Finding
from evacuator.evacuation.invariants.facts import InstanceFacts, RecordFacts, Site
from evacuator.evacuation.states import TaskState
from evacuator.versions import SERVICE_VERSION, SERVICE_VERSION_HISTORY


def locks(site: Site) -> Iterator[Finding]:
    """Compare unfinished records with the instances that they hold, both ways."""
    census = site.census
    for record in census.records:
        instance = census.instance.get(record.instance)
        held = instance is not None and not instance.deleted and instance.evacuation_id == record.uuid
        if record.unfinished and not held:
            yield Finding(
                Code.RECORD_WITHOUT_LOCK,
                f"migration {record.id}",
                f"It is {record.status}, but does not hold instance {record.instance}.",
                # SQL for a person to read and run.
                f"UPDATE migrations SET status = 'failed' WHERE id = {record.id} AND status = '{record.status}';",  # noqa: S608
            )
    for instance in census.instances:
        if not instance.deleted and instance.evacuation_id and _record_of(site, instance) is None:
            yield Finding(
                Code.LOCK_WITHOUT_RECORD,
                f"instance {instance.uuid}",
                f"It is held by evacuation {instance.evacuation_id}, of which there is no unfinished record.",
                _reset(instance),
            )


def _record_of(site: Site, instance: InstanceFacts) -> RecordFacts | None:
    record = site.census.unfinished_of(instance)
    return record if record and record.instance == instance.uuid else None


def tasks(site: Site) -> Iterator[Finding]:
    """Find tasks that nobody works on, and orders that an evacuation should have made void."""
    for instance in site.census.instances:
        if instance.deleted:
            continue
        if not _has_work(instance):
            yield Finding(
                Code.TASK_WITHOUT_WORK,
                f"instance {instance.uuid}",
                f"Its task state is {instance.task_state or 'empty'}, its order {instance.order_id or 'none'}, its "
                f"evacuation {instance.evacuation_id or 'none'}: these do not fit, so nobody will end it.",
                _reset(instance),
            )
        if instance.evacuation_id and instance.order_id:
            yield Finding(
                Code.ORDER_DURING_EVACUATION,
                f"instance {instance.uuid}",
                f"Order {instance.order_id} waits for its host although an evacuation holds it.",
                _reset(instance),
            )


def _has_work(instance: InstanceFacts) -> bool:
    if instance.task_state == TaskState.REBUILDING:
        return instance.evacuation_id is not None
    return (instance.task_state is None) == (instance.order_id is None)


def endings(site: Site) -> Iterator[Finding]:
    """Find evacuations that should have ended.

    Only the time counts in which a compute service was there to end them.
    """
    census, bound = site.census, site.bounds.evacuation
    lived = max((census.now - service.up_since for service in census.services if service.up_since), default=None)
    for record in census.records:
        age = census.now - record.accepted_at
        if not record.unfinished or age <= bound:
            continue
        since = f"It has been {record.status} since {age:.0f} s"
        if lived is None:
            yield Finding(
                Code.RECORD_WAITS,
                f"migration {record.id}",
                f"{since}; an evacuation ends within {bound:.0f} s while a compute service is up, but none is.",
                _manage(record.destination),
            )
        elif lived > bound:
            yield _late(record, since, age, bound, census.beside(record), census.now)


def _late(record: RecordFacts, since: str, age: float, bound: float, others: int, now: float) -> Finding:
    """Judge an evacuation that is older than one that waits for no other may be.

    Who waits for a host that works on others waits for the end of each, and is found to do so again and again.
    """
    takes = f"It takes instance {record.instance} from {record.source} to {record.destination}"
    assigned = now - (record.assigned_at or record.accepted_at)
    if assigned <= bound and age <= bound * (1 + others):
        return Finding(
            Code.RECORD_QUEUED,
            f"migration {record.id}",
            f"{since}. {takes}, which worked on others {assigned:.0f} s ago. With {others} beside it, it ends within "
            f"{bound * (1 + others):.0f} s.",
            "evacuator watch",
        )
    return Finding(
        Code.RECORD_STUCK,
        f"migration {record.id}",
        f"{since}; an evacuation ends within {bound:.0f} s. {takes}.",
        f"openstack server set --state error {record.instance}",
    )


def orders(site: Site) -> Iterator[Finding]:
    """Find orders that a host which is up tries again and again, for want of an answer of its hypervisor."""
    census, bound = site.census, site.bounds.order
    for instance in census.instances:
        if instance.deleted or instance.host is None or instance.order_id is None or instance.ordered_at is None:
            continue
        age = census.now - instance.ordered_at
        if min(age, census.up_for(instance.host)) > bound:
            yield Finding(
                Code.ORDER_STUCK,
                f"instance {instance.uuid}",
                f"It has been {instance.task_state} since {age:.0f} s, while its host {instance.host} was up for the "
                f"last {bound:.0f} s: order {instance.order_id} comes to no end there.",
                _reset(instance),
            )


def hosts(site: Site) -> Iterator[Finding]:
    """Find instances and evacuations on hosts that nobody serves."""
    census = site.census
    for instance in census.instances:
        if not instance.deleted and instance.host and instance.host not in census.known_hosts:
            sentence = f"It is on host {instance.host}, which has no compute service or no compute node."
            yield _unknown(f"instance {instance.uuid}", sentence, instance.host)
    for record in census.records:
        if record.unfinished and record.destination not in census.known_hosts:
            sentence = f"It is {record.status} and goes to host {record.destination}, which has no compute service."
            yield _unknown(f"migration {record.id}", sentence, record.destination)


def _unknown(subject: str, sentence: str, host: str | None) -> Finding:
    return Finding(Code.UNKNOWN_HOST, subject, sentence, _manage(host))


def versions(site: Site) -> Iterator[Finding]:
    """Compare the versions of the compute services with the history."""
    known = {release.version for release in SERVICE_VERSION_HISTORY}
    for service in site.census.services:
        if service.version in known:
            continue
        restart = _manage(service.host)
        if service.version is not None and service.version > SERVICE_VERSION:
            sentence = f"It runs version {service.version}, newer than this program, which knows {SERVICE_VERSION}."
            yield Finding(Code.VERSION_NEWER, f"host {service.host}", sentence, "evacuator upgrade-check")
        else:
            said = "no version" if service.version is None else f"version {service.version}, which never was"
            sentence = f"Its compute service reported {said}: it counts as too old for microversion 2.95."
            yield Finding(Code.VERSION_UNKNOWN, f"host {service.host}", sentence, restart)


def _reset(instance: InstanceFacts) -> str:
    return f"openstack server set --state error {instance.uuid}"


def _manage(host: str | None) -> str:
    """Start the compute manager of a host. On another machine it would take that one's guests for the host's."""
    return f"evacuator compute --host {host or 'NAME'}  # on the machine of that host"
