"""By which an order is known to be the current one of an instance of its host."""

from uuid import uuid4

import pytest
from sqlalchemy import insert, update

from evacuator.db import schema
from evacuator.db.models import Instance
from evacuator.db.session import open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.orders import prove_order
from evacuator.errors import Overtaken

UUID = str(uuid4())
ROW = {
    "uuid": UUID, "display_name": "web", "hostname": "web", "project_id": "p", "user_id": "u", "reservation_id": "r-1",
    "flavor": {}, "vcpus": 1, "memory_mb": 512, "disk_gb": 1, "vm_state": "stopped", "power_state": 4,
    "task_state": "powering-on", "host": "a", "order_id": "req-1",
}  # fmt: skip


@pytest.fixture
def engine(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite")
    schema.upgrade(database)
    database.write(lambda transaction: transaction.execute(insert(Instance).values(ROW)))
    yield Engine(database, None, Rules())
    database.close()


def test_an_order_that_is_current_can_be_proven_again_and_again(engine):
    for _ in range(2):
        prove_order(engine, "a", UUID, "req-1")


@pytest.mark.parametrize(
    "changed",
    [{"host": "b"}, {"evacuation_id": str(uuid4())}, {"order_id": "req-2"}, {"order_id": None}, {"deleted": True}],
    ids=["another host", "an evacuation", "another order", "no order", "deleted"],
)
def test_an_order_is_void_once_something_came_between(engine, changed):
    engine.database.write(lambda transaction: transaction.execute(update(Instance).values(changed)))
    with pytest.raises(Overtaken):
        prove_order(engine, "a", UUID, "req-1")
