"""What people get wrong, and what they are told: a sentence with a way out, an exit status, and never a traceback."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import processes
from tests.acceptance.conftest import MakeSite
from tests.acceptance.processes import EVACUATOR
from tests.acceptance.site import Site

Run = Callable[..., subprocess.CompletedProcess[str]]

ALL_IN_ONE = "all-in-one --state-dir {here}/site --hosts a --port 0"
DATABASE = "[database]\nconnection = {url}\n"
SQLITE = DATABASE.format(url="sqlite:///{here}/a.sqlite")
MARIADB = "mysql+pymysql://u:SECRET@"
NOBODY_THERE = DATABASE.format(url="mysql+pymysql://u:p@127.0.0.1:1/evacuator")
ENCRYPTED = "mysql+pymysql://u:p@127.0.0.1:1/evacuator?ssl_ca=/no/ca.pem"
BROKER = "[DEFAULT]\ntransport_url = {}\n"
HYPERVISORS = "[compute]\ndriver = libvirt\n[host:beta]\nconnection_uri = qemu+ssh://beta/system\n"
TLS = "[oslo_messaging_rabbit]\nssl = true\nssl_ca_file = /no/ca.pem\n"

#: What is run, with which configuration, and a part of what it has to say on standard error.
MISTAKES = {
    "no database server": ("db upgrade", NOBODY_THERE, "The database does not answer ((2003,"),
    "no database server to ask": ("db version", NOBODY_THERE, "The database does not answer ((2003,"),
    "no file for the database": ("api --port 0", DATABASE.format(url=ENCRYPTED), "has ssl_ca=/no/ca.pem"),
    "no file to look with": ("verify", DATABASE.format(url=ENCRYPTED), "has ssl_ca=/no/ca.pem"),
    "no file to check with": ("upgrade-check", DATABASE.format(url=ENCRYPTED), "has ssl_ca=/no/ca.pem"),
    "no such folder": ("db upgrade", DATABASE.format(url="sqlite:////no/where.sqlite"), "unable to open database file"),
    "not a database": ("db upgrade", DATABASE.format(url="sqlite:///{here}/settings.conf"), "file is not a database"),
    "no URL": ("db upgrade", DATABASE.format(url="nonsense"), "[database] connection cannot be used"),
    "a password with an @": (
        "db upgrade",
        DATABASE.format(url="mysql+pymysql://u:p@ss:SECRET@h/evacuator"),
        "its port is no number; in a password, @ is written as %40",
    ),
    "no name of a database": ("verify", DATABASE.format(url=f"{MARIADB}h/"), "it names no database"),
    "a parameter that is none": ("verify", DATABASE.format(url=f"{MARIADB}h/e?ssl_mode=1"), "ssl_mode"),
    "an address without brackets": ("api --port 0", DATABASE.format(url=f"{MARIADB}::1/e"), "connection"),
    "a $ in a password": ("verify", DATABASE.format(url="mysql+pymysql://u:$SECRET@h/e"), "Write $$ where"),
    "a database that nobody has": ("api --port 0", DATABASE.format(url="oracle://x"), "evacuator[mysql]"),
    "a database that nobody has to copy": ("db copy oracle://x", SQLITE, "[database] connection cannot be used"),
    "no such schema": ("db upgrade 4711", SQLITE, "The schema is left as it is: Can't locate revision"),
    "no database to copy": ("db copy sqlite:///{here}/typo", SQLITE, "There is no file"),
    "no database to upgrade": ("db upgrade --database {here}", SQLITE, "There is no file"),
    "a broker's port that is none": ("api --port 0", SQLITE + BROKER.format("rabbit://u:p@h:567x/"), "a port in it"),
    "a slash too few": ("api --port 0", SQLITE + BROKER.format("rabbit:/u:SECRET@h/v"), "names no broker"),
    "a colon too many": ("api --port 0", SQLITE + BROKER.format("rabbit:u:SECRET@h/v"), "names no broker"),
    "a user and no broker": ("api --port 0", SQLITE + BROKER.format("rabbit://u:SECRET@/v"), "names no broker"),
    "a broker without brackets": ("api --port 0", SQLITE + BROKER.format("rabbit://u:p@::1:5672/"), "in brackets"),
    "a broker without a user": ("api --port 0", SQLITE + BROKER.format("rabbit://u:p@h:1,h2:1/"), "without a user"),
    "a broker of another kind": ("api --port 0", SQLITE + BROKER.format("kafka://h/"), "transport_url cannot be used"),
    "no file for the broker": ("api --port 0", SQLITE + TLS, "[oslo_messaging_rabbit] ssl_ca_file = /no/ca.pem"),
    "no such broker": ("api --port 0", SQLITE + "[DEFAULT]\ntransport_url = foo://x\n", "transport_url cannot be used"),
    "no place for the log": ("api --port 0", SQLITE + "[DEFAULT]\nlog_file = /no/where.log\n", "See log_file, log_dir"),
    "no number": (ALL_IN_ONE, "[DEFAULT]\nreport_interval = often\n", "could not convert string to float: 'often'"),
    "heartbeats too far apart": (ALL_IN_ONE, "[DEFAULT]\nreport_interval = 30\n", "too long for service_down_time"),
    "no pin": ("api --port 0", SQLITE + "[upgrade_levels]\ncompute = auto\n", "compute = auto is no version"),
    "a pin that nobody speaks": ("api --port 0", SQLITE + "[upgrade_levels]\ncompute = 9.9\n", "one of 1.0, 1.1"),
    "no port": ("api --port 65536", SQLITE, "65536 is no port"),
    "no host": ("all-in-one --state-dir {here}/site --hosts ../a", "", "cannot be called '../a'"),
    "a name that a unit's file should have": ("compute --host=", SQLITE, "--host: it is empty: give the name"),
    "another host's name": ("compute --host beat", SQLITE + HYPERVISORS, "no section [host:beat], but one for beta"),
    "a file in the way": ("all-in-one --state-dir {here}/settings.conf --hosts a", "", "cannot be used: [Errno 17]"),
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def command(line: str, settings: str) -> subprocess.CompletedProcess[str]:
        config = tmp_path / "settings.conf"
        config.write_text(settings.replace("{here}", str(tmp_path)))
        arguments = [*line.replace("{here}", str(tmp_path)).split(), "--config-file", str(config)]
        return processes.run(arguments, timeout=60)

    return command


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(run: Run, mistake: str) -> None:
    line, settings, sentence = MISTAKES[mistake]
    told = run(line, settings)
    assert told.returncode in {1, 2}
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr
    assert "SECRET" not in told.stderr
    assert told.stdout == ""


@pytest.mark.parametrize("command", ["verify", "upgrade-check"])
@pytest.mark.parametrize(
    "settings", ["[DEFAULT]\nservice_down_time = abc\n", "[compute]\nclaim_timeout = -1\n", SQLITE]
)
def test_who_could_not_look_does_not_say_that_something_was_found(run: Run, command: str, settings: str) -> None:
    assert run(command, settings).returncode == 2


def test_the_database_of_a_state_directory_is_nobody_elses_to_read(make_site: MakeSite) -> None:
    site = make_site(hosts="a")
    files = list(site.state_dir.glob("evacuator.sqlite*"))
    assert files
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_state_directory_that_others_own_is_told_in_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "hypervisors").touch()
    told = run(ALL_IN_ONE, "")
    assert (told.returncode, told.stdout) == (1, "")
    assert "Host a cannot be simulated under" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_database_of_a_state_directory_is_not_left_for_another_one(run: Run, make_site: MakeSite) -> None:
    site = make_site(hosts="a")
    assert site.stop() == 0
    told = run(f"all-in-one --state-dir {site.state_dir} --hosts a --port 0", SQLITE)
    assert (told.returncode, told.stdout) == (1, "")
    assert "[database] connection names another database" in told.stderr
    assert "`evacuator api` and `evacuator compute`" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_port_that_is_taken_is_told_in_a_sentence(run: Run, site: Site) -> None:
    for command in (ALL_IN_ONE, "api"):
        told = run(f"{command} --port {site.url.rpartition(':')[2]}", SQLITE)
        assert (told.returncode, told.stdout) == (1, "")
        assert "Cannot listen on 127.0.0.1 port" in told.stderr
        assert "Traceback" not in told.stderr


def test_who_reads_only_the_first_line_hears_no_complaint(make_site: MakeSite) -> None:
    site = make_site(hosts="a")
    command = " ".join([*EVACUATOR, "verify", "--state-dir", str(site.state_dir)])
    piped = ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"]
    done = subprocess.run(piped, capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ))
    assert (done.stdout, done.stderr) == ("141\n", "")
