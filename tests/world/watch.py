"""The promise, checked at every step.

``evacuator.evacuation.invariants`` judges what is written down. Some things can only be seen at the moment at which
they happen: whether the host that powers a guest on is then recorded as the one that may, and what the books say right
after a commit. These are checked here.
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import text

from evacuator.db import census
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.codes import Code
from evacuator.evacuation.invariants.facts import Bounds, Site
from evacuator.virt.simulated import Event, evidence, read_journal
from tests.world.boundaries import LOOKS

#: What may be seen on the way, of a host that was declared dead and not fenced, or that has not come to clean yet.
UNDER_WAY = frozenset({Code.UNFENCED_COPY_RUNNING, Code.STALE_GUEST})


class Broken(AssertionError):
    """An invariant does not hold; the message begins with its name."""


@dataclass(frozen=True)
class Row:
    """What is recorded of an instance, as far as it matters here."""

    host: str | None
    deleted: bool
    evacuation: str | None
    launched: bool


class Watch:
    """Looks at a world after every effect, and more closely when nothing moves."""

    def __init__(self, world):
        self._world = world
        self._read = defaultdict(int)
        self._size = defaultdict(int)

    def crossed(self, process, when, what):
        """Look, if something was done."""
        if when == "after" and not what.startswith(("read ", *LOOKS, "cast ")):
            self.look()

    def look(self):
        """Check what must hold between any two steps."""
        with self._world.database.engine.connect() as connection:
            rows = {row.uuid: Row(*row[1:]) for row in connection.execute(text(ROWS))}
            dead = set(connection.scalars(text(DECLARED_DEAD)))
            books = [tuple(row) for row in connection.execute(text(BOOKS))]
        self._powered_on_by_its_owner(rows, dead)
        self._runs_where_it_belongs(rows, dead)
        self._keeps_its_disk(rows)
        if books:
            raise Broken(f"I5: totals differ from claims: {books}")

    def _powered_on_by_its_owner(self, rows, dead):
        for host in self._world.hosts:
            size = self._world.size_of_journal(host)
            if size == self._size[host]:
                continue
            self._size[host] = size
            lines = read_journal(self._world.hypervisors, host)
            # What one effect did is told in the order in which instances were made: their ids are random.
            new = sorted(lines[self._read[host] :], key=lambda line: self._world.order_of(line.instance))
            for line in new:
                name = self._world.name_of(line.instance)
                self._world.story.tell(f"    {host}: {name} {line.event.replace('_', ' ')} ({line.cause})")
                row = rows.get(line.instance)
                owned = row is not None and row.host == host and not row.deleted
                if line.event == Event.POWERED_ON and not owned and host not in dead:
                    raise Broken(f"I1: {host} powered {name} on, which may run on {row and row.host}")
            self._read[host] = len(lines)

    def _runs_where_it_belongs(self, rows, dead):
        for host, uuid in self._world.running():
            row = rows.get(uuid)
            belongs = row is not None and row.host == host and not row.deleted
            if not belongs and host not in dead:
                name = self._world.name_of(uuid)
                raise Broken(f"I1: {host} runs {name}, which belongs to {row and row.host}; it was not declared dead")

    def _keeps_its_disk(self, rows):
        for uuid, row in rows.items():
            kept = row.launched and not row.deleted and not self._world.is_being_deleted(uuid)
            if kept and not self._world.has_disk(uuid):
                raise Broken(f"I4: the disk of {self._world.name_of(uuid)} is gone")

    def judge(self, *, settled=False):
        """Check everything that is written down."""
        world = self._world
        site = Site(
            census.take(world.database, world.rules.service_down_time),
            evidence.look(world.folder, world.time),
            Bounds(),
        )
        found = [each for each in findings(site) if each.broken and (settled or each.code not in UNDER_WAY)]
        # Its owner had it deleted; when something came between, what is left of it has no disk.
        found = [
            each for each in found if each.code != Code.DISK_MISSING or each.subject.split()[1] not in world.deleted
        ]
        if found:
            raise Broken("\n".join(f"{each.code}: {each.subject}: {each.sentence}" for each in found))
        if settled:
            self._rests(site)

    def _rests(self, site):
        """Once everything was healed nothing is left to do: the claims are those of the instances, and nothing else."""
        for record in site.census.records:
            if record.owes_cleaning:
                raise Broken(f"I3: migration {record.id} is still {record.status}")
        for instance in site.census.instances:
            if instance.task_state or instance.order_id:
                raise Broken(f"I3: {self._world.name_of(instance.uuid)} is still {instance.task_state}")
        claims = sorted((claim.instance, claim.host) for claim in site.census.claims)
        due = sorted((each.uuid, each.host) for each in site.census.instances if not each.deleted and each.host)
        if claims != due:
            raise Broken(f"I5: claims are {claims}, instances are on {due}")
        strangers = [
            (guest.host, self._world.name_of(guest.instance))
            for guest in site.evidence.guests
            if (guest.instance, guest.host) not in due
        ]
        if strangers:
            raise Broken(f"I1: these guests are not where they belong: {strangers}")


ROWS = "SELECT uuid, host, deleted, evacuation_id, launched_at IS NOT NULL AS launched FROM instances ORDER BY id"

#: Hosts that must clean before they can be up.
DECLARED_DEAD = "SELECT host FROM services WHERE epoch <> cleaned_epoch"

BOOKS = """
    SELECT node.host, node.vcpus_used, node.memory_mb_used, node.local_gb_used, node.claims
    FROM compute_nodes node LEFT JOIN allocations claim ON claim.host = node.host
    GROUP BY node.id, node.host, node.vcpus_used, node.memory_mb_used, node.local_gb_used, node.claims
    HAVING node.vcpus_used <> COALESCE(SUM(claim.vcpus), 0)
        OR node.memory_mb_used <> COALESCE(SUM(claim.memory_mb), 0)
        OR node.local_gb_used <> COALESCE(SUM(claim.disk_gb), 0)
        OR node.claims <> COUNT(claim.id)
"""
