"""Whose clock counts: the database's, whatever the machines believe."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from evacuator.db import schema, services
from evacuator.db.models import Service
from evacuator.db.session import Database, open_database
from tests.acceptance.processes import executed
from tests.acceptance.site import until
from tests.services.clocks import HOUR, Clocks
from tests.services.cluster import DOWN_TIME, Cluster, wait_seconds
from tests.services.conftest import MakeCluster
from tests.services.servers import fresh_database

#: Heartbeats come five times as often; a busy machine may be late with them.
DOWN = 3.0


@pytest.fixture(params=["mariadb", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with fresh_database(request.param) as url:
        opened = open_database(url.render_as_string(hide_password=False), pool_size=2)
        schema.upgrade(opened)
        yield opened
        opened.close()


def register(database: Database, *hosts: str) -> None:
    for host in hosts:
        database.write(lambda session, host=host: services.register(session, host, str(uuid4()), f"{host}-1", 2))
        beat(database, host)


def beat(database: Database, host: str) -> None:
    def work(session):
        epoch = services.epoch_of(session, host, f"{host}-1")
        assert epoch is not None
        assert services.beat(session, host, f"{host}-1", epoch, DOWN)

    database.write(work)


def heard(database: Database, host: str) -> services.Heard:
    found = database.read(lambda session: services.of_host(session, host, DOWN))
    assert found is not None
    return found


def test_a_heartbeat_that_follows_a_gap_begins_anew(database: Database) -> None:
    def up_since():
        return database.read(lambda session: session.scalar(select(Service.up_since)))

    register(database, "a")
    first = up_since()
    beat(database, "a")
    assert up_since() == first
    wait_seconds(DOWN / 2 + 0.2)
    beat(database, "a")
    assert up_since() > first


def test_silence_counts_once_another_one_was_heard_all_the_while(database: Database) -> None:
    register(database, "a", "b")
    for _ in range(7):
        wait_seconds(DOWN / 5)
        beat(database, "b")
    found = heard(database, "a")
    assert (found.up, found.silent, found.witnessed) == (False, True, True)
    assert database.write(lambda session: services.prove_down(session, "a", DOWN))
    assert not database.write(lambda session: services.prove_down(session, "b", DOWN))


def test_silence_of_everybody_proves_nothing_and_neither_does_who_is_heard_first_after_it(database: Database) -> None:
    register(database, "a", "b")
    wait_seconds(DOWN + 0.2)
    assert not database.write(lambda session: services.prove_down(session, "a", DOWN))
    beat(database, "b")
    assert not heard(database, "a").witnessed
    assert not database.write(lambda session: services.prove_down(session, "a", DOWN))


def defined(cluster: Cluster, host: str) -> list[float]:
    """Return when guests were defined on a host, by its own clock."""
    return [line["at"] for line in cluster.journal(host) if line["event"] == "defined"]


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_machines_whose_clocks_are_an_hour_apart_agree_on_who_is_dead(
    make_cluster: MakeCluster, tmp_path: Path, server: str
) -> None:
    cluster: Cluster = make_cluster(server)
    clocks = Clocks(tmp_path)
    for process, seconds in zip(cluster.processes, (HOUR, -HOUR, HOUR, -HOUR, 0), strict=True):
        # Whose clock is another one is made when an interpreter begins.
        process.launch = executed
        process.environment = clocks.ahead(seconds)
    cluster.start()
    active, silent = cluster.servers_on("a", 2)
    wait_seconds(DOWN_TIME + 1)
    services_ = cluster.get("/os-services")["services"]
    assert {service["state"] for service in services_} == {"up"}
    assert cluster.action(active, {"evacuate": {}}).status == 400
    cluster.fence("a")
    until(lambda: cluster.action(active, {"evacuate": {}}, "2.94").status == 200, 60, "the silence of a to count")
    assert cluster.action(silent, {"evacuate": {}}).status == 200
    cluster.settled(active, silent)
    assert [cluster.status(active), cluster.status(silent)] == ["ACTIVE", "SHUTOFF"]
    cluster.recover()
    until(lambda: all(cluster.migrations(one)[0]["status"] == "completed" for one in (active, silent)), 60, "cleaning")
    of_a, elsewhere = defined(cluster, "a"), [*defined(cluster, "b"), *defined(cluster, "c")]
    assert of_a
    assert elsewhere
    # What happened on a happened first, and bears the later time: an hour from c's, two from b's.
    assert min(of_a) - max(elsewhere) > 5 / 6 * HOUR
    # The journals bear the machines' own times, so that only the database can be judged.
    assert cluster.broken(with_evidence=False) == []
