"""A database or a broker that is away, holds up, or refuses: everything that was accepted ends all the same."""

import time
import urllib.error
import urllib.request
from statistics import median

import pytest

from tests.acceptance.site import until
from tests.services.cluster import DOWN_TIME, Cluster, Process, wait_seconds
from tests.services.conftest import MakeCluster
from tests.services.no_writes import takes_no_writes

# -- the database


def test_connections_to_the_database_reset_in_the_middle_change_nothing(cluster: Cluster) -> None:
    cluster.slow("b", "c", define=0.3, power_on=0.3)
    servers = cluster.servers_on("a", 12)
    cluster.dead("a")
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
        for process in cluster.processes:
            process.database.reset()
    for number, server in enumerate(servers):
        (ended,) = cluster.settled(server, seconds=60)
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF")
        assert cluster.starts(server, "b", "c") == number % 2


def test_a_database_that_is_away_makes_nobody_dead(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    for process in cluster.processes:
        process.database.cut()
    wait_seconds(DOWN_TIME + 2)
    for process in cluster.processes:
        process.database.heal()
    until(lambda: cluster.request("GET", "/os-services").status == 200, 60, "the database to be found again")
    assert cluster.action(server, {"evacuate": {}}).status == 400
    cluster.wait_up("abc")
    assert cluster.action(server, {"evacuate": {}}).status == 400
    assert cluster.status(server) == "ACTIVE"
    assert cluster.starts(server, "a", "b", "c") == 1


def test_evacuations_in_the_middle_of_which_the_database_goes_away_end_when_it_returns(cluster: Cluster) -> None:
    cluster.slow("b", "c", define=1, power_on=0.5)
    servers = cluster.servers_on("a", 6)
    cluster.dead("a")
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
    wait_seconds(0.5)
    for process in cluster.processes:
        process.database.cut()
    wait_seconds(DOWN_TIME + 2)
    for process in cluster.processes:
        process.database.heal()
    until(lambda: cluster.request("GET", "/os-services").status == 200, 60, "the database to be found again")
    for number, server in enumerate(servers):
        (ended,) = cluster.settled(server, seconds=60)
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF"), cluster.migrations(server)
        assert cluster.starts(server, "b", "c") == number % 2


def test_a_database_that_takes_no_writes_for_a_while_makes_nobody_dead_and_what_it_held_up_ends(
    cluster: Cluster,
) -> None:
    cluster.slow("b", "c", define=1, power_on=0.5)
    servers = cluster.servers_on("a", 6)
    (bystander,) = cluster.servers_on("b", 1)
    cluster.dead("a")
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
    with takes_no_writes(cluster):
        wait_seconds(DOWN_TIME + 2)
        assert cluster.request("GET", "/servers").status == 200
    until(
        lambda: cluster.action(bystander, {"evacuate": {}}).status == 400, 60, "b to be up, or nobody to be a witness"
    )
    for number, server in enumerate(servers):
        (ended,) = cluster.settled(server, seconds=60)
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF"), cluster.migrations(server)
        assert cluster.starts(server, "b", "c") == number % 2
    assert cluster.starts(bystander, "a", "b", "c") == 1


def test_a_destination_cut_off_while_it_works_loses_the_instance_and_cleans_up(cluster: Cluster) -> None:
    cluster.slow("b", define=2 * DOWN_TIME)
    servers = cluster.servers_on("a", 4)
    cluster.dead("a")
    for server in servers:
        assert cluster.action(server, {"evacuate": {}}).status == 200
    begun = {"status": "pre-migrating", "dest_compute": "b"}
    until(
        lambda: any(begun.items() <= record.items() for server in servers for record in cluster.migrations(server)),
        10,
        "b to begin with one",
    )
    cluster.computes["b"].cut_off()
    for ended in cluster.settled(*servers, seconds=60):
        assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("SHUTOFF", "c")
    cluster.computes["b"].heal()
    cluster.wait_up("b")

    def cleaned_up() -> bool:
        done = [[line["event"] for line in cluster.journal("b", server)] for server in servers]
        return ["defined", "destroyed"] in done and all(events in ([], ["defined", "destroyed"]) for events in done)

    until(cleaned_up, 60, "b to come to the end of what it began, and to clean up")


def test_ready_is_who_reaches_the_database_and_alive_is_everybody(cluster: Cluster) -> None:
    api, other = cluster.apis
    api.database.cut()
    assert health(api, "") == (200, "OK")
    assert health(api, "?detailed")[0] == 503
    assert health(other, "?detailed")[0] == 200
    api.database.heal()
    until(lambda: health(api, "?detailed")[0] == 200, 60, "it to be ready again")


def health(api: Process, query: str) -> tuple[int, str]:
    """Ask one API process how it is."""
    try:
        with urllib.request.urlopen(f"{api.said[0]}/healthcheck{query}", timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# -- the broker


def test_fifty_evacuations_are_accepted_at_once_and_end_while_the_broker_is_away(cluster: Cluster) -> None:
    servers = cluster.servers_on("a", 50)
    cluster.dead("a")
    for process in cluster.processes:
        process.broker.cut()
    wait_seconds(1)
    took = []
    for number, server in enumerate(servers):
        begun = time.monotonic()
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
        took.append(time.monotonic() - begun)
    # Who waited for a broker would do so each time; one may be slow on a busy machine.
    assert median(took) < 2
    for number, ended in enumerate(cluster.settled(*servers, seconds=60)):
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF")
    assert all(cluster.service(host)["state"] == "up" for host in "bc")


def test_a_broker_that_is_down_for_a_minute_holds_up_none_of_fifty_evacuations(make_cluster: MakeCluster) -> None:
    """With pick-up as often as it is by default."""
    cloud = make_cluster(more="[compute]\nsweep_interval = 5\n")
    cloud.start()
    servers = cloud.servers_on("a", 50)
    cloud.dead("a")
    for process in cloud.processes:
        process.broker.cut()
    down = time.monotonic()
    for number, server in enumerate(servers):
        wait_seconds(max(0.0, down + number - time.monotonic()))
        assert cloud.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
    wait_seconds(max(0.0, down + 60 - time.monotonic()))
    for process in cloud.processes:
        process.broker.heal()
    for number, ended in enumerate(cloud.settled(*servers, seconds=30)):
        assert ended["status"] == ("ACTIVE" if number % 2 else "SHUTOFF")
    cloud.recover()
    cloud.settled_down()
    assert cloud.broken() == []


def test_after_a_long_absence_of_the_broker_messages_arrive_again(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    compute = cluster.computes["a"]
    compute.kill()
    # Else it would find the work by itself, and nobody would miss a message.
    compute.configure("[compute]\nsweep_interval = 300\n")
    compute.start()
    cluster.wait_up("a")
    for process in cluster.processes:
        process.broker.cut()
    wait_seconds(8)
    for process in cluster.processes:
        process.broker.heal()
    wait_seconds(8)
    assert cluster.action(server, {"os-stop": None}).status == 202
    (ended,) = cluster.settled(server)
    assert ended["status"] == "SHUTOFF"


@pytest.mark.parametrize("away", ["cut", "stall"])
def test_told_to_stop_while_the_broker_is_away_everything_stops_soon(cluster: Cluster, away: str) -> None:
    (server,) = cluster.servers_on("a", 1)
    for process in cluster.processes:
        getattr(process.broker, away)()
    assert cluster.action(server, {"os-stop": None}).status == 202
    cluster.settled(server)
    begun = time.monotonic()
    assert cluster.stop() == 0
    # What the units allow for it (TimeoutStopSec).
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("missing", ["broker", "database"])
def test_a_compute_manager_started_while_a_server_is_away_comes_up_when_it_returns(
    cluster: Cluster, missing: str
) -> None:
    compute = cluster.computes["a"]
    assert compute.stop() == 0
    getattr(compute, missing).cut()
    compute.begin()
    if missing == "broker":
        # Messages are hints: the host is up without them.
        cluster.wait_up("a")
        (server,) = cluster.servers_on("a", 1)
        assert cluster.status(server) == "ACTIVE"
    wait_seconds(8)
    assert compute.running
    getattr(compute, missing).heal()
    assert compute.ready()
    cluster.wait_up("a")


@pytest.mark.parametrize("missing", ["broker", "database"])
def test_an_api_process_started_while_a_server_is_away_serves_when_it_returns(cluster: Cluster, missing: str) -> None:
    api, _other = cluster.apis
    assert api.stop() == 0
    getattr(api, missing).cut()
    api.begin()
    assert api.ready().startswith("http://")
    getattr(api, missing).heal()
    for _each_api in cluster.apis:
        until(lambda: cluster.request("GET", "/servers").status == 200, 60, "an answer")
