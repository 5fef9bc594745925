"""No request and no timer reads a table that grows. On SQLite here, on servers in tests/services."""

import pytest

from benchmarks.fill import fill
from tests.performance.plans import grows
from tests.performance.requests import everything
from tests.performance.site import Site


@pytest.fixture
def site(tmp_path):
    made = Site(f"sqlite:///{tmp_path / 'evacuator.sqlite'}", tmp_path)
    fill(made.database, hosts=100, instances=2000)
    yield made
    made.close()


def test_no_request_and_no_timer_reads_a_whole_table(site):
    with site.watched() as seen:
        everything(site)
    distinct = {statement.sql: statement for statement in seen}
    with site.database.engine.connect() as connection:
        found = {sql: wrong for sql, each in distinct.items() if (wrong := grows(connection, each))}
    assert found == {}
