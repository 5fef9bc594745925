"""The promise, checked at every step.

``evacuator.evacuation.invariants`` judges what is written down. Some things can only be seen at the moment at which
they happen: whether the host that powers a guest on is then recorded as the one that may, what the books say right
after a commit, how old the oldest compute was when silence was promised, and what a message did that came twice. These
are checked here.
"""

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import text

from evacuator.db import census
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.codes import Code
from evacuator.evacuation.invariants.facts import Bounds, Site
from evacuator.versions import TARGET_STATE_SERVICE_VERSION
from evacuator.virt.simulated import Event, evidence, read_journal
from tests.world.boundaries import LOOKS

#: What may be seen on the way, of a host that was declared dead and not fenced, or that has not come to clean yet.
UNDER_WAY = frozenset({Code.UNFENCED_COPY_RUNNING, Code.STALE_GUEST})

#: What one attempt at an evacuation does at most once.
ONCE = frozenset({Event.DEFINED, Event.POWERED_ON})

#: What a request is told for whose promise a compute is too old.
REFUSED_AS_OLD = "needs compute service version"


class Broken(AssertionError):
    """An invariant does not hold; the message begins with its name."""


@dataclass(frozen=True)
class Row:
    """What is recorded of an instance, as far as it matters here."""

    host: str | None
    deleted: bool
    launched: bool
    left_by: str | None

    def is_owned_by(self, host):
        """Whether ``host`` may run it: not the one that an unfinished evacuation found it on."""
        return self.host == host and not self.deleted and self.left_by != host


class Watch:
    """Looks at a world after every effect, and more closely when nothing moves."""

    def __init__(self, world):
        self._world = world
        self._read = defaultdict(int)
        self._size = defaultdict(int)
        self._records = 0
        self._claims = set()
        self._done = set()
        self._judged = None

    def crossed(self, process, when, what):
        """Look, if something was done."""
        if (when, what) == ("before", "cast rebuild_instance"):
            # Between the commit and here nobody had a turn; until the transaction's end is told of, others may.
            self._promised_by_none_too_old()
        if (when, what) == ("after", "claim_evacuation"):
            with self._world.database.engine.connect() as connection:
                self._claimed_by_none_too_old(connection, process)
        if when == "after" and not what.startswith(("read ", *LOOKS, "cast ")):
            self.look()

    def refused(self, request_id):
        """Check that a request that came to nothing for old computes has left nothing."""
        with self._world.database.engine.connect() as connection:
            left = connection.scalars(LEFT_BY, {"request": request_id}).all()
        if left:
            raise Broken(f"I7: {request_id} was refused, since a compute is too old, and left {left}")

    def _answers(self, *statements):
        """Ask the database, past SQLAlchemy: it is asked at every step."""
        with closing(self._world.database.engine.raw_connection()) as connection:
            try:
                cursor = connection.cursor()
                for statement in statements:
                    cursor.execute(statement)
                    yield cursor.fetchall()
            finally:
                connection.rollback()

    def _promised_by_none_too_old(self):
        """Every new record of a request for silence: each compute service there is can keep the promise."""
        (new,) = self._answers(NEW_RECORDS.format(seen=self._records))
        for record, request_id in new:
            self._records = max(self._records, record)
            if self._world.asked.get(request_id) != "2.95":
                continue
            (old,) = self._answers(TOO_OLD)
            if old:
                raise Broken(f"I7: migration {record} was accepted at 2.95 in spite of {old}")

    def _claimed_by_none_too_old(self, connection, process):
        for record, attempt, needed in connection.execute(CLAIMED, {"host": process.name}):
            version = process.manager.host.version
            if (record, attempt) not in self._claims and version < needed:
                raise Broken(f"I7: {process.name}, version {version}, took migration {record}, which needs {needed}")

    def look(self):
        """Check what must hold between any two steps."""
        found, declared_dead, books, claims = self._answers(ROWS, DECLARED_DEAD, BOOKS, CLAIMS)
        rows = {uuid: Row(*row) for uuid, *row in found}
        dead = {host for (host,) in declared_dead}
        self._promised_by_none_too_old()
        self._claims.update(tuple(claim) for claim in claims)
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
                owned = row is not None and row.is_owned_by(host)
                if line.event == Event.POWERED_ON and not owned and host not in dead:
                    raise Broken(f"I1: {host} powered {name} on, which may run on {row and row.host}")
                self._done_once(host, name, line)
            self._read[host] = len(lines)

    def _done_once(self, host, name, line):
        """Whatever messages say, and how often, an attempt is carried out once. What an order does may be repeated."""
        if line.event not in ONCE or not line.cause.startswith("migration "):
            return
        done = (line.instance, line.event, line.cause)
        if done in self._done:
            raise Broken(f"I6: {name} was {line.event.replace('_', ' ')} on {host} once more by {line.cause}")
        self._done.add(done)

    def _runs_where_it_belongs(self, rows, dead):
        for host, uuid in self._world.running():
            row = rows.get(uuid)
            belongs = row is not None and row.is_owned_by(host)
            if not belongs and host not in dead:
                name = self._world.name_of(uuid)
                raise Broken(f"I1: {host} runs {name}, which belongs to {row and row.host}; it was not declared dead")

    def _keeps_its_disk(self, rows):
        for uuid, row in rows.items():
            kept = row.launched and not row.deleted and not self._world.is_being_deleted(uuid)
            if kept and not self._world.has_disk(uuid):
                raise Broken(f"I4: the disk of {self._world.name_of(uuid)} is gone")

    def judge(self, *, settled=False):
        """Check everything that is written down, unless it was, and nothing happened since."""
        world = self._world
        moment = (world.hub.now, world.hub.turns, world.touched)
        if moment == self._judged and not settled:
            return
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
        self._judged = moment

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


#: With the host that an evacuation which holds it found it on, if one does.
ROWS = """
    SELECT instances.uuid, instances.host, instances.deleted, launched_at IS NOT NULL AS launched, source_compute
    FROM instances LEFT JOIN migrations ON migrations.uuid = instances.evacuation_id
    ORDER BY instances.id
"""

NEW_RECORDS = "SELECT id, request_id FROM migrations WHERE id > {seen} ORDER BY id"

#: Of which the oldest is the one that counts; one that never said its version counts as old.
TOO_OLD = f"""
    SELECT host, version FROM services WHERE version IS NULL OR version < {TARGET_STATE_SERVICE_VERSION} ORDER BY host
"""

CLAIMS = "SELECT id, attempt FROM migrations WHERE status = 'pre-migrating'"

CLAIMED = text("""
    SELECT id, attempt, min_service_version FROM migrations
    WHERE status = 'pre-migrating' AND dest_compute = :host ORDER BY id
""")

LEFT_BY = text("""
    SELECT 'a record' FROM migrations WHERE request_id = :request
    UNION ALL SELECT 'an action' FROM instance_actions WHERE request_id = :request
""")

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
