"""What is carried from one database to another is what it was."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from evacuator.db import schema
from evacuator.db.copy import copy_all
from evacuator.db.models import Instance, Service
from evacuator.db.session import open_database, utcnow

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"


def an_instance(uuid, key_ids):
    required = {"display_name": uuid, "hostname": uuid, "project_id": "p", "user_id": "u", "reservation_id": "r"}
    size = {"flavor": {}, "vcpus": 1, "memory_mb": 512, "disk_gb": 2, "vm_state": "stopped"}
    return Instance(uuid=uuid, key_ids=key_ids, **required, **size)


@pytest.fixture
def databases(tmp_path):
    """Two, at the newest schema and empty."""
    opened = [open_database(f"sqlite:///{tmp_path}/{name}.sqlite") for name in ("one", "many")]
    for database in opened:
        schema.upgrade(database)
    yield opened
    for database in opened:
        database.close()


def test_who_was_heard_last_by_a_clock_that_is_ahead_was_heard_now(databases):
    source, target = databases
    ahead, past = utcnow() + timedelta(hours=1), utcnow() - timedelta(hours=1)
    heard = [
        Service(uuid=host, host=host, version=2, last_seen=at, up_since=at) for host, at in (("a", ahead), ("b", past))
    ]
    source.write(lambda transaction: transaction.add_all(heard) or transaction.flush())

    copy_all(source, target)

    found = target.read(lambda session: {each.host: each for each in session.scalars(select(Service))})
    assert found["a"].last_seen <= utcnow()
    assert found["a"].up_since <= utcnow()
    assert (found["b"].last_seen, found["b"].up_since) == (past, past)


def test_the_keys_of_guests_come_along(databases):
    source, target = databases
    rows = [an_instance("encrypted", [KEY_ID]), an_instance("plain", None)]
    source.write(lambda transaction: transaction.add_all(rows) or transaction.flush())

    assert copy_all(source, target)["instances"] == 2

    with target.engine.connect() as connection:
        found = {row.uuid: row.key_ids for row in connection.execute(text("SELECT uuid, key_ids FROM instances"))}
    assert found == {"encrypted": json.dumps([KEY_ID]), "plain": None}
