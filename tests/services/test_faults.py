"""Processes that are killed or frozen, hosts that return: everything that was accepted ends all the same.

In these tests "fence" means what it means in a machine room: the manager and its guests stop, and nothing powers on
there until the host returns. Where a manager is frozen *without* that, its guests are none that another host may run.
"""

from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from itertools import islice

import pytest

from tests.acceptance.site import until
from tests.services.cluster import DOWN_TIME, Cluster, Process, wait_seconds


def record(cluster: Cluster, server: str) -> str:
    """Return the status of the newest evacuation of a server."""
    return str(cluster.migrations(server)[0]["status"])


# -- processes


def test_an_api_killed_between_commit_and_cast_leaves_nothing_undone(cluster: Cluster) -> None:
    server, other = cluster.servers_on("a", 2)
    cluster.dead("a")
    first, second = cluster.apis
    for api in cluster.apis:
        api.broker.stall()
    assert cluster.action(server, {"evacuate": {}}).status == 200
    assert cluster.action(other, {"evacuate": {}}, "2.94").status == 200
    first.kill()
    second.kill()
    first.heal()
    first.start()
    cluster.settled(server, other, seconds=60)
    assert [cluster.status(server), cluster.status(other)] == ["SHUTOFF", "ACTIVE"]


def test_an_api_killed_in_a_rush_loses_nothing_that_it_answered(cluster: Cluster) -> None:
    servers = cluster.servers_on("a", 20)
    cluster.dead("a")
    first, _other = cluster.apis
    first.broker.stall()  # what it has not told anybody dies with it

    def evacuate(server: str) -> int | None:
        try:
            return cluster.action(server, {"evacuate": {}}).status
        except (OSError, HTTPException):
            return None

    with ThreadPoolExecutor(len(servers)) as clients:
        asked = {clients.submit(evacuate, server): server for server in servers}
        for _answered in islice(as_completed(asked), 6):
            pass
        first.kill()
        unanswered = [asked[answer] for answer in as_completed(asked) if answer.result() is None]
        assert {answer.result() for answer in asked} <= {200, None}
    cluster.settled(*servers)
    for server in unanswered:
        # Either it was written down and is done, or it was not and may be asked for.
        if cluster.show(server)["OS-EXT-SRV-ATTR:host"] == "a":
            assert evacuate(server) == 200
    for ended in cluster.settled(*servers):
        assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"] == "a") == ("SHUTOFF", False)


def test_a_destination_killed_in_the_middle_goes_on_when_it_returns(cluster: Cluster) -> None:
    cluster.slow("b", define=1, power_on=1)
    servers = cluster.servers_on("a", 4)
    cluster.dead("a")
    cluster.computes["c"].kill()  # without a witness nobody takes over from b, however long its starts take
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94" if number % 2 else "2.95").status == 200
    for delay in (0.5, 1.0):
        wait_seconds(delay)
        cluster.computes["b"].kill()
        cluster.computes["b"].start()
    cluster.settled(*servers, seconds=60)
    for number, server in enumerate(servers):
        assert cluster.status(server) == ("ACTIVE" if number % 2 else "SHUTOFF")
        assert cluster.show(server)["OS-EXT-SRV-ATTR:host"] == "b"
        assert cluster.starts(server, "b") == number % 2


def test_another_host_takes_over_from_one_that_died_before_it_owned_anything(cluster: Cluster) -> None:
    cluster.slow("b", define=30)
    servers = cluster.servers_on("a", 4)
    cluster.dead("a")
    for server in servers:
        assert cluster.action(server, {"evacuate": {}}).status == 200
    wait_seconds(0.5)
    cluster.fence("b")
    for ended in cluster.settled(*servers, seconds=60):
        assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("SHUTOFF", "c")


def test_a_destination_named_by_the_caller_that_dies_is_not_replaced(cluster: Cluster) -> None:
    cluster.slow("b", define=30)
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    assert cluster.action(server, {"evacuate": {"host": "b"}}).status == 200
    cluster.fence("b")
    (ended,) = cluster.settled(server, seconds=60)
    assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "a")
    assert "It was named in the request" in ended["fault"]["message"]
    assert cluster.action(server, {"evacuate": {"host": "c"}}).status == 200
    assert cluster.settled(server)[0]["status"] == "SHUTOFF"


def test_a_destination_that_dies_once_it_owns_the_instance_is_named_to_be_fenced(cluster: Cluster) -> None:
    cluster.slow("b", power_on=30)
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94").status == 200
    until(lambda: cluster.show(server)["OS-EXT-SRV-ATTR:host"] == "b", 30, "b to own it")
    cluster.fence("b")
    (ended,) = cluster.settled(server, seconds=60)
    assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "b")
    assert "fence that host (b), then evacuate again" in ended["fault"]["message"]
    assert cluster.action(server, {"evacuate": {}}, "2.94").status == 200
    (retried,) = cluster.settled(server)
    assert (retried["status"], retried["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "c")


@pytest.mark.parametrize("version", ["2.94", "2.95"])
def test_a_destination_that_thaws_after_its_work_was_given_away_powers_nothing_on(
    cluster: Cluster, version: str
) -> None:
    # Long enough to freeze b within it, and over once c has the instance.
    cluster.slow("b", define=DOWN_TIME)
    cluster.computes["c"].kill()  # so that b is the only choice; up again before b is frozen
    until(lambda: cluster.service("c")["state"] == "down", 60, "c to be down")
    (server,) = cluster.servers_on("a", 1)
    cluster.dead("a")
    assert cluster.action(server, {"evacuate": {}}, version).status == 200
    cluster.computes["c"].begin()
    until(lambda: record(cluster, server) == "pre-migrating", 30, "b to begin")
    cluster.computes["b"].freeze()
    (ended,) = cluster.settled(server, seconds=60)
    assert ended["OS-EXT-SRV-ATTR:host"] == "c"
    cluster.computes["b"].thaw()
    cluster.wait_up("b")
    until(lambda: [line["event"] for line in cluster.journal("b", server)] in ([], ["defined", "destroyed"]), 60, "b")
    assert cluster.starts(server, "b") == 0
    assert cluster.status(server) == ("ACTIVE" if version == "2.94" else "SHUTOFF")
    assert cluster.starts(server, "c") == (version == "2.94")


def test_everything_restarted_at_once_in_the_middle_goes_on(cluster: Cluster) -> None:
    cluster.slow("b", "c", define=0.5)
    servers = cluster.servers_on("a", 10)
    cluster.dead("a")
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
    for process in cluster.processes:
        process.kill()
    for process in cluster.processes:
        process.begin()
    for process in cluster.processes:
        process.ready()
    for number, server in enumerate(servers):
        (ended,) = cluster.settled(server, seconds=60)
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF")
        assert cluster.starts(server, "b", "c") == number % 2


def test_of_two_managers_for_one_host_the_older_one_ends_and_says_why(cluster: Cluster) -> None:
    older = cluster.computes["c"]
    newer = Process(cluster, "c-again", ["compute", "--host", "c", "--state-dir", str(cluster.state_dir)])
    cluster.strangers.append(newer)
    newer.start()
    assert older.wait_for_end() == 3
    assert "Another compute manager has registered for host c" in older.tail()
    cluster.wait_up("c")
    assert newer.stop() == 0


# -- the source returns


@pytest.mark.parametrize("status", ["accepted", "pre-migrating", "done", "failed", "error"])
def test_a_source_that_returns_runs_nothing_that_was_taken_from_it(cluster: Cluster, status: str) -> None:
    if status == "pre-migrating":
        cluster.slow("b", define=DOWN_TIME)
    (server,) = cluster.servers_on("a", 1)
    runs_before = cluster.starts(server, "a")
    cluster.dead("a")
    if status == "error":
        cluster.sql("UPDATE compute_nodes SET vcpus = vcpus_used WHERE host IN ('b', 'c')")
    if status == "accepted":
        cluster.computes["c"].kill()  # without a witness nobody takes over from b, however long a's start takes
        cluster.computes["b"].freeze()
    if status == "failed":
        cluster.slow("b", define=30)
    assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94").status == 200
    if status == "failed":
        cluster.fence("b")
        until(lambda: record(cluster, server) == "failed", 60, "the evacuation to fail")
    until(lambda: record(cluster, server) in (status, "completed"), 30, f"the record to be {status}")
    returned(cluster, "a")
    assert cluster.starts(server, "a") == runs_before
    cluster.sql("UPDATE compute_nodes SET vcpus = 256")
    if status == "accepted":
        cluster.computes["b"].thaw()
    (ended,) = cluster.settled(server, seconds=60)
    if status in ("accepted", "pre-migrating", "done"):
        until(lambda: record(cluster, server) == "completed", 60, "a to clean")
        assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "b")
        assert cluster.journal("a", server)[-1]["event"] == "destroyed"
    else:
        assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "a")
        assert cluster.action(server, {"os-start": None}).status == 202
        assert cluster.settled(server)[0]["status"] == "ACTIVE"
    assert (cluster.state_dir / "disks" / server).exists()


def returned(cluster: Cluster, host: str) -> None:
    """Bring a fenced host back, and let it up."""
    cluster.mains(host, "on")
    cluster.computes[host].start()
    until(lambda: cluster.force_down(host, forced=False).status == 200, 60, f"{host} to be let up")
    cluster.wait_up(host)
