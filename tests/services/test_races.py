"""Two who do something about the same thing at the same moment, on servers where one really waits for the other."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from evacuator.context import RequestContext
from evacuator.db import instances, migrations, nodes, schema, services
from evacuator.db.clock import now, seconds_ago
from evacuator.db.models import Allocation, ComputeNode, Instance, Migration, Service
from evacuator.db.session import open_database
from evacuator.db.writes import change
from evacuator.engine import choose, claim, orders, own, service, takeover
from evacuator.engine.accept import EvacuationOrder, accept_evacuation
from evacuator.engine.engine import Engine, Rules
from evacuator.errors import InstanceChanged, InstanceIsBeingDeleted, ServiceInUse
from evacuator.evacuation.destination import Room
from tests.services.servers import fresh_database


class Nobody:
    """Wakes nobody."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_kwargs: True


@pytest.fixture(params=["mariadb", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with fresh_database(request.param) as url:
        database = open_database(url.render_as_string(hide_password=False), pool_size=4)
        schema.upgrade(database)
        yield Engine(database, Nobody(), Rules())
        database.close()


def _instance(uuid: str) -> dict[str, object]:
    return {
        "uuid": uuid,
        "display_name": "one",
        "hostname": "one",
        "project_id": "p",
        "user_id": "u",
        "reservation_id": "r-1",
        "flavor": {"name": "m1.tiny"},
        "tags": ["blue"],
        "vcpus": 1,
        "memory_mb": 512,
        "disk_gb": 1,
        "host": "a",
        "vm_state": "active",
    }


def _migration(uuid: str) -> dict[str, object]:
    return {
        "uuid": str(uuid4()),
        "instance_uuid": uuid,
        "status": "done",
        "attempt": 3,
        "source_compute": "b",
        "dest_compute": "a",
        "final_state": "stopped",
        "vm_state_before": "active",
        "request_id": "req-1",
        "user_id": "u",
        "project_id": "p",
    }


def hosts_up(session: Any, hosts: str = "abc") -> None:
    """Register hosts that are up and empty."""
    facts = {
        "hypervisor_hostname": "x", "hypervisor_type": "simulated", "storage_id": "shared",
        "vcpus": 8, "memory_mb": 8192, "local_gb": 100,
    }  # fmt: skip

    for host in hosts:
        services.register(session, host, str(uuid4()), host, 2)
        nodes.register(session, host, str(uuid4()), facts)
        epoch = services.epoch_of(session, host, host)
        assert epoch is not None
        services.beat(session, host, host, epoch, 60)


def an_instance(engine: Engine, **values: Any) -> str:
    """Make an instance on a, which is forced down; b and c are up."""
    uuid = str(uuid4())

    def work(session: Any) -> None:
        hosts_up(session)
        services.edit(session, services.by_host(session, "a"), {"forced_down": True})
        row = {**_instance(uuid), "host": "a", "vm_state": "active", "launched_at": now(), **values}
        session.execute(insert(Instance).values(row))
        nodes.claim(session, "a", uuid, Room(1, 512, 1))

    engine.database.write(work)
    return uuid


def evacuate(engine: Engine, uuid: str, host: str | None = None) -> Migration:
    """Have an evacuation accepted."""
    order = EvacuationOrder(uuid, requested_host=host)
    return accept_evacuation(engine, RequestContext.of_service("nova-api"), order)


def right_before_its_write(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen when whoever comes next has read an instance and is about to write to it."""
    change = instances.change

    def after_the_other(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(instances, "change", change)
        happens()
        change(*args, **kwargs)

    monkeypatch.setattr(instances, "change", after_the_other)


def an_orphan(engine: Engine) -> int:
    """Make an evacuation from b to a, which is forced down; c is the only host that can have it."""
    uuid = str(uuid4())

    def work(session: Any) -> int:
        hosts_up(session)
        for host in "ab":
            services.edit(session, services.by_host(session, host), {"forced_down": True})
        record = {**_migration(uuid), "status": "accepted"}
        session.execute(insert(Instance).values({**_instance(uuid), "host": "b", "evacuation_id": record["uuid"]}))
        session.execute(insert(Migration).values(record))
        for host in "ab":
            nodes.claim(session, host, uuid, Room(1, 512, 1))
        found = session.scalar(select(Migration.id))
        assert isinstance(found, int)
        return found

    return engine.database.write(work)


def test_who_finds_an_orphan_second_finds_it_settled(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    migration_id = an_orphan(engine)
    context = RequestContext.of_service("nova-compute")
    change, settled = takeover.instances.change, []

    def after_the_other(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(takeover.instances, "change", change)
        settled.append(takeover.settle_orphan(engine, context, migration_id))
        change(*args, **kwargs)

    monkeypatch.setattr(takeover.instances, "change", after_the_other)
    assert takeover.settle_orphan(engine, context, migration_id) is False
    assert settled == [True]
    with engine.database.engine.connect() as connection:
        record = connection.execute(select(Migration.status, Migration.dest_compute, Migration.attempt)).one()
        assert tuple(record) == ("accepted", "c", 4)
        assert sorted(connection.scalars(select(Allocation.host))) == ["b", "c"]


def test_a_service_is_not_deleted_while_an_evacuation_to_its_host_is_accepted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = str(uuid4())

    def work(session: Any) -> int:
        hosts_up(session, "ab")
        services.edit(session, services.by_host(session, "a"), {"forced_down": True})
        session.execute(insert(Instance).values({**_instance(uuid), "launched_at": now()}))
        nodes.claim(session, "a", uuid, Room(1, 512, 1))
        return int(services.by_host(session, "b").id)

    b = engine.database.write(work)
    holds, accepted = service.services.what_holds, []

    def before_the_other(*args: Any) -> str | None:
        found = holds(*args)
        context = RequestContext.of_service("nova-api")
        accepted.append(accept_evacuation(engine, context, EvacuationOrder(uuid, requested_host="b")))
        return found

    monkeypatch.setattr(service.services, "what_holds", before_the_other)
    with pytest.raises(ServiceInUse):
        service.delete_service(engine, RequestContext.of_service("nova-api"), b)
    assert [record.status for record in accepted] == ["accepted"]
    with engine.database.engine.connect() as connection:
        assert sorted(connection.scalars(select(Service.host))) == ["a", "b"]
        assert sorted(connection.scalars(select(ComputeNode.host))) == ["a", "b"]


@pytest.mark.parametrize(("requested", "status"), [("b", "error"), (None, "accepted")])
def test_a_host_that_fills_up_at_that_moment_is_not_overfilled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, requested: str | None, status: str
) -> None:
    slower, faster = str(uuid4()), str(uuid4())

    def work(session: Any) -> None:
        hosts_up(session, "abcd")
        change(session, ComputeNode, {"host": "b"}, {"vcpus": 1, "memory_mb": 9999})
        # From two hosts: those who evacuate the same one wait for each other.
        for host, uuid in (("a", slower), ("d", faster)):
            services.edit(session, services.by_host(session, host), {"forced_down": True})
            session.execute(insert(Instance).values({**_instance(uuid), "host": host, "launched_at": now()}))
            nodes.claim(session, host, uuid, Room(1, 512, 1))

    engine.database.write(work)
    rank, accepted = choose.rank, []

    def after_the_other(*args: Any) -> Any:
        best = rank(*args)
        monkeypatch.setattr(choose, "rank", rank)
        other = EvacuationOrder(faster, requested_host="b")
        accepted.append(accept_evacuation(engine, RequestContext.of_service("nova-api"), other))
        return best

    monkeypatch.setattr(choose, "rank", after_the_other)
    order = EvacuationOrder(slower, requested_host=requested)
    record = accept_evacuation(engine, RequestContext.of_service("nova-api"), order)
    assert [(each.status, each.dest_compute) for each in accepted] == [("accepted", "b")]
    assert (record.status, record.dest_compute) == (status, requested or "c")
    if requested:
        assert "b was filled by others at the same moment" in str(record.reason)
    with engine.database.engine.connect() as connection:
        used = connection.execute(select(ComputeNode.vcpus_used).where(ComputeNode.host == "b")).scalar_one()
        assert used == 1


def one_of_them_silent(engine: Engine) -> None:
    """Have a be silent for longer than the down time, while b and c were heard without a gap."""

    def work(session: Any) -> None:
        hosts_up(session)
        session.execute(update(Service).values(up_since=seconds_ago(200)))
        session.execute(update(Service).where(Service.host == "a").values(last_seen=seconds_ago(100)))

    engine.database.write(work)


def beats(engine: Engine, host: str) -> bool:
    epoch = engine.database.read(lambda session: services.epoch_of(session, host, host))
    assert epoch is not None
    return engine.database.write(lambda session: services.beat(session, host, host, epoch, 60))


def test_the_living_report_up_while_somebody_is_at_taking_something_from_a_silent_host(engine: Engine) -> None:
    """Who froze then made the witnesses fall silent, and with them went the proof."""
    one_of_them_silent(engine)

    def work(session: Any) -> list[bool]:
        assert services.prove_down(session, "a", 60)
        return [beats(engine, host) for host in "bc"]

    assert engine.database.write(work) == [True, True]


# On MariaDB its heartbeat waits until the other is done.
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_silent_host_that_is_heard_at_that_moment_is_not_taken_for_dead(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_of_them_silent(engine)
    look, found = services.of_host, []

    def before_the_other(*args: Any) -> Any:
        heard = look(*args)
        found.append((heard and heard.silent, beats(engine, "a")))
        return heard

    monkeypatch.setattr(services, "of_host", before_the_other)
    assert not engine.database.write(lambda session: services.prove_down(session, "a", 60))
    assert found == [(True, True)]


def test_a_destination_that_owns_the_instance_at_that_moment_is_not_replaced(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = an_instance(engine)
    record = evacuate(engine, uuid)
    here = str(record.dest_compute)
    assignment = claim.claim_evacuation(engine, here, record.id, record.attempt, 2)
    assert assignment is not None
    engine.database.write(
        lambda session: services.edit(session, services.by_host(session, here), {"forced_down": True})
    )
    context = RequestContext.of_service("nova-compute")
    right_before_its_write(monkeypatch, lambda: own.own_instance(engine, here, assignment))
    assert takeover.settle_orphan(engine, context, record.id) is False
    assert takeover.settle_orphan(engine, context, record.id) is True
    ended = engine.database.read(lambda session: migrations.get(session, record.id))
    assert ended is not None
    assert (ended.status, ended.dest_compute) == ("failed", here)
    assert f"fence that host ({here})" in str(ended.reason)
    assert engine.database.read(lambda session: instances.get(session, uuid)).host == here


def test_of_two_evacuations_that_both_find_the_instance_free_one_is_accepted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = an_instance(engine)
    accepted: list[Migration] = []
    right_before_its_write(monkeypatch, lambda: accepted.append(evacuate(engine, uuid, "b")))
    with pytest.raises(InstanceChanged):
        evacuate(engine, uuid, "c")
    with engine.database.engine.connect() as connection:
        assert connection.execute(select(Migration.status, Migration.dest_compute)).all() == [("accepted", "b")]
        assert connection.scalar(select(Instance.evacuation_id)) == accepted[0].uuid
        assert sorted(connection.scalars(select(Allocation.host))) == ["a", "b"]


def test_what_an_evacuation_is_to_end_as_is_not_decided_by_a_state_that_has_changed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop ends right then: the guest would be started where its owner has just had it stopped."""
    uuid = an_instance(engine, task_state="powering-off", order_id="req-stop")

    def stop_ends() -> None:
        states = {"vm_state": "stopped", "power_state": 4}
        orders.complete_order(engine, "a", uuid, "req-stop", "compute_stop_instance", states, launched=False)

    right_before_its_write(monkeypatch, stop_ends)
    with pytest.raises(InstanceChanged):
        evacuate(engine, uuid)
    assert evacuate(engine, uuid).final_state == "stopped"


def test_an_instance_whose_owner_is_told_at_that_moment_that_it_will_be_gone_is_not_evacuated(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes it saw its host up, and writes after that host was declared dead."""
    uuid = an_instance(engine)
    deleting = {"task_state": "deleting", "order_id": "req-delete"}

    def owner_deletes() -> None:
        engine.database.write(lambda session: instances.change(session, uuid, {"host": "a"}, deleting))

    right_before_its_write(monkeypatch, owner_deletes)
    with pytest.raises(InstanceChanged):
        evacuate(engine, uuid)
    with pytest.raises(InstanceIsBeingDeleted):
        evacuate(engine, uuid)
    with engine.database.engine.connect() as connection:
        assert connection.execute(select(Instance.task_state, Instance.order_id)).all() == [("deleting", "req-delete")]


def test_of_two_who_give_back_a_claim_one_does(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = an_instance(engine)
    remove, given_back = nodes.remove, []

    def give_back() -> bool:
        return engine.database.write(lambda session: nodes.release(session, "a", uuid))

    def after_the_other(*args: Any) -> int:
        monkeypatch.setattr(nodes, "remove", remove)
        given_back.append(give_back())
        return remove(*args)

    monkeypatch.setattr(nodes, "remove", after_the_other)
    assert give_back() is False
    assert given_back == [True]
    with engine.database.engine.connect() as connection:
        used = select(ComputeNode.claims, ComputeNode.vcpus_used).where(ComputeNode.host == "a")
        assert tuple(connection.execute(used).one()) == (0, 0)


def test_who_claims_an_evacuation_again_does_not_miss_that_the_instance_became_its_hosts_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a failure of its own would give the instance back to the source, while its sibling runs it here."""
    record = evacuate(engine, an_instance(engine), "b")
    first = claim.claim_evacuation(engine, "b", record.id, None, 2)
    assert first is not None
    read = claim.migrations.get_for

    def before_the_other(*args: Any) -> Any:
        found = read(*args)
        monkeypatch.setattr(claim.migrations, "get_for", read)
        own.own_instance(engine, "b", first)
        return found

    monkeypatch.setattr(claim.migrations, "get_for", before_the_other)
    assert claim.claim_evacuation(engine, "b", record.id, None, 2) is None
    again = claim.claim_evacuation(engine, "b", record.id, None, 2)
    assert again is not None
    assert again.owned
