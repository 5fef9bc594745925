"""What is recorded of a guest that is adopted, and adopted again after it was changed."""

from uuid import uuid4

import pytest

from evacuator.context import RequestContext
from evacuator.db import instances, schema
from evacuator.db.session import open_database
from evacuator.engine.adopt import ExistingGuest, Outcome, adopt_guest, register_node
from evacuator.engine.engine import Engine, Rules
from evacuator.errors import Conflict, NotConfigured
from evacuator.evacuation.destination import Room
from evacuator.evacuation.states import PowerState

KEY_ID, OTHER = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11", "7a3b8c1e-95f6-4b36-8f3f-0a9a3c0e1d22"
FACTS = {
    "hypervisor_hostname": "a",
    "hypervisor_type": "QEMU",
    "storage_id": "shared",
    "vcpus": 8,
    "memory_mb": 8192,
    "local_gb": 100,
}


@pytest.fixture
def engine(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite")
    schema.upgrade(database)
    engine = Engine(database, None, Rules())
    register_node(engine, "a", FACTS)
    yield engine
    database.close()


def a_guest(*key_ids, uuid=None, definition="<domain/>"):
    room = Room(1, 512, 1)
    return ExistingGuest(uuid or str(uuid4()), "vault", room, PowerState.SHUTDOWN, definition, key_ids)


def adopt(engine, guest):
    return adopt_guest(engine, RequestContext(user_id="u", project_id="p", overwrite=False), "a", guest)


def row(engine, guest):
    return engine.database.read(lambda session: instances.get(session, guest.uuid))


def test_a_host_is_not_taken_for_another_whose_hypervisor_calls_itself_otherwise(engine):
    register_node(engine, "a", FACTS)
    with pytest.raises(NotConfigured, match=r"host a is recorded as a, and this is alpha\..*\[host:a\]"):
        register_node(engine, "a", FACTS | {"hypervisor_hostname": "alpha"})


@pytest.mark.parametrize(("key_ids", "kept"), [((), None), ((KEY_ID,), [KEY_ID]), ((KEY_ID, OTHER), [KEY_ID, OTHER])])
def test_the_ids_of_its_keys_are_kept(engine, key_ids, kept):
    guest = a_guest(*key_ids)
    assert adopt(engine, guest) is Outcome.ADOPTED
    assert row(engine, guest).key_ids == kept


def test_adopted_again_it_stays_in_its_project(engine):
    guest = a_guest()
    adopt(engine, guest)
    somebody = RequestContext(user_id="admin", project_id="admin", overwrite=False)

    assert adopt_guest(engine, somebody, "a", guest) is Outcome.READ_ANEW
    assert adopt_guest(engine, somebody, "a", guest, "p") is Outcome.READ_ANEW
    with pytest.raises(Conflict, match="is in project p already: release it, then adopt it into another"):
        adopt_guest(engine, somebody, "a", guest, "another")
    assert row(engine, guest).project_id == "p"


@pytest.mark.parametrize(("now", "kept"), [((), None), ((OTHER,), [OTHER])])
def test_adopted_again_it_has_the_keys_that_its_definition_names_by_then(engine, now, kept):
    guest = a_guest(KEY_ID)
    adopt(engine, guest)
    changed = a_guest(*now, uuid=guest.uuid, definition="<domain><changed/></domain>")
    assert adopt(engine, changed) is Outcome.READ_ANEW
    assert (row(engine, guest).key_ids, row(engine, guest).definition) == (kept, changed.definition)
