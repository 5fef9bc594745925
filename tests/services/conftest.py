"""Clouds for the tests: one that the tests of each database share, and fresh ones."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.services.cluster import Cluster
from tests.services.servers import fresh_database, fresh_vhost

MakeCluster = Callable[..., Cluster]


# First, since pytest-xdist looks in a hook of the same name.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together who shares a cloud, and who shares a module and a database; who makes a cloud goes anywhere."""
    # What takes longest begins first.
    items.sort(key=lambda item: "cloud" not in getattr(item, "fixturenames", ()))
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        database = "postgresql" if "postgresql" in item.name else "mariadb"
        if "cloud" in fixtures:
            item.add_marker(pytest.mark.xdist_group(database))
        elif "make_cluster" not in fixtures:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {database}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say so where pytest-xdist does not keep groups together: each worker would make clouds of its own, slowly."""
    grouped = item.get_closest_marker("xdist_group") and item.config.getoption("loadgroup", default=False)
    if grouped and "@" not in item.nodeid:
        pytest.fail("This pytest-xdist does not group with this pytest: see its issue 1386.", pytrace=False)


@pytest.fixture(scope="session", params=["mariadb", "postgresql"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two API processes and three compute managers, for all tests on one database."""
    with ExitStack() as closing:
        database = closing.enter_context(fresh_database(request.param))
        broker = closing.enter_context(fresh_vhost())
        made = Cluster(tmp_path_factory.mktemp(request.param), database, broker)
        closing.callback(made.kill)
        made.start()
        yield made
        verified = made.verify()
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert made.stop() == 0


@pytest.fixture
def cluster(cloud: Cluster) -> Iterator[Cluster]:
    """The shared cloud, whole; when the test ends it is mended, judged and emptied."""
    yield cloud
    cloud.recover()
    cloud.settled_down()
    assert cloud.broken() == []
    cloud.delete_all()


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[MakeCluster]:
    """Make clouds of the test's own; each is killed when the test ends."""
    yield from _maker(tmp_path)


@pytest.fixture(scope="module")
def make_cluster_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeCluster]:
    """Make clouds for the tests of one module."""
    yield from _maker(tmp_path_factory.mktemp("module"))


def _maker(folder: Path) -> Iterator[MakeCluster]:
    with ExitStack() as closing:

        def make(server: str = "mariadb", **options: Any) -> Cluster:
            database = closing.enter_context(fresh_database(server))
            broker = closing.enter_context(fresh_vhost())
            made = Cluster(folder / server, database, broker, **options)
            closing.callback(made.kill)
            return made

        yield make
