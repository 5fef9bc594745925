"""Old and new compute managers in one cloud, over the real broker, without ever restarting the API."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.acceptance.processes import executed
from tests.acceptance.site import until
from tests.services.cluster import Cluster, Process


def release_1(cluster: Cluster) -> Process:
    """Make the compute manager of release 1 for host c."""
    files = json.dumps([str(cluster.settings), str(cluster.computes["c"].own)])
    frozen = Process(cluster, "release-1", [])
    frozen.command = ["c", files, str(cluster.state_dir)]
    frozen.launch = partial(executed, module="tests.services.release_1.compute")
    cluster.strangers.append(frozen)
    return frozen


@pytest.fixture
def old(cluster: Cluster) -> Iterator[Process]:
    """The compute manager of release 1 on host c, instead of today's."""
    assert cluster.computes["c"].stop() == 0
    frozen = release_1(cluster)
    frozen.start()
    cluster.wait_up("c")
    yield frozen
    if frozen.running:
        frozen.stop()
    assert "ERROR" not in frozen.tail(), frozen.tail()


def refused(cluster: Cluster, server: str) -> None:
    """See every API process refuse 2.95 because of host c, and write nothing."""
    before = cluster.sql("SELECT count(*) FROM migrations")
    for _each_api in cluster.apis:
        answer = cluster.action(server, {"evacuate": {}})
        assert answer.status == 400, answer
        assert "c: 1" in answer.body["badRequest"]["message"]
    assert cluster.sql("SELECT count(*) FROM migrations") == before
    assert cluster.show(server)["OS-EXT-STS:task_state"] is None


def test_below_2_95_everything_works_to_the_old_one_too_and_2_95_is_refused_until_it_is_upgraded(
    cluster: Cluster, old: Process
) -> None:
    active, stopped, elsewhere, silent = cluster.servers_on("a", 4)
    assert cluster.action(stopped, {"os-stop": None}).status == 202
    cluster.settled(stopped)
    cluster.dead("a")
    refused(cluster, silent)

    assert cluster.action(active, {"evacuate": {"host": "c"}}, "2.94").status == 200
    assert cluster.action(stopped, {"evacuate": {"host": "c"}}, "2.94").status == 200
    assert cluster.action(elsewhere, {"evacuate": {"host": "b"}}, "2.94").status == 200
    cluster.settled(active, stopped, elsewhere)
    assert [cluster.status(server) for server in (active, stopped, elsewhere)] == ["ACTIVE", "SHUTOFF", "ACTIVE"]
    assert (cluster.starts(active, "c"), cluster.starts(stopped, "c")) == (1, 0)
    assert old.tail().count("received rebuild_instance 1.0") == 2

    refused(cluster, silent)
    assert old.stop() == 0
    refused(cluster, silent)
    cluster.computes["c"].start()
    cluster.wait_up("c")
    assert cluster.action(silent, {"evacuate": {"host": "c"}}).status == 200
    (ended,) = cluster.settled(silent)
    assert (ended["status"], cluster.starts(silent, "b", "c")) == ("SHUTOFF", 0)


def test_servers_on_the_old_one_are_made_stopped_started_rebooted_deleted_and_evacuated(
    cluster: Cluster, old: Process
) -> None:
    def ask(server: str, order: dict[str, Any]) -> str:
        assert cluster.action(server, order).status == 202
        cluster.settled(server)
        return cluster.status(server)

    made, stopped, gone = cluster.servers_on("c", 3)
    assert ask(made, {"os-stop": None}) == "SHUTOFF"
    assert ask(made, {"os-start": None}) == "ACTIVE"
    assert ask(made, {"reboot": {"type": "SOFT"}}) == "ACTIVE"
    assert ask(made, {"reboot": {"type": "HARD"}}) == "ACTIVE"
    assert ask(stopped, {"os-stop": None}) == "SHUTOFF"
    restarted = ["powered_off", "powered_on"]
    assert [line["event"] for line in cluster.journal("c", made)] == ["defined", "powered_on", *restarted * 3]
    assert cluster.request("DELETE", f"/servers/{gone}").status == 204
    until(lambda: cluster.request("GET", f"/servers/{gone}").status == 404, 30, "the server to be gone")
    assert cluster.journal("c", gone)[-1]["event"] == "destroyed"
    for server, orders in ((made, 5), (stopped, 2), (gone, 2)):
        assert old.tail(1_000_000).count(f"received carry_out_order 1.0 of {server}") == orders

    old.kill()
    cluster.dead("c")
    for server in (made, stopped):
        assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94").status == 200
    assert [server["status"] for server in cluster.settled(made, stopped)] == ["ACTIVE", "SHUTOFF"]
    assert cluster.starts(stopped, "b") == 0
    for server in (made, stopped, gone):
        assert set(results(cluster, server)) == {"Success"}


def results(cluster: Cluster, server: str) -> list[str]:
    """Return how each part of what was asked of a server ended."""
    events = (
        "SELECT e.result FROM instance_actions_events e JOIN instance_actions a ON a.id = e.action_id "
        "WHERE a.instance_uuid = :server"
    )
    return [row.result for row in cluster.sql(events, server=server)]


def test_2_95_is_accepted_once_the_service_of_the_old_one_is_deleted(cluster: Cluster, old: Process) -> None:
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    refused(cluster, server)
    assert old.stop() == 0
    assert cluster.request("DELETE", f"/os-services/{cluster.service('c')['id']}", version="2.53").status == 204
    assert cluster.action(server, {"evacuate": {}}).status == 200
    (ended,) = cluster.settled(server)
    assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("SHUTOFF", "b")


def test_an_old_source_that_returns_cleans_up(cluster: Cluster, old: Process) -> None:
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    assert cluster.action(server, {"evacuate": {"host": "c"}}, "2.94").status == 200
    cluster.settled(server)
    old.kill()
    cluster.mains("c", "off")
    assert cluster.force_down("c").status == 200
    assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94").status == 200
    cluster.settled(server)
    cluster.mains("c", "on")
    old.start()
    until(lambda: cluster.migrations(server)[0]["status"] == "completed", 60, "the old host to clean up")
    assert cluster.journal("c", server)[-1]["event"] == "destroyed"


def test_a_service_that_is_rolled_back_after_the_check_does_not_get_a_2_95_evacuation(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    witness, new = cluster.computes["b"], cluster.computes["c"]
    new.freeze()
    assert cluster.action(server, {"evacuate": {"host": "c"}}).status == 200
    witness.freeze()  # so that c is not taken for dead, however long its start takes
    new.kill()
    frozen = release_1(cluster)
    frozen.start()
    cluster.wait_up("c")
    witness.thaw()
    # Nobody else may have it, since the caller named the host.
    (ended,) = cluster.settled(server, seconds=60)
    assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "a")
    assert "runs an older release" in ended["fault"]["message"]
    assert cluster.starts(server, "b", "c") == 0
    assert frozen.stop() == 0


def test_a_pin_keeps_messages_readable_for_old_computes_and_2_95_refused(cluster: Cluster) -> None:
    first, second = cluster.servers_on("a", 2)
    cluster.dead("a")
    pinned, other = cluster.apis
    assert pinned.stop() == other.stop() == 0
    pinned.configure("[upgrade_levels]\ncompute = 1.0\n")
    pinned.start()
    answer = cluster.action(first, {"evacuate": {}})
    assert answer.status == 409, answer
    assert cluster.migrations(first) == []
    assert cluster.action(second, {"evacuate": {}}, "2.94").status == 200
    assert cluster.settled(second)[0]["status"] == "ACTIVE"
    pinned.stop()
