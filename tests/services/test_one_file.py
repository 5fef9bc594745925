"""Several processes on one SQLite file, which is allowed where they are on one machine: see decision 4."""

from tests.services.cluster import wait_seconds
from tests.services.conftest import MakeCluster


def test_processes_that_share_a_file_take_turns_and_outlive_one_another(make_cluster: MakeCluster) -> None:
    cluster = make_cluster("sqlite")
    cluster.start()
    servers = cluster.servers_on("a", 6)
    cluster.slow("b", define=0.5)
    cluster.dead("a")
    for number, server in enumerate(servers):
        assert cluster.action(server, {"evacuate": {}}, "2.94" if number % 2 else "2.95").status == 200
    for process in (cluster.apis[0], cluster.computes["b"], cluster.apis[1]):
        wait_seconds(0.2)
        process.kill()
        process.start()
    cluster.settled(*servers, seconds=60)
    assert [cluster.status(server) for server in servers] == ["SHUTOFF", "ACTIVE"] * 3
    cluster.recover()
    cluster.settled_down()
    verified = cluster.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
