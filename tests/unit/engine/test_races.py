"""Races with real threads on SQLite: what virtual time cannot show."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from uuid import uuid4

import pytest
from oslo_db.exception import DBConnectionError, DBDeadlock
from sqlalchemy import event, select

from evacuator.context import RequestContext
from evacuator.db import census, instances, migrations, schema, services
from evacuator.db.clock import now
from evacuator.db.models import ComputeNode, Instance, Migration, Service
from evacuator.db.session import open_database
from evacuator.engine.accept import EvacuationOrder, accept_evacuation
from evacuator.engine.choose import claim_destination
from evacuator.engine.claim import claim_evacuation
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.fail import fail_at_source
from evacuator.engine.finish import finish_stopped
from evacuator.engine.record import move
from evacuator.errors import Conflict, Overtaken
from evacuator.evacuation.destination import Need, Room
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.facts import Site
from evacuator.evacuation.transitions import Step
from evacuator.virt.driver import DiskSource

ROOM = Room(1, 512, 1)


class Silence:
    """Casts that nobody hears."""

    def can_send_target_state(self):
        return True

    def rebuild_instance(self, *message):
        pass

    def carry_out_order(self, *message):
        pass


def context():
    return RequestContext(user_id="operator", project_id="admin", is_admin=True, overwrite=False)


@pytest.fixture
def engine(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite")
    schema.upgrade(database)
    yield Engine(database, Silence(), Rules())
    database.close()


@pytest.fixture
def site(engine):
    """Make hosts with room for so many instances, and instances on the first."""

    def make(rooms, instances_on_first):
        def work(transaction):
            for host, room in rooms.items():
                transaction.add(_service(host))
                transaction.add(_node(host, room))
            transaction.flush()
            return [_instance(engine, transaction, next(iter(rooms)), name) for name in range(instances_on_first)]

        made = engine.database.write(work)
        first = next(iter(rooms))

        def force_down(transaction):
            services.edit(transaction, services.by_host(transaction, first), {"forced_down": True})

        engine.database.write(force_down)
        return made

    return make


def _service(host):
    return Service(
        uuid=str(uuid4()),
        host=host,
        version=2,
        incarnation=host,
        epoch=0,
        cleaned_epoch=0,
        last_seen=now(),
        up_since=now(),
    )


def _node(host, room):
    return ComputeNode(
        uuid=str(uuid4()),
        host=host,
        hypervisor_hostname=host,
        hypervisor_type="QEMU",
        storage_id="shared",
        vcpus=ROOM.vcpus * room,
        memory_mb=ROOM.memory_mb * room,
        local_gb=ROOM.disk_gb * room,
    )


def _instance(engine, transaction, host, name):
    instance = Instance(
        uuid=str(uuid4()),
        display_name=str(name),
        hostname=str(name),
        project_id="p",
        user_id="u",
        reservation_id="r-1",
        flavor={},
        vcpus=ROOM.vcpus,
        memory_mb=ROOM.memory_mb,
        disk_gb=ROOM.disk_gb,
        vm_state="active",
        power_state=1,
        launched_at=now(),
    )
    instances.insert(transaction, instance)
    assert claim_destination(engine, transaction, instance.uuid, Need(ROOM, requested=host)).host == host
    instances.change(transaction, instance.uuid, {}, {"host": host})
    return instance.uuid


def at_once(calls):
    """Make all calls at the same moment; return what each returned or raised."""
    start = threading.Barrier(len(calls))

    def call(work):
        start.wait()
        try:
            return work()
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def evacuate(engine, uuid):
    return lambda: accept_evacuation(engine, context(), EvacuationOrder(uuid, stops_at_destination=True))


def books_balance(engine):
    broken = [each for each in findings(Site(census.take(engine.database, 60.0))) if each.broken]
    assert not broken


def test_of_two_evacuations_of_one_instance_one_is_accepted_and_one_conflicts(engine, site):
    (uuid,) = site({"a": 10, "b": 10, "c": 10}, 1)

    answers = at_once([evacuate(engine, uuid)] * 2)

    assert sorted(isinstance(answer, Conflict) for answer in answers) == [False, True]
    assert len(engine.database.read(lambda session: session.scalars(select(Migration)).all())) == 1
    books_balance(engine)


def test_of_fifty_evacuations_with_room_for_forty_ten_end_in_error(engine, site):
    uuids = site({"a": 50, "b": 25, "c": 15}, 50)

    records = at_once([evacuate(engine, uuid) for uuid in uuids])

    assert sorted(record.status for record in records) == ["accepted"] * 40 + ["error"] * 10
    books_balance(engine)

    done = at_once([lambda record=record: carry_out(engine, record) for record in records if record.dest_compute])

    assert sum(done) == 40
    nodes = engine.database.read(lambda session: session.scalars(select(ComputeNode)).all())
    assert {node.host: node.claims for node in nodes} == {
        "a": 50,
        "b": 25,
        "c": 15,
    }  # the source has not cleaned up yet
    books_balance(engine)


def test_of_many_doubled_messages_one_claims_the_evacuation(engine, site):
    (uuid,) = site({"a": 10, "b": 10}, 1)
    record = evacuate(engine, uuid)()

    claims = at_once([lambda: claim_evacuation(engine, "b", record.id, record.attempt, 2)] * 8)

    assert sum(claim is not None for claim in claims) == 1


@pytest.mark.parametrize("step", [Step.REASSIGN, Step.FAIL])
def test_what_another_did_to_a_record_is_not_told_by_whose_commit_came_to_nothing(engine, site, caplog, step):
    """Every manager looks for orphans, and all that lost their connections at once would do the same to each."""
    (uuid,) = site({"a": 10, "b": 10, "c": 10}, 1)
    record = evacuate(engine, uuid)()
    runs = iter(range(2))

    def comes_to_nothing(_session):
        raise DBConnectionError

    def work(transaction):
        first = next(runs) == 0
        move(transaction, migrations.get(transaction, record.id), step, "b is lost", dest_compute="c")
        if first:
            event.listen(transaction, "before_commit", comes_to_nothing)
        else:
            raise Overtaken(what="migrations", where="as if what was just written had been somebody else's")

    caplog.clear()
    with caplog.at_level("INFO", "evacuator"), pytest.raises(Overtaken):
        engine.database.write(work)
    assert not [line for line in caplog.records if hasattr(line, "transition")]


class InVain:
    """A database that refuses the first commit of each transaction, as for a deadlock that is seen only then."""

    def __init__(self, database):
        self._database = database

    def write(self, work):
        runs = count()

        def in_vain(transaction):
            written = work(transaction)
            if next(runs) == 0:
                raise DBDeadlock
            return written

        return self._database.write(in_vain)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda engine, assignment: finish_stopped(engine, "b", assignment, DiskSource.EXISTING), "done"),
        (lambda engine, assignment: fail_at_source(engine, assignment, "It did not work."), "failed"),
    ],
)
def test_an_end_whose_commit_was_refused_is_written_again(engine, site, end, status):
    (uuid,) = site({"a": 10, "b": 10}, 1)
    record = evacuate(engine, uuid)()
    assignment = claim_evacuation(engine, "b", record.id, record.attempt, 2)

    end(replace(engine, database=InVain(engine.database)), assignment)

    assert assignment.record.status == status
    assert engine.database.read(lambda session: migrations.get(session, record.id)).status == status


def carry_out(engine, record):
    assignment = claim_evacuation(engine, record.dest_compute, record.id, record.attempt, 2)
    finish_stopped(engine, record.dest_compute, assignment, DiskSource.EXISTING)
    return True
