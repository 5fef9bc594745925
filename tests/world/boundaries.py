"""Everything through which production code touches the world: the database, the hypervisor, messages.

Each stands in front of the real thing (or of the simulated hypervisor) and is passed in where that would be. Here
effects are seen, here processes die, freeze and lose their connections; nothing in production code is patched.
"""

from collections import deque

from oslo_db.exception import DBConnectionError, DBDeadlock

from evacuator.db.refusals import answering
from evacuator.errors import DiskInUse, DiskMissing, DriverError, HypervisorUnknown
from evacuator.virt.simulated import FaultKind

#: Calls to a hypervisor after which every guest is as it was.
LOOKS = ("facts", "inventory", "find")


def name_of(work):
    """Name a transaction by the verb that makes it: ``own_instance``."""
    return work.__qualname__.split(".<locals>")[0].strip("_")


class DatabaseFaults:
    """What goes wrong with the database, for everybody: the next few transactions, or all until it is back."""

    def __init__(self):
        self.away = False
        self.seconds = 0.0
        self.coming = deque()

    def add(self, kind, count):
        self.coming.extend([kind] * count)

    def afflict(self, work):
        """Return ``work`` as it goes with the next fault: once it comes to nothing, or nobody hears that it came."""
        if not self.coming:
            return work
        kind = self.coming.popleft()
        runs = 0

        def afflicted(transaction):
            nonlocal runs
            runs += 1
            if runs > 1:
                return work(transaction)
            if kind == "deadlock":
                raise DBDeadlock
            if kind == "lose":
                work(transaction)
                transaction.commit()
            raise DBConnectionError

        return afflicted


class WatchedDatabase:
    """A process's connection to the database."""

    def __init__(self, process, database, faults, reachable):
        self._process = process
        self._database = database
        self._faults = faults
        self._reachable = reachable
        self.engine = database.engine

    def read(self, work):
        self._connect()
        self._wait()
        found = self._database.read(work)
        self._process.cross("after", f"read {name_of(work)}")
        return found

    def write(self, work):
        self._process.cross("before", name_of(work))
        self._connect()
        self._wait()
        written = self._database.write(self._faults.afflict(work))
        self._wait()
        self._process.cross("after", name_of(work))
        return written

    def _wait(self):
        """Spend what a slow database takes: before anything is looked at, and after a commit before anybody hears."""
        if self._faults.seconds:
            self._process.sleep(self._faults.seconds)

    def _connect(self):
        if self._faults.away or not self._reachable():
            with answering():
                raise DBConnectionError


class DriverFaults:
    """Operations of one host's hypervisor that are going to go wrong, whoever drives it."""

    def __init__(self):
        self._coming = []

    def add(self, operation, count, kind, uuid=None):
        """Have an operation go wrong so many times, on one guest or on whichever comes next."""
        self._coming += [(operation, FaultKind(kind), uuid)] * count

    def clear(self):
        self._coming.clear()

    def next(self, operation, uuid):
        for index, (name, kind, guest) in enumerate(self._coming):
            if name == operation and guest in (None, uuid):
                del self._coming[index]
                return kind
        return None


class WatchedDriver:
    """A compute manager's grip on its hypervisor."""

    EFFECTS = frozenset(
        {"define", "power_on", "power_off", "reboot_softly", "reboot", "destroy", "set_aside", "take_keys_back"}
    )

    def __init__(self, process, driver, faults, order):
        self._process = process
        self._driver = driver
        self._faults = faults
        self._order = order
        self.host = driver.host

    def facts(self):
        return self._do("facts")

    def inventory(self):
        # By the order in which instances were made: their ids are random, and a run must be one that can be told again.
        return sorted(self._do("inventory"), key=lambda guest: self._order(guest.uuid))

    def find(self, uuid):
        return self._do("find", uuid)

    def define(self, guest, disk, cause):
        self._do("define", guest, disk, cause)

    def power_on(self, uuid, cause, keys=()):
        self._do("power_on", uuid, cause, keys)

    def power_off(self, uuid, cause, *, hard=False):
        self._do("power_off", uuid, cause, hard=hard)

    def reboot_softly(self, uuid, cause):
        return self._do("reboot_softly", uuid, cause)

    def reboot(self, uuid, cause, keys=()):
        self._do("reboot", uuid, cause, keys)

    def destroy(self, uuid, cause, *, disks):
        self._do("destroy", uuid, cause, disks=disks)

    def set_aside(self, uuid, cause):
        self._do("set_aside", uuid, cause)

    def take_keys_back(self):
        self._do("take_keys_back")

    def watch(self, changed):
        pass

    def close(self):
        pass

    def _do(self, operation, *args, **kwargs):
        if operation in self.EFFECTS:
            self._process.cross("before", operation)
        of = args[0] if args else None
        fault = self._faults.next(operation, getattr(of, "uuid", of))
        if fault not in (None, FaultKind.LOST):
            raise FAILURES[fault](self.host, operation)
        result = getattr(self._driver, operation)(*args, **kwargs)
        self._process.cross("after", operation)
        if fault is FaultKind.LOST:
            raise FAILURES[fault](self.host, operation)
        return result


def _unknown(host, operation):
    return HypervisorUnknown(host=host, reason=f"{operation} took too long")


FAILURES = {
    FaultKind.REFUSE: lambda host, operation: DriverError(reason=f"The hypervisor of host {host} refused {operation}."),
    FaultKind.MISSING: lambda host, _: DiskMissing(uuid="it", host=host, path="nowhere"),
    FaultKind.FULL: lambda host, operation: DriverError(
        reason=f"{operation} failed on host {host}: cannot write '/var/lib/evacuator/nvram': No space left on device."
    ),
    FaultKind.LOCKED: lambda host, _: DiskInUse(uuid="it", host=host, reason="a zombie has it"),
    FaultKind.TIMEOUT: _unknown,
    FaultKind.LOST: _unknown,
}


class Bus:
    """The broker: it delivers at once, unless it was told to lose, double, delay or shuffle what comes."""

    def __init__(self, hub, broker):
        self._hub = hub
        self._broker = broker
        self._listeners = {}
        self._late = []
        self._tricks = deque()
        self.away = False

    def trick(self, kind, count):
        """Treat the next ``count`` messages so: drop, duplicate, delay, reorder."""
        self._tricks.extend([kind] * count)

    def listen(self, host, woken, reachable):
        """Bring messages for ``host`` to ``woken`` as long as it is ``reachable``; return what stops that."""
        heard = self._listeners[host] = (woken, reachable)

        def stop():
            if self._listeners.get(host) is heard:
                del self._listeners[host]

        return stop

    def send(self, host, message):
        """Take a message for ``host``: (method, arguments) of whoever listens there."""
        if self.away:
            return
        trick = self._tricks.popleft() if self._tricks else "deliver"
        if trick == "drop":
            return
        if trick == "delay":
            self._post(host, message, 20.0)
        elif trick == "reorder":
            # It waits until another message overtakes it, or the broker has lost patience.
            self._late.append((host, message))
            self._broker.spawn("flush", self._flush_later)
        else:
            for _ in range(2 if trick == "duplicate" else 1):
                self._post(host, message)
            self._flush()

    def _flush_later(self):
        self._broker.sleep(40.0)
        self._flush()

    def _flush(self):
        late, self._late = self._late, []
        for host, message in late:
            self._post(host, message)

    def _post(self, host, message, delay=0.0):
        def deliver():
            if delay:
                self._broker.sleep(delay)
            woken, reachable = self._listeners.get(host, (None, None))
            if woken is not None and reachable():
                method, arguments = message
                getattr(woken, method)(*arguments)

        self._broker.spawn(f"message to {host}", deliver)


class Casts:
    """What the engine of one process casts with."""

    def __init__(self, process, bus, reachable):
        self._process = process
        self._bus = bus
        self._reachable = reachable

    def can_send_target_state(self):
        return True

    def rebuild_instance(self, context, record, instance, service_version):
        attempt = record.attempt if service_version > 1 else None
        message = ("wake_rebuild", (record.id, instance.uuid, attempt, context))
        self._cast("rebuild_instance", str(record.dest_compute), message)

    def carry_out_order(self, context, host, instance_uuid, order_id):
        self._cast("carry_out_order", host, ("wake_order", (instance_uuid, order_id, context)))

    def _cast(self, name, host, message):
        self._process.cross("before", f"cast {name}")
        if self._reachable():
            self._bus.send(host, message)
        self._process.cross("after", f"cast {name}")


class Workers:
    """A compute manager's pool: every piece of work is a task of its process, which waits for a worker to be free."""

    def __init__(self, process, free):
        self._process = process
        self._free = free
        self._stopped = False

    def submit(self, work, /):
        if not self._stopped:
            self._process.spawn("work", lambda: self._process.wait_for(self._free) and work())

    def stop(self, timeout):
        self._stopped = True
        return True
