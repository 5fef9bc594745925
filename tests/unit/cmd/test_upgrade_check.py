import json
from datetime import timedelta

import pytest
from oslo_config import cfg
from sqlalchemy import text, update

from evacuator.cmd import state_dir
from evacuator.cmd.main import main
from evacuator.db import schema, services
from evacuator.db.models import Service
from evacuator.db.session import open_database, utcnow
from tests.unit.db.test_census import a_record, a_service, add, an_instance


@pytest.fixture
def run():
    def command(*arguments):
        return main(["upgrade-check", *map(str, arguments)])

    yield command
    cfg.CONF.reset()


@pytest.fixture
def database(tmp_path):
    database = open_database(state_dir.sqlite_url(tmp_path))
    schema.upgrade(database)
    yield database
    database.close()


def report(capsys):
    """Return what was printed: the check's name -> how it ended, and the details."""
    lines = capsys.readouterr().out.splitlines()
    names = ("schema", "compute services", "RPC pin", "evacuations")
    found = {}
    for line in lines:
        (name,) = (name for name in names if line[8:].startswith(name))
        found[name] = (line[:8].strip(), line[8:].removeprefix(name).strip())
    return found


def pinned(tmp_path, pin):
    file = tmp_path / "pin.conf"
    file.write_text(f"[upgrade_levels]\ncompute = {pin}\n")
    return file


def test_a_site_that_is_ready_has_one_line_for_each_check(run, database, tmp_path, capsys):
    database.write(lambda transaction: services.register(transaction, "b", "uuid-b", "incarnation", 2))

    assert run("--state-dir", tmp_path) == 0

    assert report(capsys) == {
        "schema": ("ok", f"is at {schema.head()}, the newest"),
        "compute services": ("ok", "all 1 honour microversion 2.95"),
        "RPC pin": ("ok", "is not set"),
        "evacuations": ("ok", "none is running"),
    }


def test_an_empty_site_is_ready(run, database, tmp_path, capsys):
    assert run("--state-dir", tmp_path) == 0
    assert report(capsys)["compute services"] == ("ok", "there are none yet")


def test_another_schema_is_a_failure_and_the_rest_is_not_looked_at(run, tmp_path, capsys):
    open_database(state_dir.sqlite_url(tmp_path)).read(lambda session: session.connection())

    assert run("--state-dir", tmp_path) == 2

    found = report(capsys)
    assert set(found) == {"schema", "RPC pin"}
    command = f"evacuator db upgrade --database {tmp_path}"
    assert found["schema"] == ("failure", f"is empty, this program needs {schema.head()}: run `{command}`")


def test_a_schema_of_a_later_release_asks_for_that_release(run, database, tmp_path, capsys):
    database.write(lambda transaction: transaction.execute(text("UPDATE alembic_version SET version_num = '0099'")))

    assert run("--state-dir", tmp_path) == 2

    ended, details = report(capsys)["schema"]
    assert ended == "failure"
    assert details == f"is at 0099, newer than this program, which knows {schema.head()}: upgrade the program"


@pytest.mark.parametrize(("version", "shown"), [(1, "1"), (None, "unknown")])
def test_an_old_compute_is_a_warning_that_names_it(run, database, tmp_path, capsys, version, shown):
    add(database, a_service("b"), a_service("c", version=version, disabled=True, forced_down=True))

    assert run("--state-dir", tmp_path) == 1

    ended, details = report(capsys)["compute services"]
    assert ended == "warning"
    assert f"older are: c (version {shown});" in details


def test_a_newer_compute_is_a_failure(run, database, tmp_path, capsys):
    add(database, a_service("b", version=3))
    assert run("--state-dir", tmp_path) == 2
    assert report(capsys)["compute services"] == ("failure", "newer than this release: b; upgrade this program first")


def test_old_computes_are_named_beside_newer_ones(run, database, tmp_path, capsys):
    add(database, a_service("b", version=3), a_service("c", version=1))
    assert run("--state-dir", tmp_path) == 2
    ended, details = report(capsys)["compute services"]
    assert ended == "failure"
    assert "newer than this release: b;" in details
    assert "older are: c (version 1);" in details


def test_only_some_of_many_hosts_are_named(run, database, tmp_path, capsys):
    add(database, *(a_service(f"host{number}", version=1) for number in range(8)))
    run("--state-dir", tmp_path)
    details = report(capsys)["compute services"][1]
    assert "host4 (version 1) and 3 more;" in details
    assert "host5" not in details


@pytest.mark.parametrize(
    ("pin", "status", "ended"),
    [("1.1", 0, "ok"), ("1.0", 1, "warning"), ("1.10", 2, "failure"), ("9.9", 2, "failure"), ("auto", 2, "failure")],
)
def test_a_pin_is_judged_by_whether_it_carries_a_target_state(run, database, tmp_path, capsys, pin, status, ended):
    assert run("--state-dir", tmp_path, "--config-file", pinned(tmp_path, pin)) == status
    assert report(capsys)["RPC pin"][0] == ended


def test_an_evacuation_that_should_have_ended_is_a_warning(run, database, tmp_path, capsys):
    long_ago = utcnow() - timedelta(hours=1)
    add(database, a_service("b"), an_instance("one", host="a", evacuation_id="first"))
    database.write(
        lambda transaction: transaction.execute(update(Service).values(last_seen=utcnow(), up_since=long_ago))
    )
    add(database, a_record("first", "one", status="accepted", created_at=long_ago))

    assert run("--state-dir", tmp_path) == 1

    ended, details = report(capsys)["evacuations"]
    assert ended == "warning"
    assert details.startswith("should have ended: migration 1; run `evacuator verify`")


def test_an_evacuation_that_has_time_left_is_counted(run, database, tmp_path, capsys):
    add(database, a_service("b"), an_instance("one", host="a"), a_record("first", "one", status="accepted"))
    assert run("--state-dir", tmp_path) == 0
    assert report(capsys)["evacuations"] == ("ok", "1 running, none of them late")


def test_json_is_what_other_upgrade_checks_print(run, database, tmp_path, capsys):
    add(database, a_service("b", version=1))

    assert run("--state-dir", tmp_path, "--json") == 1

    printed = json.loads(capsys.readouterr().out)
    assert printed["name"] == "Upgrade Check Results"
    assert [(check["check"], check["result"]) for check in printed["checks"]] == [
        ("schema", 0),
        ("compute services", 1),
        ("RPC pin", 0),
        ("evacuations", 0),
    ]


def test_a_file_that_the_database_is_reached_with_and_that_is_not_there_is_a_failure(run, tmp_path, capsys):
    file = tmp_path / "evacuator.conf"
    file.write_text("[database]\nconnection = postgresql+psycopg://u:p@127.0.0.1:1/e?sslrootcert=/no/ca.pem\n")
    assert run("--config-file", file) == 2
    assert (
        "[database] connection has sslrootcert=/no/ca.pem, which cannot be used: [Errno 2]" in capsys.readouterr().err
    )


def test_a_file_of_authorities_that_has_none_is_a_failure(run, tmp_path, capsys):
    file = tmp_path / "evacuator.conf"
    file.write_text(f"[database]\nconnection = mysql+pymysql://u:p@127.0.0.1:1/e?ssl_ca={file}\n")
    assert run("--config-file", file) == 2
    assert f"has ssl_ca={file}, which cannot be used: " in capsys.readouterr().err


def test_no_database_is_a_failure_that_says_what_to_do(run, tmp_path, capsys):
    assert run("--state-dir", tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "There is no database" in printed.err
