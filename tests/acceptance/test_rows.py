"""What the first release has to show, each from outside, on a fresh site."""

import sqlite3
import threading
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.conftest import MakeSite
from tests.acceptance.site import Answer, Site, until


def dead(site: Site, host: str = "a") -> None:
    """Switch a host off and force it down."""
    site.mains(host, "off")
    assert site.force_down(host).status == 200


def rows(site: Site) -> dict[str, int]:
    """Count what an accepted evacuation would write."""
    with closing(sqlite3.connect(site.state_dir / "evacuator.sqlite")) as connection:
        tables = ("migrations", "instance_actions", "instance_actions_events", "allocations")
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def sql(site: Site, statement: str) -> None:
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(site.state_dir / "evacuator.sqlite", timeout=10)) as connection, connection:
        connection.execute(statement)


def at_once(*calls: Any) -> list[Answer]:
    """Make several calls at the same time."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_an_instance_whose_host_is_up_is_not_evacuated(site: Site) -> None:
    server = site.create("a")
    site.settled(server)
    before = rows(site)
    answer = site.action(server, {"evacuate": {}})
    assert answer.status == 400
    message = answer.body["badRequest"]["message"]
    assert message.startswith("Compute service of a is still in use.")
    assert "force" in message
    assert rows(site) == before


def test_a_silent_host_is_evacuated_without_being_forced_down_and_cleans_when_it_returns(site: Site) -> None:
    server = site.create("a")
    site.settled(server)
    site.mains("a", "off")
    until(lambda: site.action(server, {"evacuate": {}}).status == 200, 60, "the silence of a to count")
    (ended,) = site.settled(server)
    assert (ended["status"], ended["OS-EXT-STS:power_state"]) == ("SHUTOFF", 4)
    site.mains("a", "on")
    until(lambda: site.service("a")["state"] == "up", 60, "a to be up again")
    assert site.journal("a", server)[-1]["event"] == "destroyed"
    assert site.migrations(server)[0]["status"] == "completed"
    assert (site.state_dir / "disks" / server).exists()
    assert site.action(server, {"os-start": None}).status == 202
    (started,) = site.settled(server)
    assert started["status"] == "ACTIVE"
    host = started["OS-EXT-SRV-ATTR:host"]
    assert [line["event"] for line in site.journal(host, server)] == ["defined", "powered_on"]
    assert site.verify().returncode == 0


@pytest.mark.parametrize("old", ["version = 1", "version = 0", "version = NULL"])
def test_one_old_compute_anywhere_refuses_2_95_and_lets_2_94_pass(site: Site, old: str) -> None:
    first, second = site.create("a", "first"), site.create("a", "second")
    site.settled(first, second)
    dead(site)
    site.mains("c", "off")
    sql(site, f"UPDATE services SET {old}, disabled = 1 WHERE host = 'c'")
    before = rows(site)
    refused = site.action(first, {"evacuate": {}}, "2.95")
    assert refused.status == 400
    message = refused.body["badRequest"]["message"]
    for fact in ("2.95", "version 2", "c: ", "Upgrade", "2.94"):
        assert fact in message
    assert rows(site) == before
    assert site.show(first)["OS-EXT-STS:task_state"] is None
    assert site.action(second, {"evacuate": {}}, "2.94").status == 200
    assert site.settled(second)[0]["status"] == "ACTIVE"
    sql(site, "UPDATE services SET version = 2 WHERE host = 'c'")
    assert site.action(first, {"evacuate": {}}, "2.95").status == 200
    assert site.settled(first)[0]["status"] == "SHUTOFF"


def test_an_old_destination_takes_what_it_can_at_2_94(make_site: MakeSite) -> None:
    site = make_site(hosts="a,b")
    server = site.create("a")
    site.settled(server)
    dead(site)
    sql(site, "UPDATE services SET version = 1 WHERE host = 'b'")
    assert site.action(server, {"evacuate": {}}, "2.94").status == 200
    (ended,) = site.settled(server)
    assert (ended["status"], ended["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "b")


def test_fifty_evacuations_to_hosts_with_room_for_forty_end_as_forty_and_ten(make_site: MakeSite) -> None:
    site = make_site()
    servers = [site.create("a", f"server-{number}") for number in range(50)]
    site.settled(*servers, seconds=60)
    sql(site, "UPDATE compute_nodes SET vcpus = vcpus_used + 20 WHERE host IN ('b', 'c')")
    dead(site)
    answers = at_once(*(lambda server=server: site.action(server, {"evacuate": {}}) for server in servers))
    assert [answer.status for answer in answers] == [200] * 50
    ended = site.settled(*servers, seconds=60)
    records = [site.migrations(server)[0]["status"] for server in servers]
    assert (records.count("done"), records.count("error")) == (40, 10)
    for server in ended:
        if server["status"] == "ERROR":
            assert server["fault"]["message"].startswith("No valid host was found.")
            assert server["OS-EXT-SRV-ATTR:host"] == "a"
        else:
            assert server["status"] == "SHUTOFF"
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout


def test_the_same_evacuation_asked_twice_at_once_is_one_move_and_one_conflict(make_site: MakeSite) -> None:
    site = make_site(more="[simulated]\ndefine_seconds = 2")
    server = site.create("a")
    site.settled(server)
    dead(site)
    answers = at_once(*[lambda: site.action(server, {"evacuate": {}})] * 2)
    assert sorted(answer.status for answer in answers) == [200, 409]
    site.settled(server)
    assert len(site.migrations(server)) == 1
    assert [line["event"] for host in "bc" for line in site.journal(host, server)] == ["defined"]


def test_killed_in_the_middle_of_twenty_evacuations_all_of_them_end(make_site: MakeSite) -> None:
    site = make_site(more="[simulated]\ndefine_seconds = 0.3")
    servers = [site.create("a", f"server-{number}") for number in range(20)]
    site.settled(*servers, seconds=60)
    dead(site)
    versions = {server: "2.95" if number % 2 else "2.94" for number, server in enumerate(servers)}
    for server, version in versions.items():
        assert site.action(server, {"evacuate": {}}, version).status == 200
    site.kill()
    site.start()
    for ended in site.settled(*servers, seconds=60):
        assert ended["status"] == ("SHUTOFF" if versions[ended["id"]] == "2.95" else "ACTIVE")
        assert ended["OS-EXT-SRV-ATTR:host"] in ("b", "c")
    for server, version in versions.items():
        starts = [line for line in site.journal(server=server) if line["event"] == "powered_on" and line["host"] != "a"]
        assert len(starts) == (0 if version == "2.95" else 1)
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout


def test_a_member_sees_who_evacuated_their_server_and_how_it_ended(site: Site) -> None:
    server = site.create("a")
    site.settled(server)
    mine = site.request(
        "POST",
        "/servers",
        {"server": {"name": "mine", "flavorRef": "1", "imageRef": ""}},
        "2.1",
        token="ann:blue",
    ).body["server"]["id"]
    site.settled(mine)
    host = site.show(mine)["OS-EXT-SRV-ATTR:host"]
    dead(site, host)
    assert site.action(mine, {"evacuate": {}}, token="ann:blue").status == 403
    assert site.action(mine, {"evacuate": {}}, token="eve:red").status == 404
    assert site.action(mine, {"evacuate": {}}).status == 200
    site.settled(mine)
    actions = site.get(f"/servers/{mine}/os-instance-actions", token="ann:blue")["instanceActions"]
    (evacuate,) = [action for action in actions if action["action"] == "evacuate"]
    assert evacuate["user_id"] == "admin"
    assert evacuate["message"] is None
    shown = site.get(f"/servers/{mine}/os-instance-actions/{evacuate['request_id']}", token="ann:blue")
    events = {event["event"]: event["result"] for event in shown["instanceAction"]["events"]}
    assert events == {"rebuild_server": "Success", "compute_rebuild_instance": "Success"}


def test_told_to_stop_it_ends_with_status_zero_and_goes_on_when_started_again(make_site: MakeSite) -> None:
    site = make_site()
    server = site.create("a")
    site.settled(server)
    assert site.stop() == 0
    site.start()
    assert site.status(server) == "ACTIVE"
    assert site.service("a")["state"] == "up"


def test_a_release_that_was_taken_back_goes_on_with_what_a_later_one_made_of_the_schema(make_site: MakeSite) -> None:
    site = make_site()
    server = site.create("a")
    site.settled(server)
    assert site.stop() == 0
    sql(site, "UPDATE alembic_version SET version_num = '9999'")
    site.start()
    assert site.settled(server)[0]["status"] == "ACTIVE"


def test_a_second_process_on_the_same_state_directory_is_refused_with_a_sentence(site: Site) -> None:
    second = site.run("all-in-one", "--state-dir", str(site.state_dir), "--hosts", "a", "--port", "0")
    assert second.returncode == 1
    assert "in use by another evacuator process" in second.stderr


def test_without_authentication_only_loopback_is_served(site: Site) -> None:
    second = site.run("all-in-one", "--state-dir", f"{site.state_dir}2", "--hosts", "a", "--listen", "0.0.0.0")
    assert second.returncode == 1
    assert "noauth" in second.stderr


def test_a_power_order_for_a_dead_host_is_refused_and_says_what_to_do(site: Site) -> None:
    server = site.create("a")
    site.settled(server)
    assert site.action(server, {"os-stop": None}).status == 202
    site.settled(server)
    dead(site)
    before = rows(site)
    answer = site.action(server, {"os-start": None})
    assert answer.status == 409
    assert "its host is down: evacuate it" in answer.body["conflictingRequest"]["message"]
    assert rows(site) == before


def test_the_service_of_a_host_that_is_gone_for_good_is_deleted_with_all_that_it_owed(site: Site) -> None:
    server = site.create("a")
    site.settled(server)
    dead(site)
    assert site.request("DELETE", f"/os-services/{site.service('a')['id']}", version="2.53").status == 409
    assert site.action(server, {"evacuate": {}}).status == 200
    site.settled(server)
    assert site.request("DELETE", f"/os-services/{site.service('a')['id']}", version="2.53").status == 204
    assert site.migrations(server)[0]["status"] == "completed"
    assert rows(site)["allocations"] == 1
    assert site.verify().returncode == 0
