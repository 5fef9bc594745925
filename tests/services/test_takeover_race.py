"""Two managers that find the same orphan at the same moment, on servers where one really waits for the other."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from evacuator.context import RequestContext
from evacuator.db import nodes, schema, services
from evacuator.db.models import Allocation, Instance, Migration
from evacuator.db.session import open_database
from evacuator.engine import takeover
from evacuator.engine.engine import Engine, Rules
from evacuator.evacuation.destination import Room
from tests.services.servers import fresh_database
from tests.services.test_schema import _instance, _migration


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


def an_orphan(engine: Engine) -> int:
    """Make an evacuation from b to a, which is forced down; c is the only host that can have it."""
    uuid = str(uuid4())
    facts = {
        "hypervisor_hostname": "x", "hypervisor_type": "simulated", "storage_id": "shared",
        "vcpus": 8, "memory_mb": 8192, "local_gb": 100,
    }  # fmt: skip

    def work(session: Any) -> int:
        for host in "abc":
            services.register(session, host, str(uuid4()), host, 2)
            nodes.register(session, host, str(uuid4()), facts)
            epoch = services.epoch_of(session, host, host)
            assert epoch is not None
            services.beat(session, host, host, epoch, 60)
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


def test_the_slower_one_finds_it_settled(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
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
