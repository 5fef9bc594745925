"""A cloud: an API, a compute manager and a simulated hypervisor per host, a database and a broker, on one clock."""

import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select, text, update

from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.compute.service import ComputeService, Intervals
from evacuator.context import RequestContext
from evacuator.db import schema, services
from evacuator.db.models import ComputeNode, Instance, Migration
from evacuator.db.session import Database, open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.evacuation.transitions import UNFINISHED
from evacuator.versions import SERVICE_VERSION
from evacuator.virt.simulated import FOLDER, Mains, SimulatedDriver, SimulatedSettings
from tests.world import servers
from tests.world.boundaries import Bus, Casts, DatabaseFaults, DriverFaults, WatchedDatabase, WatchedDriver, Workers
from tests.world.client import IMAGE, Client
from tests.world.clockwork import Hub, Locks, Process
from tests.world.commands import Unexpected
from tests.world.shelf import Shelf, WatchedKeys
from tests.world.story import Story
from tests.world.watch import REFUSED_AS_OLD, Broken, Watch

#: Often enough for every kind of periodic work to run within a story, seldom enough for a test to be fast.
INTERVALS = Intervals(report=10, sweep=10, orphans=30, clean=30, power_sync=60)

#: When everything was healed, a world comes to rest within this.
SETTLING = 900.0

#: Between two looks at the clock at one moment, in seconds; databases keep microseconds.
INSTANT = 0.00001

#: Where files cost nothing, if there is such a place.
MEMORY = Path("/dev/shm")


@cache
def empty_database():
    """Make the schema once; every world begins with a copy."""
    folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
    path = Path(folder.name) / "empty.sqlite"
    database = open_database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return folder, path


class Opened:
    """A file that is one world's database after another's: what the engine has compiled for one it need not again."""

    #: Those that no world has.
    free: ClassVar[list["Opened"]] = []

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self._path = Path(self._folder.name) / "evacuator.sqlite"
        self._clock = None
        self.engine = open_database(f"sqlite:///{self._path}", self._now).engine

    def _now(self):
        return self._clock()

    @classmethod
    def anew(cls, clock):
        opened = cls.free.pop() if cls.free else cls()
        opened._clock = clock
        for old in opened._path.parent.iterdir():
            old.unlink()
        shutil.copy(empty_database()[1], opened._path)
        return opened

    def give_back(self):
        self.engine.dispose()
        self.free.append(self)


class Files:
    """Where a host's simulated hypervisor keeps things; made once, since they are read at every step."""

    def __init__(self, folder):
        self.mains = folder / "mains"
        self.guests = folder / "guests"
        self.journal = folder / "journal.jsonl"
        self.disks = folder / "disks"


@dataclass
class Strike:
    """What befalls a process, or any, when it comes to a boundary for the ``nth`` time from now."""

    process: str
    when: str
    what: str
    action: str
    nth: int = 1

    def __str__(self):
        return f"process {self.process} {self.action} {self.when} {self.what}"


class World:
    """``commands`` names what can be done to it in words. ``rebuilds``: disks that are lost are made anew."""

    def __init__(
        self,
        folder,
        hosts=("a", "b", "c"),
        *,
        choose=lambda tasks: 0,
        url=None,
        manager=ComputeManager,
        api_database=WatchedDatabase,
        rebuilds=False,
        rules=None,
        **settings,
    ):
        self.folder = folder
        self.hypervisors = folder / FOLDER
        self.files = {host: Files(self.hypervisors / host) for host in hosts}
        self._disks = [folder / "disks", *(files.disks for files in self.files.values())]
        self.rules = rules or Rules()
        self.shelf = Shelf()
        self.token = None
        self.hub = Hub(choose)
        self._seen = self.hub.now
        self.story = Story(self.hub)
        self.story.listen()
        self.database = self._open(url)
        self.database_faults = DatabaseFaults()
        self.driver_faults = {host: DriverFaults() for host in hosts}
        self.hosts = tuple(hosts)
        self.settings = SimulatedSettings(**settings)
        self.versions = dict.fromkeys(hosts, SERVICE_VERSION)
        self.cut_off = set()
        self.busy = set()
        self.instances = {}
        self.outcomes = []
        self.asked = {}
        self.strikes = []
        self.missed = []
        self.crossings = []
        #: How often something was changed past every process.
        self.touched = 0
        self.deleted = set()
        self._make_manager = manager
        self._api_database = api_database
        self._rebuilds = rebuilds
        self._requests = count(1)
        self._starts = count(1)
        self.broker = Process(self.hub, "broker")
        self.bus = Bus(self.hub, self.broker)
        self.watch = Watch(self)
        self.hub.watchers += [self._note, self.watch.crossed, self._strike]
        self.api = None
        self.computes, self.newest = {}, {}
        self.api_restart()
        for host in hosts:
            self.compute_restart(host)
        self.hub.run()

    def _open(self, url):
        self._opened = None
        if url is None:
            self._opened = Opened.anew(self.utc)
            engine = self._opened.engine
        else:
            engine = open_database(url, self.utc).engine
            servers.take_over(engine, self.time)
        return Database(engine, retry_interval=0.0001)

    def close(self):
        """End every process and every connection."""
        for process in list(self.hub.processes):
            process.die()
        self.database.close()
        if self._opened is not None:
            self._opened.give_back()
        self.story.close()

    # -- time

    def time(self):
        """Look at the clock. Nobody ever sees the same moment twice: what was done first can be told from it."""
        self._seen = max(self._seen + INSTANT, self.hub.now)
        return self._seen

    def utc(self):
        return datetime.fromtimestamp(self.time(), UTC).replace(tzinfo=None)

    def delay(self, seconds):
        self.hub.pass_time(seconds)

    # -- what there is

    def name_of(self, uuid):
        return next((name for name, known in self.instances.items() if known == uuid), uuid)

    def order_of(self, uuid):
        known = list(self.instances.values())
        return known.index(uuid) if uuid in known else len(known)

    def running(self):
        """Return (host, uuid) of every guest that runs, read from the hypervisors' files."""
        found = []
        for host, files in self.files.items():
            if files.mains.exists() and "off" in files.mains.read_text():
                continue
            guests = sorted(files.guests.iterdir()) if files.guests.exists() else ()
            found += [
                (host, path.stem)
                for path in guests
                if path.suffix == ".json" and json.loads(path.read_text())["power_state"] == "running"
            ]
        return found

    def size_of_journal(self, host):
        journal = self.files[host].journal
        return journal.stat().st_size if journal.exists() else 0

    def has_disk(self, uuid):
        return any((place / uuid).exists() for place in self._disks)

    def is_being_deleted(self, uuid):
        return uuid in self.deleted

    def instance(self, name):
        """Return the row of an instance."""
        return self.database.read(
            lambda session: session.scalars(select(Instance).where(Instance.uuid == self.instances[name])).one()
        )

    def records(self):
        return self.database.read(lambda session: session.scalars(select(Migration).order_by(Migration.id)).all())

    def heard(self, host):
        return self.database.read(lambda session: services.of_host(session, host, self.rules.service_down_time))

    def node(self, host):
        return self.database.read(
            lambda session: session.scalars(select(ComputeNode).where(ComputeNode.host == host)).one()
        )

    # -- processes

    def _note(self, process, when, what):
        self.crossings.append((process.name, when, what))

    def strike(self, process, when, what, action, nth=1):
        """Have ``process`` crash or freeze when it comes to a boundary; it is among ``strikes`` until then."""
        strike = Strike(process, when, what, action, nth)
        self.strikes.append(strike)
        return strike

    def _strike(self, process, when, what):
        for strike in self.strikes:
            if strike.process in (process.name, "any") and (strike.when, strike.what) == (when, what):
                strike.nth -= 1
                if strike.nth == 0:
                    self.strikes.remove(strike)
                    self.story.tell(f"    {process.name}: {strike.action} {when} {what}")
                    self._befall(process, strike.action)
                return

    def must_have_struck(self):
        """Check that what was to befall a process did: else a story is not about what it says."""
        missed = [str(strike) for strike in (*self.missed, *self.strikes)]
        if missed:
            raise Unexpected(f"these never came there: {missed}")

    def _befall(self, process, action):
        if action == "freeze":
            process.frozen = True
        else:
            self.crash(process)

    def crash(self, process):
        process.die()
        for host, compute in self.computes.items():
            if compute is process:
                # One that was beside it stays: it may even be the one that took its place.
                self.computes[host] = next(reversed(self.named(host)), None)
        if self.api is process:
            self.api = None

    def named(self, name):
        """Return every process of this name: those of the API, or the managers of a host."""
        return [process for process in self.hub.processes if process.name == name]

    def api_restart(self):
        if self.api is not None and self.api.frozen:
            self.crash(self.api)
        if self.api is None:
            self.api_another()

    def api_another(self):
        """Start an API process of which all is asked from now on; the one before keeps what it has in hand."""
        self.api = Process(self.hub, "api")
        self.api.engine = self._engine(self.api, lambda: True, self._api_database)
        self.api.client = Client(self.api.engine)

    def _engine(self, process, reachable, watched=WatchedDatabase):
        database = watched(process, self.database, self.database_faults, reachable)
        casts, keys = Casts(process, self.bus, reachable), WatchedKeys(process, self.shelf)
        return Engine(database, casts, self.rules, keys=keys, clock=self.time)

    def compute_restart(self, host):
        if self.computes.get(host) is not None:
            self.crash(self.computes[host])
        self.compute_another(host)

    def compute_another(self, host):
        """Start a manager, whether or not there is one already; the newest is the one that is meant by its host."""
        self.computes[host] = self.newest[host] = process = Process(self.hub, host)
        driver = SimulatedDriver(host, self.hypervisors, self.settings, self.time, process.sleep)
        manager = self._manager(process, WatchedDriver(process, driver, self.driver_faults[host], self.order_of))
        listen = lambda: self.bus.listen(host, manager, lambda: host not in self.cut_off)  # noqa: E731
        service = ComputeService(manager, manager.workers, INTERVALS, listen, process.every)
        process.manager = manager
        process.spawn("start", service.start)
        process.spawn("superseded", lambda: process.wait_for(service.superseded.is_set) and self._ends(process))

    def _ends(self, process):
        self.story.tell(f"    {process.name}: another manager has the place of this one, which ends")
        self.crash(process)

    def _manager(self, process, driver):
        reachable = lambda: process.name not in self.cut_off  # noqa: E731
        seat = Host(
            process.name,
            self._engine(process, reachable),
            driver,
            self.time,
            version=self.versions[process.name],
            rebuild_from_image=self._rebuilds,
            context=RequestContext(user_id="nova-compute", project_id="service", request_id=f"req-{process.name}"),
            locks=Locks(process),
        )
        workers = Workers(process, lambda: process.name not in self.busy)
        manager = self._make_manager(seat, workers, f"{process.name}-{next(self._starts)}")
        manager.workers = workers
        return manager

    # -- hosts

    def power_off(self, host):
        """Cut the mains: guests and manager die, nothing starts. This is what "fence" means."""
        for manager in self.named(host):
            self.crash(manager)
        Mains(self.hypervisors, host).switch_off(self.time)
        self.touched += 1

    def power_on(self, host):
        Mains(self.hypervisors, host).switch_on(self.time)
        self.touched += 1
        if self.computes[host] is None:
            self.compute_restart(host)

    # -- requests

    def request(self, what, method, path, body=None, version="2.95"):
        """Have a client send a request; how it was answered is noted when it has been. Return the request's id."""
        request_id = f"req-{next(self._requests)}"
        if self.api is None:
            self._note_outcome(what, "nobody answers", request_id)
            return request_id
        client, token = self.api.client, self.token

        def ask():
            self._note_outcome(what, client.ask(method, path, body, version, token=token, name=request_id), request_id)

        # Before anything is done about it: what was asked for is known to whoever watches.
        self.asked[request_id] = version
        self.api.spawn(what, ask)
        return request_id

    def _note_outcome(self, what, outcome, request_id):
        self.outcomes.append((what, outcome))
        self.story.tell(f"    {what}: {outcome}")
        if REFUSED_AS_OLD in outcome:
            self.watch.refused(request_id)

    def create(self, name, host):
        wanted = {"name": name, "flavorRef": "1", "imageRef": IMAGE, "networks": "none", "host": host}
        self.request(f"create {name}", "POST", "/servers", {"server": wanted})

    def learn_names(self):
        """Find out the ids of new instances; whoever made them may have died before it could tell."""
        with self.database.engine.connect() as connection:
            for name, uuid in connection.execute(text("SELECT display_name, uuid FROM instances ORDER BY id")):
                if uuid not in self.instances.values():
                    known = f"{name}-{len(self.instances)}" if name in self.instances else name
                    self.instances[known] = uuid
                    self.story.name(uuid, known)

    def uuid_of(self, name):
        """Return the id of an instance; if its creation came to nothing, one that nobody knows."""
        return self.instances.get(name, str(UUID(int=0)))

    def encrypt(self, name):
        """Have the disk of an instance be one that needs a key, from when it is defined next."""
        key_ids = [str(UUID(int=self.order_of(self.uuid_of(name)) + 1))]
        encrypted = update(Instance).where(Instance.uuid == self.uuid_of(name)).values(key_ids=key_ids)
        self.database.write(lambda transaction: transaction.execute(encrypted))
        self.touched += 1

    def evacuate(self, name, version, host=None):
        return self._act("evacuate", name, {"evacuate": {"host": host} if host else {}}, version)

    def start(self, name):
        self._act("start", name, {"os-start": None})

    def stop(self, name):
        self._act("stop", name, {"os-stop": None})

    def reboot(self, name):
        self._act("reboot", name, {"reboot": {"type": "HARD"}})

    def reset(self, name):
        self._act("reset", name, {"os-resetState": {"state": "error"}})

    def _act(self, what, name, action, version="2.95"):
        return self.request(f"{what} {name}", "POST", f"/servers/{self.uuid_of(name)}/action", action, version)

    def delete(self, name):
        self.deleted.add(self.uuid_of(name))
        self.request(f"delete {name}", "DELETE", f"/servers/{self.uuid_of(name)}")

    def force_down(self, host, *, down):
        what = f"force-{'down' if down else 'up'} {host}"
        body = {"host": host, "binary": "nova-compute", "forced_down": down}
        self.request(what, "PUT", "/os-services/force-down", body, "2.11")

    # -- the end

    def heal(self):
        """End every fault. What was declared dead stays forced down until it has cleaned."""
        self.missed += self.strikes
        self.strikes.clear()
        self.database_faults.coming.clear()
        self.database_faults.away = False
        self.database_faults.seconds = 0.0
        self.bus.away = False
        self.cut_off.clear()
        self.busy.clear()
        for process in self.hub.processes:
            process.frozen = False
        for host in self.hosts:
            self.driver_faults[host].clear()
            self.power_on(host)
            if self.computes[host] is not self.newest[host]:
                # Its unit starts the one that crashed again; else nobody would be left when the other ends.
                self.compute_restart(host)
        self.api_restart()

    def settle(self):
        """Heal everything, wait for rest, and check that all that was promised has come to be."""
        self.heal()
        self.hub.pass_time(SETTLING, until=self._at_rest)
        for host in self.hosts:
            if self.heard(host).service.forced_down:
                self.force_down(host, down=False)
        # A power state that changed by itself is noticed, and a stray guest removed, within their intervals.
        self.hub.pass_time(150.0)
        self.watch.look()
        self.watch.judge(settled=True)
        silent = [host for host in self.hosts if not self.heard(host).up]
        if silent:
            raise Broken(f"I3: not up again: {silent}")

    def _at_rest(self):
        def look(session):
            waits = select(Instance.id).where(Instance.deleted.is_(False) & Instance.task_state.is_not(None)).limit(1)
            owed = select(Migration.id).where(Migration.status.in_(UNFINISHED | {"done"})).limit(1)
            return session.scalar(waits) is None and session.scalar(owed) is None

        return self.database.read(look) and all(self.computes[host].manager.up for host in self.hosts)


@contextmanager
def a_world(hosts=("a", "b", "c"), *, may_miss=False, **options):
    """Make a world in a folder that costs nothing, and clear both away.

    ``may_miss``: what is to befall a process at a boundary need not, since nobody knows whether it will come there.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(Path(folder), hosts, **options)
        try:
            yield world
            if not may_miss:
                world.must_have_struck()
        finally:
            world.close()
