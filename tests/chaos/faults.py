"""Everything that goes wrong, each as one function that does it and undoes it.

"Fence" means what it means in a machine room: the manager and its guests stop, and nothing powers on there until the
host returns. Frozen and cut-off hosts are never evacuated from; what is taken from them is what they do not own yet.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from oslo_db.exception import DBError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from evacuator.errors import DatabaseUnavailable
from evacuator.evacuation.transitions import Status
from evacuator.virt.simulated import FOLDER, Machine
from tests.chaos.clients import eventually
from tests.chaos.fences import Fences
from tests.services.cluster import DOWN_TIME, Cluster, Process
from tests.services.no_writes import takes_no_writes
from tests.services.servers import wipe

#: What the harness's own sessions meet when every session is ended.
LOST = (SQLAlchemyError, DBError)

#: How a hypervisor misbehaves a few times, in up to three ways of one kind. ``lost``: done, and the answer is lost.
HYPERVISOR_FAULTS = {
    "define fails": ("define:2", "define:2=timeout", "define:1=lost"),
    "start fails": ("power_on:2", "power_on:1=timeout", "power_on:1=lost"),
    "disk missing": ("define:1=missing",),
    "disk locked": ("define:1=locked",),
    "host full": ("define:1=full",),
    "hypervisor hesitates": ("inventory:3=timeout", "facts:4=timeout", "destroy:2=timeout", "power_off:2=refuse"),
}


#: How far evacuations may have come when the host that they are from returns. Those that came to nothing left it what
#: it had.
RETURNS = (Status.ACCEPTED, Status.PRE_MIGRATING, Status.DONE, Status.FAILED, Status.ERROR)

FOUND_ON_RETURN = """
    SELECT DISTINCT migrations.status
    FROM migrations JOIN instances ON instances.uuid = migrations.instance_uuid
    WHERE source_compute = :host
    AND (status IN ('accepted', 'pre-migrating', 'done') OR (status IN ('failed', 'error') AND instances.host = :host))
"""

ON_THEIR_WAY = """
    SELECT DISTINCT dest_compute FROM migrations
    WHERE source_compute = :host AND status IN ('accepted', 'pre-migrating') AND dest_compute IS NOT NULL
"""


@dataclass
class Stage:
    """Where faults happen: one at a time to each process, any number at once.

    ``long``: seconds that the broker is away once. ``returns``: how often a host came back to evacuations of a status.
    """

    cluster: Cluster
    fences: Fences
    random: random.Random
    stopping: threading.Event
    resend: Callable[[], int]
    long: float
    counts: Counter[str] = field(default_factory=Counter)
    returns: Counter[str] = field(default_factory=Counter)
    busy: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)
    troubles: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let the fault last, unless it is time to stop."""
        self.stopping.wait(seconds)

    @contextmanager
    def hold(self, names: list[str], most: int = 1) -> Iterator[list[str]]:
        """Have up to ``most`` of the named to oneself; yields those that were free."""
        with self.guard:
            free = [name for name in names if name not in self.busy]
            mine = self.random.sample(free, min(most, len(free)))
            self.busy.update(mine)
        try:
            yield mine
        finally:
            with self.guard:
                self.busy.difference_update(mine)

    def process(self, name: str) -> Process:
        """Return a process by its name."""
        return next(process for process in self.cluster.processes if process.name == name)

    @property
    def apis(self) -> list[str]:
        """The names of the API processes."""
        return [api.name for api in self.cluster.apis]

    @property
    def hosts(self) -> list[str]:
        """The names of the hosts."""
        return list(self.cluster.computes)

    def up_again(self, *names: str) -> None:
        """Start processes that were killed."""
        for name in names:
            if not self.process(name).running:
                self.process(name).begin()
        for name in names:
            self.process(name).ready()

    def told(self, query: str, host: str) -> list[str]:
        """Return what the database says of a host; nothing while it says nothing."""
        try:
            return [row[0] for row in self.cluster.sql(query, host=host)]
        except (*LOST, DatabaseUnavailable):
            return []

    def force_down(self, host: str, *, forced: bool) -> bool:
        """Force a host down, or let it up, as soon as somebody answers."""
        return eventually(lambda: self.cluster.force_down(host, forced).status == 200, self.stopping, 60)


# -- hosts


def host_dies(stage: Stage) -> bool:
    """A host is fenced, is evacuated, and comes back when that may be over."""
    return _host_dies(stage, stage.random.uniform(2.5, 5))


def source_returns_early(stage: Stage) -> bool:
    """A host is fenced and comes back, and is let up, while its instances are still being evacuated."""
    return _host_dies(stage, stage.random.uniform(0.2, 1.0))


def host_falls_silent(stage: Stage) -> bool:
    """A host is fenced and nobody says so: its silence has to count."""
    return _host_dies(stage, DOWN_TIME + stage.random.uniform(2, 4), told=False)


def two_hosts_die(stage: Stage) -> bool:
    """A second host dies while the first one's instances are on their way to it."""
    with stage.hold(stage.hosts, 2) as hosts:
        if len(hosts) < 2 or not _few_are_fenced(stage, 2):
            return False
        for host in hosts:
            _fence(stage, host)
            stage.sleep(stage.random.uniform(0.3, 1.5))
        stage.sleep(3)
        for host in hosts:
            _return(stage, host)
    return True


def destination_dies(stage: Stage) -> bool:
    """A host dies that is the destination of an evacuation from another dead one."""
    with stage.hold(stage.hosts) as sources:
        if not sources or not _few_are_fenced(stage, 2):
            return False
        _fence(stage, sources[0])
        try:
            return _a_destination_dies(stage, sources[0])
        finally:
            _return(stage, sources[0])


def _a_destination_dies(stage: Stage, source: str) -> bool:
    for _ in range(20):
        stage.sleep(0.2)
        with stage.hold(stage.told(ON_THEIR_WAY, source)) as destinations:
            if destinations and _few_are_fenced(stage, 1):
                _fence(stage, destinations[0])
                stage.sleep(stage.random.uniform(1, 3))
                _return(stage, destinations[0])
                return True
    return False


def _host_dies(stage: Stage, seconds: float, *, told: bool = True) -> bool:
    with stage.hold(stage.hosts) as hosts:
        if not hosts or not _few_are_fenced(stage, 1):
            return False
        _fence(stage, hosts[0], told=told)
        stage.sleep(seconds)
        _return(stage, hosts[0])
    return True


def _few_are_fenced(stage: Stage, more: int) -> bool:
    return len(stage.fences.hosts) + more <= 2


def _fence(stage: Stage, host: str, *, told: bool = True) -> None:
    stage.cluster.fence(host)
    stage.fences.put_up(host)
    if told:
        stage.force_down(host, forced=True)


def _return(stage: Stage, host: str) -> None:
    stage.fences.take_down(host)
    found = stage.told(FOUND_ON_RETURN, host)
    with stage.guard:
        stage.returns.update(found)
    stage.cluster.mains(host, "on")
    stage.cluster.computes[host].configure(_hypervisor(stage.random))
    stage.up_again(host)
    stage.force_down(host, forced=False)


def _hypervisor(rng: random.Random) -> str:
    slow = f"[simulated]\ndefine_seconds = {rng.uniform(0, 0.6):.2f}\npower_on_seconds = {rng.uniform(0, 0.4):.2f}\n"
    return slow if rng.random() < 0.5 else ""


# -- processes


def api_killed(stage: Stage) -> bool:
    """An API process is killed, and another one started."""
    return _killed(stage, stage.apis, stage.random.uniform(0, 1))


def compute_killed(stage: Stage) -> bool:
    """A compute manager is killed, its guests run on, and it is started again soon."""
    return _killed(stage, stage.hosts, stage.random.uniform(0, 1))


def compute_away(stage: Stage) -> bool:
    """A compute manager is killed and not started again before it is missed."""
    return _killed(stage, stage.hosts, DOWN_TIME + stage.random.uniform(1, 3))


def _killed(stage: Stage, names: list[str], seconds: float) -> bool:
    with stage.hold(names) as held:
        if not held:
            return False
        process = stage.process(held[0])
        process.kill()
        stage.sleep(seconds)
        if held[0] in stage.hosts:
            process.configure(_hypervisor(stage.random))
        stage.up_again(held[0])
    return True


def compute_frozen(stage: Stage) -> bool:
    """A compute manager is stopped where it stands, for longer than the down time."""
    return _frozen(stage, stage.hosts, DOWN_TIME + stage.random.uniform(1, 3))


def compute_hiccups(stage: Stage) -> bool:
    """A compute manager is stopped where it stands, for less than the down time."""
    return _frozen(stage, stage.hosts, stage.random.uniform(0.5, DOWN_TIME - 1))


def api_frozen(stage: Stage) -> bool:
    """An API process is stopped where it stands, whatever transaction it is in."""
    return _frozen(stage, stage.apis, stage.random.uniform(1, 4))


def _frozen(stage: Stage, names: list[str], seconds: float) -> bool:
    with stage.hold(names) as held:
        if not held:
            return False
        stage.process(held[0]).freeze()
        stage.sleep(seconds)
        stage.process(held[0]).thaw()
    return True


def everything_restarted(stage: Stage) -> bool:
    """Every process is killed at once and started again."""
    everything = stage.apis + stage.hosts
    with stage.hold(everything, len(everything)) as held:
        if len(held) < len(everything) - 1:
            return False
        for name in held:
            stage.process(name).kill()
        stage.up_again(*held)
    return True


# -- connections


def compute_cut_off(stage: Stage) -> bool:
    """A compute manager reaches neither the database nor the broker, for longer than the down time."""
    with stage.hold(stage.hosts) as held:
        if not held:
            return False
        stage.process(held[0]).cut_off()
        stage.sleep(DOWN_TIME + stage.random.uniform(1, 3))
        stage.process(held[0]).heal()
    return True


def database_connections_lost(stage: Stage) -> bool:
    """Every connection to the database is reset, in whatever transaction it is."""
    for process in stage.cluster.processes:
        process.database.reset()
    return True


def database_sessions_killed(stage: Stage) -> bool:
    """The server ends every session, as an operator or a failover would."""
    name = stage.cluster.database_url.database
    if "mysql" in stage.cluster.database_url.drivername:
        listed = "SELECT id FROM information_schema.processlist WHERE db = :name AND id != CONNECTION_ID()"
        kill = "KILL {}"
    else:
        listed = "SELECT pid FROM pg_stat_activity WHERE datname = :name AND pid != pg_backend_pid()"
        kill = "SELECT pg_terminate_backend({})"
    try:
        with stage.cluster.database.engine.connect() as connection:
            for (session,) in connection.execute(text(listed), {"name": name}).all():
                try:
                    connection.execute(text(kill.format(session)))
                except LOST:
                    connection.rollback()  # it ended by itself
    except LOST:
        return False
    return True


def database_away(stage: Stage) -> bool:
    """Nobody reaches the database for a moment."""
    return _servers_away(stage, "database", "cut", stage.random.uniform(0.5, 2))


def database_away_for_long(stage: Stage) -> bool:
    """Nobody reaches the database for longer than the down time."""
    return _servers_away(stage, "database", "cut", DOWN_TIME + stage.random.uniform(1, 2))


def database_stalls(stage: Stage) -> bool:
    """The database answers nobody for a moment."""
    return _servers_away(stage, "database", "stall", stage.random.uniform(0.5, 2))


def database_rows_locked(stage: Stage) -> bool:
    """Somebody locks the rows of some instances and of a host for a while."""
    try:
        with stage.cluster.database.engine.begin() as connection:
            connection.execute(text("SELECT id FROM instances ORDER BY id DESC LIMIT 20 FOR UPDATE"))
            connection.execute(text("SELECT id FROM services ORDER BY id LIMIT 1 FOR UPDATE"))
            stage.sleep(stage.random.uniform(0.5, 2))
    except LOST:
        return False  # we were the ones to be chosen
    return True


def database_takes_no_writes(stage: Stage) -> bool:
    """The database can be read, and not written."""
    with stage.hold(["the database"]) as held:
        if not held:
            return False
        try:
            with takes_no_writes(stage.cluster):
                stage.sleep(stage.random.uniform(0.5, 2))
        except LOST:
            return False
    return True


def broker_away(stage: Stage) -> bool:
    """Nobody reaches the broker for a while."""
    return _servers_away(stage, "broker", "cut", stage.random.uniform(2, 8))


def broker_away_for_long(stage: Stage) -> bool:
    """Nobody reaches the broker for a minute, or in a run of less than ten minutes for a tenth of it."""
    return _servers_away(stage, "broker", "cut", stage.long)


def broker_stalls(stage: Stage) -> bool:
    """The broker takes everything and answers nothing: messages come late, all at once."""
    return _servers_away(stage, "broker", "stall", stage.random.uniform(1, 5))


def broker_wiped(stage: Stage) -> bool:
    """The broker forgets every queue and every message."""
    with stage.hold(["the broker"]) as held:
        if held:
            wipe(stage.cluster.broker_url)
    return bool(held)


def messages_repeated(stage: Stage) -> bool:
    """Messages of evacuations that are under way or over are sent again, some to the wrong host."""
    return stage.resend() > 0


def _servers_away(stage: Stage, server: str, how: str, seconds: float) -> bool:
    with stage.hold([f"the {server}"]) as held:
        if not held:
            return False
        processes = stage.cluster.processes
        for process in processes:
            getattr(getattr(process, server), how)()
        stage.sleep(seconds)
        for process in processes:
            getattr(process, server).heal()
    return True


# -- hypervisors


def hypervisor_misbehaves(stage: Stage, ways: Sequence[str]) -> bool:
    """A host whose hypervisor refuses, does not answer, or loses disks, a few times."""
    with stage.hold(stage.hosts) as held:
        if not held:
            return False
        faults = ", ".join(stage.random.sample(ways, stage.random.randint(1, min(3, len(ways)))))
        process = stage.process(held[0])
        process.kill()
        process.configure(f"[simulated]\nfaults = {faults}\n")
        stage.up_again(held[0])
    return True


def hypervisor_hangs(stage: Stage) -> bool:
    """A hypervisor answers nothing for a while, and then does what it was asked meanwhile."""
    with stage.hold(stage.hosts) as held:
        if not held:
            return False
        with _machine(stage, held[0]).locked():
            stage.sleep(stage.random.uniform(1, DOWN_TIME + 2))
    return True


def hypervisor_dies(stage: Stage) -> bool:
    """The daemon of a hypervisor is dead for a while, and its guests run on."""
    with stage.hold(stage.hosts) as held:
        if not held:
            return False
        machine = _machine(stage, held[0])
        # Nothing answers, as while the mains are cut; but nobody stops the guests.
        try:
            _daemon(machine, runs=False)
            stage.sleep(stage.random.uniform(1, DOWN_TIME + 2))
        finally:
            _daemon(machine, runs=True)
    return True


def _machine(stage: Stage, host: str) -> Machine:
    return Machine(stage.cluster.state_dir / FOLDER, host)


def _daemon(machine: Machine, *, runs: bool) -> None:
    with machine.locked():
        machine.set_mains(on=runs)


# -- people


def operator_forces_up(stage: Stage) -> bool:
    """An operator lets a dead host up, in the middle of its evacuation; it is off, so it stays silent."""
    fenced = stage.fences.hosts
    if not fenced:
        return False
    host = stage.random.choice(fenced)
    with stage.fences.counted_on(host) as is_off:
        if not is_off:
            return False
        # It is refused while the host owes a cleaning, which is an answer, too.
        answered = eventually(
            lambda: stage.cluster.force_down(host, forced=False).status in (200, 400), stage.stopping, 10
        )
        stage.force_down(host, forced=True)
    return answered


FAULTS: dict[str, tuple[Callable[[Stage], bool], int]] = {
    "host dies": (host_dies, 18),
    "host falls silent": (host_falls_silent, 1),
    "source returns early": (source_returns_early, 5),
    "two hosts die": (two_hosts_die, 2),
    "destination dies": (destination_dies, 2),
    "API killed": (api_killed, 2),
    "API frozen": (api_frozen, 2),
    "compute killed": (compute_killed, 2),
    "compute away": (compute_away, 1),
    "compute frozen": (compute_frozen, 2),
    "compute hiccups": (compute_hiccups, 3),
    "compute cut off": (compute_cut_off, 2),
    "everything restarted": (everything_restarted, 0),
    "database connections lost": (database_connections_lost, 4),
    "database sessions killed": (database_sessions_killed, 4),
    "database away": (database_away, 2),
    "database away for long": (database_away_for_long, 0),
    "database stalls": (database_stalls, 3),
    "database rows locked": (database_rows_locked, 4),
    "database takes no writes": (database_takes_no_writes, 2),
    "broker away": (broker_away, 2),
    "broker away for long": (broker_away_for_long, 0),
    "broker stalls": (broker_stalls, 3),
    "broker wiped": (broker_wiped, 2),
    "messages repeated": (messages_repeated, 6),
    **{name: (partial(hypervisor_misbehaves, ways=ways), 1) for name, ways in HYPERVISOR_FAULTS.items()},
    "hypervisor hangs": (hypervisor_hangs, 2),
    "hypervisor dies": (hypervisor_dies, 2),
    "operator forces up": (operator_forces_up, 3),
}
"""Each with its weight; every one happens at least once, those of weight 0 only that once."""
