"""What holds with one process holds with many: the same rows, on a real database and a real broker."""

import threading
from typing import Any

from tests.acceptance.site import Answer, until
from tests.services.cluster import DOWN_TIME, Cluster, wait_seconds


def at_once(*calls: Any) -> list[Answer]:
    """Make several calls at the same time."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_an_evacuation_ends_where_and_how_it_must(cluster: Cluster) -> None:
    cases = [(version, state) for version in ("2.1", "2.94", "2.95") for state in ("ACTIVE", "SHUTOFF", "ERROR")]
    servers = dict(zip(cases, cluster.servers_on("a", len(cases)), strict=True))
    for (_version, state), server in servers.items():
        if state == "SHUTOFF":
            assert cluster.action(server, {"os-stop": None}).status == 202
        if state == "ERROR":
            assert cluster.action(server, {"os-resetState": {"state": "error"}}).status == 202
    cluster.settled(*servers.values())
    cluster.dead("a")
    for (version, state), server in servers.items():
        assert cluster.status(server) == state
        evacuate = {"onSharedStorage": True} if version == "2.1" else {}
        answer = cluster.action(server, {"evacuate": evacuate}, version)
        assert answer.status == 200, answer
    cluster.settled(*servers.values())
    for (version, state), server in servers.items():
        ended = cluster.show(server)
        runs = version != "2.95" and state != "SHUTOFF"
        assert ended["status"] == ("ACTIVE" if runs else "SHUTOFF")
        assert ended["OS-EXT-STS:power_state"] == (1 if runs else 4)
        assert ended["OS-EXT-SRV-ATTR:host"] in ("b", "c")
        assert cluster.starts(server, "b", "c") == runs
    cluster.recover()
    until(lambda: all(cluster.migrations(server)[0]["status"] == "completed" for server in servers.values()), 60, "a")
    for server in servers.values():
        assert cluster.journal("a", server)[-1]["event"] == "destroyed"
        assert (cluster.state_dir / "disks" / server).exists()


def test_a_host_that_is_up_is_not_evacuated(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    answer = cluster.action(server, {"evacuate": {}})
    assert answer.status == 400
    assert "still in use" in answer.body["badRequest"]["message"]
    assert cluster.migrations(server) == []


def test_a_silent_host_is_evacuated_once_another_one_was_heard_all_the_while(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    cluster.fence("a")
    assert cluster.action(server, {"evacuate": {}}).status == 400
    until(lambda: cluster.action(server, {"evacuate": {}}).status == 200, 60, "the silence of a to count")
    (ended,) = cluster.settled(server)
    assert (ended["status"], cluster.starts(server, "b", "c")) == ("SHUTOFF", 0)


def test_when_everybody_falls_silent_nobody_is_dead(cluster: Cluster) -> None:
    (server,) = cluster.servers_on("a", 1)
    for process in cluster.computes.values():
        process.kill()
    wait_seconds(DOWN_TIME + 1)
    answer = cluster.action(server, {"evacuate": {}})
    assert answer.status == 400
    assert "proves nothing" in answer.body["badRequest"]["message"]


def test_an_old_compute_refuses_2_95_for_everybody_before_anything_is_written(cluster: Cluster) -> None:
    # Each request goes to the next process: as many in a row as there are go to each once.
    last, *each = cluster.servers_on("a", 1 + len(cluster.apis))
    cluster.dead("a")
    cluster.computes["c"].kill()
    cluster.sql("UPDATE services SET version = 1 WHERE host = 'c'")
    before = cluster.sql("SELECT count(*) FROM migrations")
    for server in each:
        refused = cluster.action(server, {"evacuate": {}})
        assert refused.status == 400
        assert "c: 1" in refused.body["badRequest"]["message"]
    assert cluster.sql("SELECT count(*) FROM migrations") == before
    assert cluster.action(last, {"evacuate": {}}, "2.94").status == 200
    assert cluster.settled(last)[0]["status"] == "ACTIVE"
    cluster.computes["c"].start()
    for server in each:
        assert cluster.action(server, {"evacuate": {}}).status == 200
    assert [server["status"] for server in cluster.settled(*each)] == ["SHUTOFF"] * len(cluster.apis)


def test_fifty_evacuations_to_hosts_with_room_for_forty_end_as_forty_and_ten(cluster: Cluster) -> None:
    servers = cluster.servers_on("a", 50)
    cluster.sql("UPDATE compute_nodes SET vcpus = vcpus_used + 20 WHERE host IN ('b', 'c')")
    cluster.dead("a")
    answers = at_once(*(lambda server=server: cluster.action(server, {"evacuate": {}}) for server in servers))
    assert [answer.status for answer in answers] == [200] * 50
    ended = cluster.settled(*servers, seconds=60)
    assert sorted(server["status"] for server in ended) == ["ERROR"] * 10 + ["SHUTOFF"] * 40
    for server in ended:
        if server["status"] == "ERROR":
            assert server["fault"]["message"].startswith("No valid host was found.")
    assert cluster.broken() == []
    cluster.sql("UPDATE compute_nodes SET vcpus = 256")


def test_the_same_evacuation_asked_of_both_processes_at_once_is_one_move_and_one_conflict(cluster: Cluster) -> None:
    servers = cluster.servers_on("a", 8)
    cluster.dead("a")
    asked = [server for server in servers for _each_api in cluster.apis]
    answers = at_once(*(lambda server=server: cluster.action(server, {"evacuate": {"host": "b"}}) for server in asked))
    assert {answer.status for answer in answers} <= {200, 400, 409}
    cluster.settled(*servers)
    assert sorted(answer.status for answer in answers).count(200) == 8
    for server in servers:
        assert len(cluster.migrations(server)) == 1
        assert [line["event"] for line in cluster.journal("b", server)] == ["defined"]
