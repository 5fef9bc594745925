"""Many requests at the same moment: real threads on one SQLite file, nothing simulated but the hypervisors' absence."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select

from evacuator.context import RequestContext
from evacuator.db import migrations, nodes, schema, services
from evacuator.db.models import Allocation, ComputeNode, Instance, Migration
from evacuator.db.session import Database, open_database
from evacuator.engine.accept import EvacuationOrder, accept_evacuation
from evacuator.engine.claim import claim_evacuation
from evacuator.engine.create import NewInstances, create_instances
from evacuator.engine.delete import delete_instance
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.service import ServiceChange, change_service
from evacuator.errors import EvacuationInProgress, EvacuatorError
from evacuator.evacuation.states import VmState
from evacuator.evacuation.transitions import Status

ROOM = {
    "hypervisor_hostname": "any",
    "hypervisor_type": "QEMU",
    "storage_id": "shared",
    "memory_mb": 65536,
    "local_gb": 1000,
}


class NoCasts:
    """Wakes nobody: what happens after the acceptance is not what these tests are about."""

    def can_send_target_state(self) -> bool:
        return True

    def rebuild_instance(self, *_args: Any) -> None:
        pass

    def carry_out_order(self, *_args: Any) -> None:
        pass


def context() -> RequestContext:
    return RequestContext(user_id="admin", project_id="admin", is_admin=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Hosts a (to die), b and c, with 100, 20 and 20 vCPUs."""
    database = open_database(f"sqlite:///{tmp_path / 'races.sqlite'}")
    schema.upgrade(database)
    for host, vcpus in (("a", 100), ("b", 20), ("c", 20)):
        _add_host(database, host, vcpus)
    yield Engine(database, NoCasts(), Rules())
    database.close()


def _add_host(database: Database, host: str, vcpus: int) -> None:
    def work(session: Any) -> None:
        services.register(session, host, f"id of {host}", "first", 2)
        nodes.register(session, host, f"id of {host}", {**ROOM, "vcpus": vcpus})
        epoch = services.epoch_of(session, host, "first")
        assert epoch is not None
        assert services.beat(session, host, "first", epoch, 60)

    database.write(work)


def instances_on_a_dead_host(engine: Engine, number: int) -> list[str]:
    wanted = NewInstances("server", "1", requested_host="a", min_count=number, max_count=number)
    made = [instance.uuid for instance in create_instances(engine, context(), wanted)]

    def launch(session: Any) -> None:
        for instance in session.scalars(select(Instance)):
            instance.vm_state, instance.task_state, instance.order_id = VmState.ACTIVE, None, None
            instance.launched_at = instance.created_at
        session.flush()

    engine.database.write(launch)
    service = engine.database.read(lambda session: services.by_host(session, "a"))
    change_service(engine, service.id, ServiceChange(forced_down=True))
    return made


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make all calls at the same moment; an error on purpose is an answer too."""
    together = Barrier(len(calls))

    def call(do: Callable[[], Any]) -> Any:
        together.wait()
        try:
            return do()
        except EvacuatorError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def evacuate(engine: Engine, uuid: str) -> Migration:
    return accept_evacuation(engine, context(), EvacuationOrder(uuid, stops_at_destination=True))


def test_fifty_evacuations_for_which_there_is_room_for_forty_are_forty_and_ten(engine: Engine) -> None:
    servers = instances_on_a_dead_host(engine, 50)
    records = at_once([lambda uuid=uuid: evacuate(engine, uuid) for uuid in servers])  # type: ignore[misc]
    assert Counter(record.status for record in records) == {Status.ACCEPTED: 40, Status.ERROR: 10}
    assert Counter(record.dest_compute for record in records) == {"b": 20, "c": 20, None: 10}

    def books(session: Any) -> dict[str, tuple[int, int]]:
        claimed = select(func.coalesce(func.sum(Allocation.vcpus), 0)).where(Allocation.host == ComputeNode.host)
        rows = session.execute(select(ComputeNode.host, ComputeNode.vcpus_used, claimed.scalar_subquery()))
        return {host: (used, sum_of_claims) for host, used, sum_of_claims in rows}

    assert engine.database.read(books) == {"a": (50, 50), "b": (20, 20), "c": (20, 20)}


def test_one_instance_asked_for_eight_times_at_once_is_accepted_once(engine: Engine) -> None:
    (uuid,) = instances_on_a_dead_host(engine, 1)
    answers = at_once([lambda: evacuate(engine, uuid)] * 8)
    assert Counter(type(answer) for answer in answers) == {Migration: 1, EvacuationInProgress: 7}


def test_one_record_claimed_eight_times_at_once_has_one_owner(engine: Engine) -> None:
    (uuid,) = instances_on_a_dead_host(engine, 1)
    record = evacuate(engine, uuid)
    host = str(record.dest_compute)
    claims = at_once([lambda: claim_evacuation(engine, host, record.id, record.attempt, 2)] * 8)
    assert sum(claim is not None for claim in claims) == 1


def test_a_delete_and_an_evacuation_at_once_leave_no_claim_behind(engine: Engine) -> None:
    for uuid in instances_on_a_dead_host(engine, 10):
        at_once(
            [
                lambda uuid=uuid: evacuate(engine, uuid),  # type: ignore[misc]
                lambda uuid=uuid: delete_instance(engine, context(), uuid, None, override_lock=True),  # type: ignore[misc]
            ]
        )
        assert engine.database.read(lambda session, uuid=uuid: nodes.holders(session, uuid)) == []  # type: ignore[misc]
    assert engine.database.read(lambda session: migrations.unfinished_at(session, "b")) == []
