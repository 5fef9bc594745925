"""A small site on which everything is as it should be, in the middle of its work, and ways to break it."""

from dataclasses import replace

from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants.commands import Simulated
from evacuator.evacuation.invariants.facts import (
    Census,
    ClaimFacts,
    Evidence,
    FoundGuest,
    InstanceFacts,
    JournalLine,
    NodeFacts,
    RecordFacts,
    ServiceFacts,
    Site,
)

TINY = Room(1, 512, 1)
NOW = 10_000.0


def _node(host, claims):
    return NodeFacts(host, Room(8, 4096, 80), Room(claims, claims * 512, claims), claims)


def a_healthy_site():
    """Host a is dead; "moved" was started on b, "silent" moved to c at 2.95, "moving" is on its way to b.

    "settled" and "resting" were always on c, "gone" was deleted while a was dead.
    """
    census = Census(
        now=NOW,
        services=[ServiceFacts("a", 2, None), ServiceFacts("b", 2, 5.0), ServiceFacts("c", 2, 5.0)],
        nodes=[_node("a", 3), _node("b", 2), _node("c", 3)],
        instances=[
            InstanceFacts("moved", TINY, "b", "active"),
            InstanceFacts("silent", TINY, "c", "stopped"),
            InstanceFacts("moving", TINY, "a", "active", task_state="rebuilding", evacuation_id="third"),
            InstanceFacts("settled", TINY, "c", "active"),
            InstanceFacts("resting", TINY, "c", "stopped"),
            InstanceFacts("gone", TINY, "a", "deleted", deleted=True),
            InstanceFacts("homeless", TINY, None, "error", launched=False),
        ],
        records=[
            RecordFacts(1, "first", "moved", "done", "a", "b", "active", 110.0),
            RecordFacts(2, "second", "silent", "done", "a", "c", "stopped", 111.0),
            RecordFacts(3, "third", "moving", "pre-migrating", "a", "b", "active", NOW - 20),
        ],
        claims=[
            ClaimFacts(instance, host, TINY)
            for instance, host in (
                ("moved", "a"),
                ("moved", "b"),
                ("silent", "a"),
                ("silent", "c"),
                ("moving", "a"),
                ("moving", "b"),
                ("settled", "c"),
                ("resting", "c"),
            )
        ],
        power_orders={
            (instance, f"req-{instance}"): 9.0 for instance in ("moved", "silent", "moving", "settled", "gone")
        },
    )
    evidence = Evidence(
        commands=Simulated("D"),
        now=NOW,
        mains={"a": False, "b": True, "c": True},
        guests=[
            *(FoundGuest("a", instance, running=False) for instance in ("moved", "silent", "moving", "gone")),
            FoundGuest("b", "moved", running=True),
            FoundGuest("b", "moving", running=False),
            FoundGuest("c", "silent", running=False),
            FoundGuest("c", "settled", running=True),
            FoundGuest("c", "resting", running=False),
        ],
        journal=[
            *(
                JournalLine(10.0, "a", each, "powered_on", f"req-{each}")
                for each in ("moved", "silent", "moving", "gone")
            ),
            *(
                JournalLine(100.0, "a", each, "powered_off", "mains off")
                for each in ("moved", "silent", "moving", "gone")
            ),
            JournalLine(112.0, "b", "moved", "defined", "migration 1 attempt 2"),
            JournalLine(113.0, "b", "moved", "powered_on", "migration 1 attempt 2"),
            JournalLine(NOW - 5, "b", "moving", "defined", "migration 3 attempt 2"),
            JournalLine(10.0, "c", "settled", "powered_on", "req-settled"),
            JournalLine(114.0, "c", "silent", "defined", "migration 2 attempt 2"),
        ],
        disks=frozenset((None, each) for each in ("moved", "silent", "moving", "settled", "resting", "gone")),
    )
    return Site(census, evidence)


def with_service(site, host, **values):
    return _with(site, "services", lambda service: service.host == host, values)


def with_node(site, host, **values):
    return _with(site, "nodes", lambda node: node.host == host, values)


def with_instance(site, uuid, **values):
    return _with(site, "instances", lambda instance: instance.uuid == uuid, values)


def with_record(site, number, **values):
    return _with(site, "records", lambda record: record.id == number, values)


def _with(site, name, chosen, values):
    rows = [replace(row, **values) if chosen(row) else row for row in getattr(site.census, name)]
    return replace(site, census=replace(site.census, **{name: rows}))


def without(site, name, chosen):
    """Leave out the rows of the census for which ``chosen`` holds."""
    rows = [row for row in getattr(site.census, name) if not chosen(row)]
    return replace(site, census=replace(site.census, **{name: rows}))


def plus(site, name, *rows):
    """Add rows to the census."""
    return replace(site, census=replace(site.census, **{name: [*getattr(site.census, name), *rows]}))


def plus_claim(site, instance, host, room=TINY):
    """Claim as the engine does: the row and the totals together."""
    (node,) = (node for node in site.census.nodes if node.host == host)
    used = Room(node.used.vcpus + room.vcpus, node.used.memory_mb + room.memory_mb, node.used.disk_gb + room.disk_gb)
    return with_node(plus(site, "claims", ClaimFacts(instance, host, room)), host, used=used, claims=node.claims + 1)


def minus_claim(site, instance, host):
    """Give back as the engine does."""
    (node,) = (node for node in site.census.nodes if node.host == host)
    (claim,) = (claim for claim in site.census.claims if (claim.instance, claim.host) == (instance, host))
    room = claim.room
    used = Room(node.used.vcpus - room.vcpus, node.used.memory_mb - room.memory_mb, node.used.disk_gb - room.disk_gb)
    site = without(site, "claims", lambda each: each is claim)
    return with_node(site, host, used=used, claims=node.claims - 1)


def with_guest(site, host, uuid, *, running):
    """Put a guest onto a host, or change the one that is there; its journal is not touched."""
    others = [guest for guest in site.evidence.guests if (guest.host, guest.instance) != (host, uuid)]
    return with_evidence(site, guests=[*others, FoundGuest(host, uuid, running)])


def with_line(site, *line):
    """Add a line to a journal."""
    return with_evidence(site, journal=[*site.evidence.journal, JournalLine(*line)])


def with_evidence(site, **values):
    return replace(site, evidence=replace(site.evidence, **values))
