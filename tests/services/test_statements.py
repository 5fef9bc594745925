"""What an evacuation costs on the servers, and that nothing reads a table that grows: tests/performance, on theirs."""

import pymysql
import pytest
from sqlalchemy import NullPool, create_engine, text

from benchmarks.fill import fill
from tests.performance.plans import grows
from tests.performance.requests import everything
from tests.performance.site import Site
from tests.performance.story import STARTED, STOPPED, TURNS, costs_of, posted
from tests.services.servers import fresh_database

DATABASES = ("mariadb", "postgresql")


@pytest.fixture(params=DATABASES)
def site(request, tmp_path):
    with fresh_database(request.param) as url:
        made = Site(url.render_as_string(hide_password=False), tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize(("version", "expected"), [("2.95", STOPPED), ("2.94", STARTED)])
def test_an_evacuation_costs_what_it_costs_elsewhere(site, version, expected):
    server = site.add_server()
    site.force_down()
    assert costs_of(site, posted(site, server, version)) == expected


@pytest.mark.parametrize("turn", TURNS)
def test_a_host_with_nothing_to_do_asks_little(site, turn):
    site.add_server("b")
    assert costs_of(site, getattr(site.casts.managers["b"], turn)) == TURNS[turn]


def test_mariadb_is_asked_nothing_but_the_statements(tmp_path, monkeypatch):
    asked = []
    execute = pymysql.connections.Connection._execute_command

    def counted(connection, command, sql):
        asked.append(sql)
        execute(connection, command, sql)

    with fresh_database("mariadb") as url:
        site = Site(url.render_as_string(hide_password=False), tmp_path)
        warm, server = site.add_server(), site.add_server()
        site.force_down()
        site.evacuate(warm)
        monkeypatch.setattr(pymysql.connections.Connection, "_execute_command", counted)
        posted(site, server, "2.95")()
        monkeypatch.undo()
        site.close()
    assert len(asked) == len(STOPPED), asked


def test_no_request_and_no_timer_reads_a_whole_table(site):
    fill(site.database, hosts=10_000, instances=20_000)
    with site.watched() as seen:
        everything(site)
    distinct = {statement.sql: statement for statement in seen}
    with site.database.engine.connect() as connection:
        found = {sql: wrong for sql, each in distinct.items() if (wrong := grows(connection, each))}
    assert found == {}


#: On which connection am I, and how is one ended?
SPEAKS = {
    "mysql": ("SELECT CONNECTION_ID()", "KILL {}"),
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
}


def test_a_lost_connection_is_noticed_by_whoever_uses_it(site):
    """There is no ping before each use: the transaction that finds its connection gone begins again."""
    engine = site.database.engine
    which, kill = SPEAKS[engine.dialect.name]
    number = lambda session: session.scalar(text(which))  # noqa: E731
    lost = {site.database.read(number), site.database.write(number)}
    with create_engine(engine.url, poolclass=NullPool).connect() as connection:
        for each in lost:
            connection.exec_driver_sql(kill.format(each))
    assert {site.database.read(number), site.database.write(number)}.isdisjoint(lost)
