"""What verify reads of the database, and that it only reads."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text, update

from evacuator.db import census, flavors, nodes, schema, services
from evacuator.db.models import Allocation, ComputeNode, Instance, InstanceAction, Migration, Service
from evacuator.db.session import open_database
from evacuator.errors import DatabaseRefuses, NotConfigured
from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.facts import ClaimFacts, InstanceFacts, NodeFacts, RecordFacts, ServiceFacts, Site

NOON = datetime(2026, 1, 31, 12, 0, 0)  # noqa: DTZ001 - the database's moments have no zone
NOON_SECONDS = NOON.replace(tzinfo=UTC).timestamp()
DOWN_TIME = 60.0


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/evacuator.sqlite"


@pytest.fixture
def database(url):
    database = open_database(url, lambda: NOON)
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def looking(database, url):
    looking = census.open_to_look(url, lambda: NOON)
    yield looking
    looking.close()


def add(database, *rows):
    def work(transaction):
        for row in rows:
            transaction.add(row)
            transaction.flush()

    database.write(work)


def a_service(host, **values):
    seen = {"last_seen": NOON, "up_since": NOON - timedelta(hours=1), "epoch": 3, "cleaned_epoch": 3, "version": 2}
    return Service(**{"uuid": f"service-{host}", "host": host, **seen, **values})


def a_node(host, **values):
    has = {"vcpus": 8, "memory_mb": 4096, "local_gb": 80, "storage_id": "shared"}
    named = {"uuid": f"node-{host}", "host": host, "hypervisor_hostname": host, "hypervisor_type": "QEMU"}
    return ComputeNode(**{**named, **has, **values})


def an_instance(uuid, **values):
    required = {"display_name": uuid, "hostname": uuid, "project_id": "p", "user_id": "u", "reservation_id": "r"}
    size = {"flavor": {}, "vcpus": 1, "memory_mb": 512, "disk_gb": 2}
    return Instance(**{"uuid": uuid, **required, **size, "vm_state": "active", "launched_at": NOON, **values})


def a_record(uuid, instance, **values):
    who = {"request_id": "req-1", "user_id": "u", "project_id": "p", "vm_state_before": "active"}
    way = {"source_compute": "a", "dest_compute": "b", "final_state": "stopped", "status": "done"}
    return Migration(**{"uuid": uuid, "instance_uuid": instance, **who, **way, **values})


def an_action(instance, action, request_id, **values):
    asked = {"user_id": "u", "project_id": "p", "start_time": NOON}
    return InstanceAction(**{"instance_uuid": instance, "action": action, "request_id": request_id, **asked, **values})


def test_everything_is_read_as_it_is(database, looking):
    add(
        database,
        a_service("a", forced_down=True),
        a_service("b"),
        a_node("b", vcpus_used=1, memory_mb_used=512, local_gb_used=2, claims=1),
        an_instance("one", host="b", task_state="rebuilding", evacuation_id="first", order_id="req-5"),
        an_instance("two", deleted=True, launched_at=None),
        a_record("first", "one", created_at=NOON - timedelta(seconds=30), status="pre-migrating"),
        Allocation(instance_uuid="one", host="b", vcpus=1, memory_mb=512, disk_gb=2),
        an_action("one", "create", "req-1"),
        an_action("one", "start", "req-2"),
        an_action("one", "reboot", "req-3"),
        an_action("one", "evacuate", "req-4"),
        an_action("one", "stop", "req-5", start_time=NOON - timedelta(seconds=7)),
        an_action("one", "stop", "req-6"),
    )

    taken = census.take(looking, DOWN_TIME)

    assert taken.now == NOON_SECONDS
    assert taken.services == [ServiceFacts("a", 2, None), ServiceFacts("b", 2, NOON_SECONDS - 3600)]
    assert taken.nodes == [NodeFacts("b", Room(8, 4096, 80), Room(1, 512, 2), 1)]
    room = Room(1, 512, 2)
    assert taken.instances == [
        InstanceFacts("one", room, "b", "active", "rebuilding", "first", "req-5", NOON_SECONDS - 7),
        InstanceFacts("two", room, None, "active", launched=False, deleted=True),
    ]
    way = ("pre-migrating", "a", "b", "stopped")
    assert taken.records == [RecordFacts(1, "first", "one", *way, NOON_SECONDS - 30, assigned_at=NOON_SECONDS)]
    assert taken.claims == [ClaimFacts("one", "b", room)]
    assert taken.power_orders == {("one", f"req-{number}"): NOON_SECONDS for number in (1, 2, 3)}


@pytest.mark.parametrize(
    "values", [{"last_seen": NOON - timedelta(seconds=61)}, {"cleaned_epoch": 2}, {"last_seen": None}]
)
def test_a_host_that_is_silent_or_not_clean_is_not_up(database, looking, values):
    add(database, a_service("a", **values))
    assert not census.take(looking, DOWN_TIME).up


def test_what_the_engine_claims_balances_and_what_somebody_else_writes_is_found(database, looking):
    add(database, a_service("b"), a_node("b"), an_instance("one", host="b"))
    database.write(lambda transaction: nodes.claim(transaction, "b", "one", Room(1, 512, 2)))
    assert findings(Site(census.take(looking, DOWN_TIME))) == []

    database.write(lambda transaction: transaction.execute(update(ComputeNode).values(vcpus_used=0)))
    (finding,) = findings(Site(census.take(looking, DOWN_TIME)))
    assert finding.code == "books-differ"

    repair(database, finding)
    assert findings(Site(census.take(looking, DOWN_TIME))) == []


def repair(database, finding):
    statement = finding.next_command.rstrip(";")
    database.write(lambda transaction: transaction.connection().exec_driver_sql(statement))


def test_the_statements_that_are_printed_set_the_claims_right(database, looking):
    add(database, a_service("b"), a_node("b"), an_instance("one", host="b"), an_instance("two", host=None))
    add(database, Allocation(instance_uuid="two", host="b", vcpus=1, memory_mb=512, disk_gb=2))

    found = findings(Site(census.take(looking, DOWN_TIME)))
    assert {finding.code for finding in found} == {"claim-missing", "claim-unexplained", "books-differ"}
    for finding in found:
        if finding.code != "books-differ":
            repair(database, finding)

    (finding,) = findings(Site(census.take(looking, DOWN_TIME)))
    assert finding.code == "books-differ"
    repair(database, finding)

    assert findings(Site(census.take(looking, DOWN_TIME))) == []


def test_the_statement_that_is_printed_ends_a_record_without_a_lock(database, looking):
    add(database, a_service("a"), a_service("b"), a_node("a"), a_node("b"), an_instance("one", deleted=True))
    add(database, a_record("first", "one", status="accepted"))
    (finding,) = findings(Site(census.take(looking, DOWN_TIME)))
    assert finding.code == "record-without-lock"

    repair(database, finding)

    assert findings(Site(census.take(looking, DOWN_TIME))) == []


def test_nothing_can_be_written_through_it(looking):
    with pytest.raises(DatabaseRefuses, match="readonly"):
        looking.write(flavors.add_standard)
    with pytest.raises(DatabaseRefuses, match="readonly"):
        looking.read(lambda session: session.execute(insert(Service).values(uuid="x", host="x")))


def test_it_can_look_while_another_process_is_in_the_middle_of_a_write(database, looking):
    def work(transaction):
        services.register(transaction, "a", "uuid-a", "incarnation", 2)
        return census.take(looking, DOWN_TIME)

    assert not database.write(work).services
    assert len(census.take(looking, DOWN_TIME).services) == 1


def test_a_database_that_is_not_there_is_not_made(url, tmp_path):
    with pytest.raises(NotConfigured, match=r"There is no database .*evacuator all-in-one --state-dir"):
        census.open_to_look(url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error_that_says_so(url, tmp_path):
    (tmp_path / "evacuator.sqlite").write_text("this is no database, however long it may be: " * 40)
    with pytest.raises(NotConfigured, match="does not answer"):
        census.open_to_look(url)


@pytest.mark.parametrize("url", ["nonsense", "nonsense://x/y", "mysql+nonsense://x/y"])
def test_an_address_that_leads_nowhere_is_an_error_that_names_the_option(url):
    with pytest.raises(NotConfigured, match=r"\[database\] connection cannot be used"):
        census.open_to_look(url)


def test_another_schema_is_refused_with_the_command_that_changes_it(url):
    open_database(url).read(lambda session: session.connection())
    looking = census.open_to_look(url)
    with pytest.raises(NotConfigured, match=r"schema none.*`evacuator db upgrade`"):
        census.require_schema(looking)
    with pytest.raises(NotConfigured, match="`evacuator db upgrade --database D`"):
        census.require_schema(looking, "evacuator db upgrade --database D")
    looking.close()


def test_a_schema_of_a_later_release_is_refused_with_what_to_upgrade(url):
    database = open_database(url)
    schema.upgrade(database)
    database.write(lambda transaction: transaction.execute(text("UPDATE alembic_version SET version_num = '0099'")))
    with pytest.raises(NotConfigured, match=r"schema 0099, newer than this program.*upgrade the program"):
        census.require_schema(database)
    with pytest.raises(NotConfigured, match=r"it is at 0099, newer than this program"):
        schema.upgrade(database)
    database.close()


def test_this_schema_is_accepted(looking):
    census.require_schema(looking)
