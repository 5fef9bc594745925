"""I1 and I4 at this moment: who runs where, and whether that is what the database says."""

from collections import defaultdict
from collections.abc import Iterator

from evacuator.evacuation.invariants.codes import Code, Finding
from evacuator.evacuation.invariants.commands import Commands
from evacuator.evacuation.invariants.facts import Census, FoundGuest, InstanceFacts, RecordFacts, Site
from evacuator.evacuation.states import VmState
from evacuator.evacuation.transitions import Status

_SUCCESS = (Status.DONE, Status.COMPLETED)


def copies(site: Site) -> Iterator[Finding]:
    """Find instances that run twice where not even a host that was declared dead explains it."""
    if site.evidence is None:
        return
    hosts: dict[str, list[str]] = defaultdict(list)
    for guest in site.evidence.guests:
        if guest.running and not _is_unfenced(site.census, guest):
            hosts[guest.instance].append(guest.host)
    for uuid, found in hosts.items():
        if len(found) > 1:
            instance = site.census.instance.get(uuid)
            owner = instance.host if instance else None
            wrong = next(host for host in found if host != owner)
            yield Finding(
                Code.TWO_COPIES,
                f"instance {uuid}",
                f"It runs on hosts {' and '.join(sorted(found))}; {owner or 'none of them'} may run it.",
                site.evidence.commands.stop(wrong, uuid),
            )


def places(site: Site) -> Iterator[Finding]:
    """Judge every guest by where its instance belongs."""
    if site.evidence is None:
        return
    for guest in site.evidence.guests:
        if not guest.marked and guest.instance not in site.census.instance:
            continue  # somebody else's, and none of our business
        finding = _judge(site, site.evidence.commands, guest)
        if finding is not None:
            yield finding


def _judge(site: Site, commands: Commands, guest: FoundGuest) -> Finding | None:
    census = site.census
    instance = census.instance.get(guest.instance)
    subject = f"instance {guest.instance}"
    if instance is None:
        sentence = f"Host {guest.host} has a guest of it, but no such instance was ever made here."
        return Finding(Code.UNOWNED_GUEST, subject, sentence, commands.show(guest.host, guest.instance))
    if guest.running:
        return _judge_running(site, commands, guest, instance)
    if guest.host not in census.up or _may_be(census, instance, guest.host) or _is_about_to_go(site, guest):
        return None
    if not guest.marked and _last_naming(census, guest) is None:
        return None  # the host removes only what was made or judged here, so that it leaves this one alone for ever
    sentence = f"Host {guest.host} is up, but has a stopped guest that it should have removed; it {_belongs(instance)}."
    return Finding(Code.STALE_GUEST, subject, sentence, commands.trace(guest.host, guest.instance))


def _judge_running(site: Site, commands: Commands, guest: FoundGuest, instance: InstanceFacts) -> Finding | None:
    census = site.census
    if _may_run(census, instance, guest.host):
        return None
    subject, doubt = f"instance {guest.instance}", ""
    if _is_missing_where_it_belongs(site, instance):
        doubt = (
            f" But host {instance.host} has none, so that this may be the only one there is: see first whether the "
            "database knows what happened last, or was restored."
        )
    if _is_unfenced(census, guest):
        code, known = Code.UNFENCED_COPY_RUNNING, " It was not fenced."
        sentence = f"Host {guest.host} still runs it, although it was declared dead and the instance "
    else:
        code, known = Code.STRAY_COPY, ""
        sentence = f"Host {guest.host} runs it without being allowed to: the instance "
        if not (doubt or instance.deleted or _was_brought(census, guest)):
            doubt = (
                " No evacuation brought it there, so that it may be the only one there is: see whether this is the "
                "hypervisor of that host under another name."
            )
    command = commands.show if doubt else commands.stop
    sentence += f"{_belongs(instance)}.{doubt or known}"
    return Finding(code, subject, sentence, command(guest.host, guest.instance))


def _is_missing_where_it_belongs(site: Site, instance: InstanceFacts) -> bool:
    """Tell whether the recorded host was looked at, and has no guest of it."""
    evidence, host = site.evidence, instance.host
    if evidence is None or host is None or instance.deleted or not evidence.mains.get(host, False):
        return False
    return not any((guest.host, guest.instance) == (host, instance.uuid) for guest in evidence.guests)


def _may_run(census: Census, instance: InstanceFacts, host: str) -> bool:
    record = census.unfinished_of(instance)
    # Until the destination owns the instance its source is still the recorded host, but it was declared dead.
    return not instance.deleted and instance.host == host and (record is None or record.source != host)


def _may_be(census: Census, instance: InstanceFacts, host: str) -> bool:
    """Tell whether a stopped guest may be there: it belongs, is arriving, or its cleaning is still owed."""
    records = census.records_of.get(instance.uuid, ())
    if any(record.owes_cleaning and record.source == host for record in records):
        return True
    arriving = census.unfinished_of(instance)
    return not instance.deleted and host in (instance.host, arriving.destination if arriving else None)


def _is_about_to_go(site: Site, guest: FoundGuest) -> bool:
    """Tell whether an evacuation from or to the host of a guest has ended so lately that it has yet to clean.

    Also where one under way was given to another host so lately: nothing tells which one had it before.
    """
    since = site.census.now - site.bounds.clean
    return any(
        record.assigned_again_at >= since
        if record.unfinished
        else guest.host in (record.source, record.destination) and record.written_at >= since
        for record in site.census.records_of.get(guest.instance, ())
    )


def _was_brought(census: Census, guest: FoundGuest) -> bool:
    """Tell whether the last evacuation that names the host where a guest is may have brought, or left, it there."""
    last = _last_naming(census, guest)
    return last is not None and not (last.status == Status.COMPLETED and last.source == guest.host)


def _last_naming(census: Census, guest: FoundGuest) -> RecordFacts | None:
    """Return the last evacuation that names the host where a guest is; one that was refused brought nothing."""
    named = [
        record
        for record in census.records_of.get(guest.instance, ())
        if guest.host in (record.source, record.destination) and record.status != Status.ERROR
    ]
    return named[-1] if named else None


def _is_unfenced(census: Census, guest: FoundGuest) -> bool:
    """Tell whether a guest runs only because its host was declared dead and not stopped."""
    instance = census.instance.get(guest.instance)
    if instance is None or guest.host in census.up or _may_run(census, instance, guest.host):
        return False
    last = _last_naming(census, guest)
    if guest.host not in census.served and last is not None and last.source == guest.host:
        # The deletion of its service completed its records, although nobody has looked at its guests.
        return True
    records = census.records_of.get(guest.instance, ())
    return instance.deleted or (_was_brought(census, guest) and any(record.source == guest.host for record in records))


def power(site: Site) -> Iterator[Finding]:
    """Compare what instances are said to be with what their guests do, where nothing is under way."""
    if site.evidence is None:
        return
    census, evidence = site.census, site.evidence
    for instance in census.instances:
        host = instance.host
        if host is None or instance.deleted or not _is_settled(instance):
            continue
        # A host that has just come back looks at its guests by and by.
        if census.up_for(host) <= site.bounds.power_sync or not evidence.mains.get(host, False):
            continue
        changed = evidence.last_change.get((host, instance.uuid), 0.0)
        if evidence.now - changed <= site.bounds.power_sync:
            continue
        yield from _compare(instance, host, running=(host, instance.uuid) in evidence.running)


def _is_settled(instance: InstanceFacts) -> bool:
    return not (instance.task_state or instance.order_id or instance.evacuation_id)


def _compare(instance: InstanceFacts, host: str, *, running: bool) -> Iterator[Finding]:
    subject = f"instance {instance.uuid}"
    if instance.vm_state == VmState.ACTIVE and not running:
        sentence = f"It is ACTIVE, but host {host}, which is up, does not run it."
        yield Finding(Code.ACTIVE_NOT_RUNNING, subject, sentence, f"openstack server reboot --hard {instance.uuid}")
    if instance.vm_state == VmState.STOPPED and running:
        sentence = f"It is SHUTOFF, but host {host} runs it."
        yield Finding(Code.STOPPED_BUT_RUNNING, subject, sentence, f"openstack server start {instance.uuid}")


def promises(site: Site) -> Iterator[Finding]:
    """Find guests that run although they were promised silence and nobody asked here, where no journal says by whom."""
    if site.evidence is None or site.evidence.journal is not None:
        return
    for guest in site.evidence.guests:
        record = _last_finished(site.census, guest)
        if record is None or not guest.running or record.final_state != VmState.STOPPED:
            continue
        if site.census.last_power_order.get(guest.instance, 0.0) < record.accepted_at:
            yield Finding(
                Code.STARTED_UNASKED,
                f"instance {guest.instance}",
                f"It runs on host {guest.host}. Migration {record.id} promised to leave it stopped, and nobody has "
                "asked for a start here since: somebody started it on the host itself.",
                f"openstack server event list {guest.instance}",
            )


def _last_finished(census: Census, guest: FoundGuest) -> RecordFacts | None:
    """Return the record of the evacuation that brought a guest to where it is."""
    ended = [record for record in census.records_of.get(guest.instance, ()) if record.status in _SUCCESS]
    return ended[-1] if ended and ended[-1].destination == guest.host else None


def disks(site: Site) -> Iterator[Finding]:
    """Find instances that have run and whose disk is gone (I4)."""
    if site.evidence is None:
        return
    evidence = site.evidence
    for instance in site.census.instances:
        host = instance.host
        if host is None or instance.deleted or not instance.launched or instance.order_id or host not in evidence.mains:
            continue
        if evidence.lacks_disk(host, instance.uuid):
            yield Finding(
                Code.DISK_MISSING,
                f"instance {instance.uuid}",
                f"Its disk is neither on the shared storage nor on host {host}.",
                evidence.commands.find_disk(host, instance.uuid),
            )


def _belongs(instance: InstanceFacts) -> str:
    return "is deleted" if instance.deleted else f"belongs to host {instance.host}"
