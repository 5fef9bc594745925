"""What becomes of disks that are lost with their host, as tests: those of a driver inherit :class:`LostDisks`."""

import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, update

from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.context import RequestContext
from evacuator.db import instances, schema
from evacuator.db.models import Instance, InstanceActionEvent, Migration, Service
from evacuator.db.session import open_database
from evacuator.engine.accept import EvacuationOrder, accept_evacuation
from evacuator.engine.create import NeededImage, NewInstances, create_instances
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.reset import reset_state
from evacuator.evacuation.states import VmState
from evacuator.virt.driver import Driver


class AtOnce:
    """Does what is submitted there and then, unless it died with its host."""

    def __init__(self) -> None:
        self.dead = False

    def submit(self, work: Callable[[], None], /) -> None:
        if not self.dead:
            work()


class Hosts:
    """Managers of some hosts, woken at once, and the few things that are done to them here."""

    def __init__(self, folder: Path, drivers: list[Driver], *, allowed: bool) -> None:
        self.database = open_database(f"sqlite:///{folder / 'hosts.sqlite'}")
        schema.upgrade(self.database)
        self.engine = Engine(self.database, self, Rules())
        self.drivers = {driver.host: driver for driver in drivers}
        self._workers = {driver.host: AtOnce() for driver in drivers}
        self.managers = {
            driver.host: ComputeManager(
                Host(driver.host, self.engine, driver, time.monotonic, rebuild_from_image=allowed),
                self._workers[driver.host],
                str(uuid.uuid4()),
            )
            for driver in drivers
        }
        for manager in self.managers.values():
            manager.start()
            assert manager.beat()

    # -- as whoever wakes managers

    def can_send_target_state(self) -> bool:
        return True

    def rebuild_instance(self, _context: object, record: Migration, instance: Instance, _version: int) -> None:
        self.managers[str(record.dest_compute)].wake_rebuild(record.id, instance.uuid, record.attempt)

    def carry_out_order(self, _context: object, host: str, instance_uuid: str, order_id: str) -> None:
        self.managers[host].wake_order(instance_uuid, order_id)

    # -- as an operator

    def create(self, host: str, image: str | None) -> str:
        """Make a server on a host; it runs when this returns."""
        wanted = NewInstances("server", "1", image=NeededImage(image) if image else None, requested_host=host)
        (made,) = create_instances(self.engine, RequestContext.of_service("test"), wanted)
        assert self.instance(made.uuid).vm_state == VmState.ACTIVE, self.instance(made.uuid).fault
        return made.uuid

    def fence(self, host: str) -> None:
        """Switch a host off, its manager and every guest, and say that it is down."""
        # Or it would still hear that its guests are off, and have them recorded as stopped.
        self._workers[host].dead = True
        for guest in self.drivers[host].inventory():
            self.drivers[host].power_off(guest.uuid, "fenced", hard=True)
        self._force_down(host, forced=True)

    def come_back(self, host: str) -> None:
        """Have a host beat again; it cleans first."""
        self._workers[host].dead = False
        self._force_down(host, forced=False)
        assert self.managers[host].beat()

    def evacuate(self, server: str, *, starts: bool = False, shared: bool | None = None) -> Migration:
        """Have a server evacuated and return the record as it is then."""
        order = EvacuationOrder(server, stops_at_destination=not starts, on_shared_storage=shared)
        record = accept_evacuation(self.engine, RequestContext.of_service(f"req-{uuid.uuid4()}"), order)
        return self.database.read(lambda session: session.get_one(Migration, record.id))

    def instance(self, server: str) -> Instance:
        return self.database.read(lambda session: instances.get(session, server))

    def events(self) -> list[str | None]:
        """Return what all events say, the newest last."""
        details = select(InstanceActionEvent.details).order_by(InstanceActionEvent.id)
        return list(self.database.read(lambda session: session.scalars(details).all()))

    def record(self, number: int) -> Migration:
        return self.database.read(lambda session: session.get_one(Migration, number))

    def undo_the_end_of(self, record: Migration) -> None:
        """Have the database be as when the destination of an evacuation owned its instance and did not say more yet."""
        unfinished = update(Migration).where(Migration.id == record.id).values(status="pre-migrating", disk=None)
        locked = update(Instance).where(Instance.uuid == record.instance_uuid).values(evacuation_id=record.uuid)
        self.database.write(lambda session: (session.execute(unfinished), session.execute(locked)))

    def _force_down(self, host: str, *, forced: bool) -> None:
        change = update(Service).where(Service.host == host).values(forced_down=forced)
        self.database.write(lambda session: session.execute(change))


class LostDisks:
    """Two hosts, a and b, each with storage of its own unless it is said to be ``shared``."""

    @abstractmethod
    def make_driver(self, host: str, *, shared: bool) -> Driver:
        """Return the driver of a host."""

    @abstractmethod
    def shared_disk_of(self, server: str) -> Path:
        """Return where the disk of a server is on storage that is shared."""

    @abstractmethod
    def disk_of(self, host: str, server: str) -> Path:
        """Return where the disk of a server is on a host."""

    @pytest.fixture
    def image(self) -> str:
        """The image that servers are made from."""
        return str(uuid.uuid4())

    @pytest.fixture
    def make_hosts(self, tmp_path: Path) -> Iterator[Callable[..., Hosts]]:
        made: list[Hosts] = []

        def make(*, allowed: bool = True, shared: bool = False) -> Hosts:
            drivers = [self.make_driver(host, shared=shared) for host in ("a", "b")]
            made.append(Hosts(tmp_path, drivers, allowed=allowed))
            return made[-1]

        yield make
        for hosts in made:
            for driver in hosts.drivers.values():
                driver.close()
            hosts.database.close()

    def others(self, host: str, server: str) -> list[Path]:
        """Return what is left of a server on a host under other names."""
        place = self.disk_of(host, server)
        return [path for path in place.parent.glob(f"*{server}*") if path != place]

    @contextmanager
    def untouched(self, disk: Path) -> Iterator[None]:
        before = disk.stat()
        yield
        after = disk.stat()
        assert (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)

    @pytest.mark.parametrize("starts", [True, False])
    def test_where_it_is_allowed_a_lost_disk_is_replaced_and_the_record_says_so(self, make_hosts, image, starts):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")

        with self.untouched(self.disk_of("a", server)):
            record = hosts.evacuate(server, starts=starts)

        assert (record.status, record.disk) == ("done", "replaced")
        assert hosts.instance(server).host == "b"
        assert hosts.drivers["b"].find(server).running is starts
        assert self.disk_of("b", server).exists()
        assert self.others("b", server) == []
        assert f"made anew from image {image}" in (hosts.events()[-1] or "")

    def test_the_source_keeps_the_old_disk_set_aside_and_another_evacuation_may_come_back(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        old = self.disk_of("a", server).stat().st_ino
        record = hosts.evacuate(server)

        hosts.come_back("a")

        assert hosts.record(record.id).status == "completed"
        assert not self.disk_of("a", server).exists()
        (aside,) = self.others("a", server)
        assert aside.stat().st_ino == old
        hosts.fence("b")
        assert (back := hosts.evacuate(server)).status == "done", hosts.events()[-1]
        assert back.disk == "replaced"
        assert self.disk_of("a", server).stat().st_ino != old
        assert self.others("a", server) == [aside]

    def test_where_it_is_not_allowed_nothing_is_made(self, make_hosts, image):
        hosts = make_hosts(allowed=False)
        server = hosts.create("a", image)
        hosts.fence("a")

        record = hosts.evacuate(server)

        assert (record.status, record.disk) == ("failed", None)
        assert "The disk of instance" in (record.reason or "")
        assert hosts.instance(server).host == "a"
        assert not self.disk_of("b", server).exists()
        hosts.come_back("a")
        assert self.disk_of("a", server).exists()

    def test_a_disk_that_is_there_although_it_should_be_lost_is_a_failure_and_stays(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        self.disk_of("b", server).hardlink_to(self.disk_of("a", server))

        with self.untouched(self.disk_of("a", server)):
            record = hosts.evacuate(server)

            assert record.status == "failed"
            assert f"{self.disk_of('b', server)} is there already" in (record.reason or "")
            assert hosts.drivers["b"].find(server) is None
            hosts.come_back("a")
        assert hosts.instance(server).host == "a"

    def test_a_shared_disk_that_is_not_there_is_a_failure_and_never_replaced(self, make_hosts, image):
        hosts = make_hosts(shared=True)
        server = hosts.create("a", image)
        hosts.fence("a")
        disk = self.shared_disk_of(server)
        away = disk.rename(disk.with_name("away"))

        record = hosts.evacuate(server)

        assert (record.status, record.disk) == ("failed", None)
        assert f"The disk of instance {server} is not on host b" in (record.reason or "")
        assert not disk.exists()
        away.rename(disk)
        again = hosts.evacuate(server)
        assert (again.status, again.disk) == ("done", "existing")

    def test_what_an_evacuation_made_before_it_died_is_its_own(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        guest = hosts.drivers["b"].find
        first = hosts.evacuate(server, starts=True)
        assert guest(server).running
        hosts.undo_the_end_of(first)

        hosts.managers["b"].wake_rebuild(first.id, server, None)

        assert (hosts.record(first.id).status, hosts.record(first.id).disk) == ("done", "replaced")
        assert guest(server).running

    def test_the_disk_of_a_source_that_kept_its_guest_is_not_taken_for_a_new_one(self, make_hosts, image):
        """The evacuation that took the server away has failed; the next one leads back before the source cleans."""
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        first = hosts.evacuate(server)
        hosts.undo_the_end_of(first)
        hosts.come_back("a")
        assert hosts.drivers["a"].find(server)
        reset_state(hosts.engine, RequestContext.of_service("test"), server, VmState.ERROR)
        hosts.fence("b")

        with self.untouched(self.disk_of("a", server)):
            record = hosts.evacuate(server)

        assert (record.status, record.disk) == ("failed", None)
        assert f"{self.disk_of('a', server)} is there already" in (record.reason or "")
        assert hosts.instance(server).host == "b"

    def test_a_server_without_an_image_is_never_made_from_nothing(self, make_hosts):
        hosts = make_hosts()
        server = hosts.create("a", None)
        hosts.fence("a")

        record = hosts.evacuate(server)

        assert record.status == "failed"
        assert not self.disk_of("b", server).exists()

    @pytest.mark.parametrize("said", [True, False])
    def test_below_2_14_the_callers_word_is_held_against_what_the_hosts_publish(self, make_hosts, image, said):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")

        record = hosts.evacuate(server, starts=True, shared=said)

        assert record.status == ("failed" if said else "done")
        if said:
            assert "onSharedStorage = True, but hosts a and b do not share theirs" in (record.reason or "")
            assert not self.disk_of("b", server).exists()
