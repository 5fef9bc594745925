"""What is carried from one database to another is what it was."""

import json

from sqlalchemy import text

from evacuator.db import schema
from evacuator.db.copy import copy_all
from evacuator.db.models import Instance
from evacuator.db.session import open_database

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"


def an_instance(uuid, key_ids):
    required = {"display_name": uuid, "hostname": uuid, "project_id": "p", "user_id": "u", "reservation_id": "r"}
    size = {"flavor": {}, "vcpus": 1, "memory_mb": 512, "disk_gb": 2, "vm_state": "stopped"}
    return Instance(uuid=uuid, key_ids=key_ids, **required, **size)


def test_the_keys_of_guests_come_along(tmp_path):
    source, target = (open_database(f"sqlite:///{tmp_path}/{name}.sqlite") for name in ("one", "many"))
    for database in (source, target):
        schema.upgrade(database)
    rows = [an_instance("encrypted", [KEY_ID]), an_instance("plain", None)]
    source.write(lambda transaction: transaction.add_all(rows) or transaction.flush())

    assert copy_all(source, target)["instances"] == 2

    with target.engine.connect() as connection:
        found = {row.uuid: row.key_ids for row in connection.execute(text("SELECT uuid, key_ids FROM instances"))}
    assert found == {"encrypted": json.dumps([KEY_ID]), "plain": None}
    for database in (source, target):
        database.close()
