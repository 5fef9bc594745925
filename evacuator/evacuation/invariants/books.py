"""I5: what is claimed of a host is the sum of what is placed there.

Next commands that are SQL are for a person to read and run; nothing here executes them.
"""

from collections import defaultdict
from collections.abc import Iterator

from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants.codes import Code, Finding
from evacuator.evacuation.invariants.facts import Census, ClaimFacts, NodeFacts, Site


def totals(site: Site) -> Iterator[Finding]:
    """Compare each host's totals with its claims, and with what it has."""
    by_host: dict[str, list[ClaimFacts]] = defaultdict(list)
    for claim in site.census.claims:
        by_host[claim.host].append(claim)
    for node in site.census.nodes:
        yield from _judge(node, by_host[node.host])


def _judge(node: NodeFacts, claims: list[ClaimFacts]) -> Iterator[Finding]:
    claimed = Room(
        sum(claim.room.vcpus for claim in claims),
        sum(claim.room.memory_mb for claim in claims),
        sum(claim.room.disk_gb for claim in claims),
    )
    if (node.used, node.claims) != (claimed, len(claims)):
        yield Finding(
            Code.BOOKS_DIFFER,
            f"host {node.host}",
            f"Its totals say {node.claims} claims, {_words(node.used)}; its {len(claims)} claims add up to "
            f"{_words(claimed)}.",
            f"UPDATE compute_nodes SET vcpus_used = {claimed.vcpus}, memory_mb_used = {claimed.memory_mb}, "  # noqa: S608
            f"local_gb_used = {claimed.disk_gb}, claims = {len(claims)} WHERE host = '{node.host}';",
        )
    if not _within(claimed, node.total):
        yield Finding(
            Code.BOOKS_OVERDRAWN,
            f"host {node.host}",
            f"Claimed are {_words(claimed)}, but it has only {_words(node.total)}.",
            f"openstack server list --all-projects --host {node.host}",
        )


def claims(site: Site) -> Iterator[Finding]:
    """Compare the claims with where instances are, and may be going."""
    census = site.census
    due, explained = _due(census), _explained(census)
    made = {(claim.instance, claim.host) for claim in census.claims}
    for instance, host in sorted(due - made):
        yield Finding(
            Code.CLAIM_MISSING,
            f"instance {instance}",
            f"It is on host {host}, or an unfinished evacuation takes it there, but it claims no room of it.",
            "INSERT INTO allocations (instance_uuid, host, vcpus, memory_mb, disk_gb) SELECT uuid, "  # noqa: S608
            f"'{host}', vcpus, memory_mb, disk_gb FROM instances WHERE uuid = '{instance}';",
        )
    for claim in census.claims:
        yield from _judge_claim(census, claim, explained)


def _judge_claim(census: Census, claim: ClaimFacts, explained: set[tuple[str, str]]) -> Iterator[Finding]:
    instance = census.instance.get(claim.instance)
    subject = f"instance {claim.instance}"
    remove = f"DELETE FROM allocations WHERE instance_uuid = '{claim.instance}' AND host = '{claim.host}';"  # noqa: S608
    if instance is None or instance.deleted:
        sentence = f"It is deleted, but still claims {_words(claim.room)} of host {claim.host}."
        yield Finding(Code.CLAIM_OF_DELETED, subject, sentence, remove)
    elif (claim.instance, claim.host) not in explained:
        sentence = f"It claims {_words(claim.room)} of host {claim.host}, where it neither is, was nor goes."
        yield Finding(Code.CLAIM_UNEXPLAINED, subject, sentence, remove)
    elif claim.room != instance.room:
        sentence = f"It takes {_words(instance.room)}, but claims {_words(claim.room)} of host {claim.host}."
        yield Finding(Code.CLAIM_DIFFERS, subject, sentence, remove)


def _due(census: Census) -> set[tuple[str, str]]:
    """The claims that must be: where an instance is, and where an unfinished evacuation takes it."""
    live = [instance for instance in census.instances if not instance.deleted]
    here = {(instance.uuid, instance.host) for instance in live if instance.host}
    records = filter(None, map(census.unfinished_of, live))
    return here | {(record.instance, record.destination) for record in records if record.destination}


def _explained(census: Census) -> set[tuple[str, str]]:
    """The claims that may be: also at a source which has not cleaned up yet."""
    return _due(census) | {(record.instance, record.source) for record in census.records if record.owes_cleaning}


def _within(used: Room, total: Room) -> bool:
    return used.vcpus <= total.vcpus and used.memory_mb <= total.memory_mb and used.disk_gb <= total.disk_gb


def _words(room: Room) -> str:
    return f"{room.vcpus} vCPUs, {room.memory_mb} MiB and {room.disk_gb} GiB"
