"""What RabbitMQ may do: replicate its queues, and forget everything."""

import pytest
from sqlalchemy.engine import URL

from tests.acceptance.site import until
from tests.services.cluster import QUORUM, Cluster
from tests.services.conftest import MakeCluster
from tests.services.servers import queues, wipe


@pytest.fixture(scope="module")
def replicated(make_cluster_of_module: MakeCluster) -> Cluster:
    """A cloud whose queues are quorum queues."""
    made = make_cluster_of_module(more=QUORUM)
    made.start()
    return made


def name_of(broker: URL) -> str:
    return str(broker.database)


def test_queues_can_be_quorum_queues(replicated: Cluster) -> None:
    (server,) = replicated.servers_on("a", 1)
    replicated.dead("a")
    assert replicated.action(server, {"evacuate": {"host": "b"}}).status == 200
    assert replicated.settled(server)[0]["status"] == "SHUTOFF"
    found = queues(name_of(replicated.broker_url))
    assert {found[f"compute.{host}"]["type"] for host in "bc"} == {"quorum"}
    replicated.recover()


def test_messages_that_come_while_a_host_is_down_wait_for_it_and_change_nothing(replicated: Cluster) -> None:
    first, second = replicated.servers_on("a", 2)
    replicated.dead("a")
    replicated.computes["c"].kill()  # without a witness nobody takes over from b, however long its start takes
    b = replicated.computes["b"]
    b.freeze()
    assert replicated.action(first, {"evacuate": {"host": "b"}}).status == 200
    assert replicated.action(second, {"evacuate": {"host": "b"}}, "2.94").status == 200
    b.kill()
    b.start()
    replicated.settled(first, second)
    assert [replicated.status(first), replicated.status(second)] == ["SHUTOFF", "ACTIVE"]
    assert [replicated.starts(server, "b") for server in (first, second)] == [0, 1]
    replicated.recover()


def test_a_broker_that_forgot_everything_is_told_again(replicated: Cluster) -> None:
    servers = replicated.servers_on("a", 6)
    replicated.dead("a")
    for number, server in enumerate(servers):
        assert replicated.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
        if number == 2:
            wipe(replicated.broker_url)
    for number, ended in enumerate(replicated.settled(*servers, seconds=60)):
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF")
    # Whoever listens declares its queues anew.
    until(lambda: {"compute.b", "compute.c"} <= set(queues(name_of(replicated.broker_url))), 60, "the queues")
    replicated.recover()
    replicated.settled_down()
    assert replicated.broken() == []
