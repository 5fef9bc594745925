"""A site that was one process becomes many, as ``docs/from-one-to-many.md`` says, and goes on."""

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import processes
from tests.acceptance.site import Site, until
from tests.services.cluster import Cluster
from tests.services.servers import fresh_database, fresh_vhost


def run(*command: str, config: Path) -> subprocess.CompletedProcess[str]:
    return processes.run([*command, "--config-file", str(config)])


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_what_one_process_had_is_there_and_goes_on_with_many(tmp_path: Path, server: str) -> None:
    with ExitStack() as closing:
        one = Site(tmp_path / "one")
        one.start()
        closing.callback(one.kill)
        moved, owed, still = (one.create("a", name) for name in ("moved", "owed", "still"))
        other = one.create("b", "other")
        one.settled(moved, owed, still, other)
        one.mains("a", "off")
        assert one.force_down("a").status == 200
        assert one.action(moved, {"evacuate": {}}, "2.94").status == 200
        assert one.action(owed, {"evacuate": {}}).status == 200
        one.settled(moved, owed)
        before = {id_: one.show(id_) for id_ in (moved, owed, still, other)}

        database = closing.enter_context(fresh_database(server))
        many = Cluster(tmp_path / "many", database, closing.enter_context(fresh_vhost()))
        closing.callback(many.kill)
        config = many.processes[0].own
        assert run("db", "upgrade", config=config).returncode == 0
        busy = run("db", "copy", str(one.state_dir), config=config)
        assert busy.returncode == 1
        assert "in use by another evacuator process" in busy.stderr
        assert one.stop() == 0

        copied = run("db", "copy", str(one.state_dir), config=config)
        assert copied.returncode == 0, copied.stderr
        assert {"instances: 4", "migrations: 2", "flavors: 5"} <= set(copied.stdout.splitlines())
        again = run("db", "copy", str(one.state_dir), config=config)
        assert again.returncode == 1
        assert "is in use" in again.stderr

        shutil.copytree(one.state_dir, many.state_dir, dirs_exist_ok=True)
        for process in many.processes:
            process.begin()
        for process in many.processes:
            process.ready()
        many.wait_up("bc")
        shown = ("id", "name", "status", "OS-EXT-SRV-ATTR:host", "created", "OS-EXT-STS:power_state", "flavor")
        for id_, server_before in before.items():
            server_now = many.show(id_)
            assert {key: server_now[key] for key in shown} == {key: server_before[key] for key in shown}
        assert many.action(still, {"evacuate": {}}).status == 200
        assert many.settled(still)[0]["status"] == "SHUTOFF"
        assert many.status(many.servers_on("b", 1)[0]) == "ACTIVE"
        many.mains("a", "on")
        until(
            lambda: all(many.migrations(id_)[0]["status"] == "completed" for id_ in (moved, owed, still)),
            30,
            "cleaning",
        )
        assert many.force_down("a", forced=False).status == 200
        many.wait_up("abc")
        verified = many.verify()
        assert verified.returncode == 0, verified.stdout


def test_a_database_that_is_not_upgraded_is_not_filled(tmp_path: Path) -> None:
    config = tmp_path / "evacuator.conf"
    config.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/new.sqlite\n")
    (tmp_path / "old.sqlite").touch()
    refused = run("db", "copy", f"sqlite:///{tmp_path}/old.sqlite", config=config)
    assert refused.returncode == 1
    assert "evacuator db upgrade" in refused.stderr
