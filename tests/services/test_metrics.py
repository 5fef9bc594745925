"""What a compute manager counts, on a page of its own."""

import re
import socket
import urllib.request

import pytest

from tests.services.cluster import Cluster


@pytest.fixture
def address(cluster: Cluster) -> str:
    """Where the manager of host b shows its metrics from now on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    manager = cluster.computes["b"]
    manager.kill()
    manager.configure(f"[compute]\nmetrics_address = 127.0.0.1\nmetrics_port = {port}\n")
    manager.start()
    cluster.wait_up(["b"])
    return f"http://127.0.0.1:{port}/metrics"


def numbers(address: str) -> dict[str, float]:
    """Read a page of metrics."""
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.headers.get_content_type() == "text/plain"
        page = answer.read().decode()
    return {found[1]: float(found[2]) for found in re.finditer(r"^(evacuator_.+) (\S+)$", page, re.MULTILINE)}


def test_a_manager_shows_what_it_did_and_how_long_ago_it_was_heard(cluster: Cluster, address: str) -> None:
    stopped, started = cluster.servers_on("a", 2)
    cluster.dead("a")
    assert cluster.action(stopped, {"evacuate": {"host": "b"}}).status == 200
    assert cluster.action(started, {"evacuate": {"host": "b"}}, "2.94").status == 200
    cluster.settled(stopped, started)

    counted = numbers(address)

    assert counted['evacuator_evacuations_total{outcome="done"}'] == 2
    assert counted['evacuator_transitions_total{step="claim"}'] == 2
    assert counted['evacuator_phase_seconds_count{phase="define"}'] == 2
    assert counted['evacuator_phase_seconds_count{phase="power_on"}'] == 1
    assert counted['evacuator_queue_length{queue="b worker"}'] == 0
    assert 0 <= counted['evacuator_heartbeat_age_seconds{host="b"}'] < 30
