import argparse
import io
from itertools import count

import pytest
from rich.console import Console

from evacuator.cmd import watch
from evacuator.cmd.compute_api import ApiRefused, ApiUnreachable
from evacuator.cmd.main import main
from evacuator.cmd.watch import LineScreen, Row, TableScreen, Watched, follow, negotiate, summary


class Cloud:
    """An API whose evacuations go on by one step whenever somebody sleeps."""

    def __init__(self, page=1000):
        self.page = page
        self.url = "http://cloud/v2.1"
        self.speaks = "2.95"
        self.spoken = None
        self.migrations = {}
        self.servers = {}
        self.steps = []
        self.asked = []
        self.outage = 0

    def newest(self):
        return self.speaks

    def at(self, microversion):
        self.spoken = microversion
        return self

    def evacuation(self, name, status, source="a", destination="b", **server):
        migration = {
            "uuid": f"migration-{name}",
            "instance_uuid": f"uuid-{name}",
            "status": status,
            "source_compute": source,
            "dest_compute": destination,
            "migration_type": "evacuation",
        }
        self.migrations[name] = migration
        self.servers[f"uuid-{name}"] = {"name": name, "status": "REBUILD", **server}

    def ends(self, name, to, /, **server):
        """Have an evacuation change at the next step."""
        self.steps.append((name, to, server))

    def sleep(self, _seconds):
        if self.outage:
            return
        assert self.steps, "nothing is left that could end what is watched"
        name, status, server = self.steps.pop(0)
        if status is None:
            del self.migrations[name]
            del self.servers[f"uuid-{name}"]
        else:
            self.migrations[name]["status"] = status
            self.servers[f"uuid-{name}"].update(server)

    def get(self, path, **query):
        self.asked.append((path, query))
        if self.outage:
            self.outage -= 1
            raise ApiUnreachable(url=self.url, reason="connection refused")
        if path != "/os-migrations":
            uuid = path.removeprefix("/servers/")
            if uuid not in self.servers:
                raise ApiRefused(method="GET", url=path, status=404, reason="not found")
            return {"server": self.servers[uuid]}
        host, marker = query.pop("host", None), query.pop("marker", None)
        found = [
            migration
            for migration in self.migrations.values()
            if all(migration[key] == value for key, value in query.items())
            and host in (None, migration["source_compute"], migration["dest_compute"])
        ]
        begin = next((index + 1 for index, each in enumerate(found) if each["uuid"] == marker), 0)
        page = found[begin : begin + self.page]
        return {"migrations": page} | ({"migrations_links": [{}]} if len(found) > begin + self.page else {})


@pytest.fixture
def cloud():
    return Cloud()


def lines_of(cloud, capsys, host=None):
    watched = Watched(cloud, host)
    follow(watched, LineScreen(), 1.0, cloud.sleep)
    return watched, capsys.readouterr().out.splitlines()


def test_it_ends_when_all_evacuations_have_ended(cloud, capsys):
    cloud.evacuation("web", "accepted")
    cloud.evacuation("db", "pre-migrating", destination="c")
    cloud.ends("web", "pre-migrating")
    cloud.ends("db", "done", status="ACTIVE")
    cloud.ends("web", "done", status="SHUTOFF")

    watched, lines = lines_of(cloud, capsys)

    assert lines == [
        "web a -> b accepted",
        "db a -> c pre-migrating",
        "web a -> b pre-migrating",
        "db a -> c done ACTIVE",
        "web a -> b done SHUTOFF",
    ]
    assert summary(watched.rows.values()) == "2 done, 0 failed"


def test_a_failure_is_told_with_the_reason_that_the_server_shows(cloud, capsys):
    cloud.evacuation("web", "pre-migrating")
    cloud.ends("web", "failed", status="ERROR", fault={"message": "The disk is not there."})

    watched, lines = lines_of(cloud, capsys)

    assert lines[-1] == "web a -> b failed ERROR: The disk is not there."
    assert summary(watched.rows.values()) == "0 done, 1 failed"


def test_an_evacuation_that_begins_meanwhile_is_watched_too(cloud, capsys):
    cloud.evacuation("web", "accepted")
    cloud.evacuation("late", "queued")
    cloud.ends("late", "accepted")
    cloud.ends("web", "completed")
    cloud.ends("late", "error", status="ERROR", fault={"message": "No valid host was found."})

    watched, lines = lines_of(cloud, capsys)

    assert "late a -> b error ERROR: No valid host was found." in lines
    assert summary(watched.rows.values()) == "1 done, 1 failed"


def test_only_evacuations_from_or_to_a_host_are_watched_where_one_is_given(cloud, capsys):
    cloud.evacuation("from", "accepted", source="c")
    cloud.evacuation("to", "accepted", destination="c")
    cloud.evacuation("other", "accepted")
    cloud.ends("from", "done")
    cloud.ends("to", "done")

    watched, _ = lines_of(cloud, capsys, host="c")

    assert {row.name for row in watched.rows.values()} == {"from", "to"}


def test_nothing_running_ends_at_once(cloud, capsys):
    cloud.evacuation("old", "done")
    watched, lines = lines_of(cloud, capsys)
    assert lines == []
    assert summary(watched.rows.values()) == "No evacuation is running."


def test_a_server_that_is_deleted_meanwhile_counts_neither_way(cloud, capsys):
    cloud.evacuation("web", "accepted")
    cloud.ends("web", None)

    watched, lines = lines_of(cloud, capsys)

    assert lines[-1] == "web a -> b server deleted"
    assert summary(watched.rows.values()) == "0 done, 0 failed, 1 of deleted servers"


def test_many_evacuations_are_read_page_by_page(capsys):
    cloud = Cloud(page=2)
    for number in range(7):
        cloud.evacuation(f"s{number}", "accepted")
        cloud.ends(f"s{number}", "done")

    watched, _ = lines_of(cloud, capsys)

    assert summary(watched.rows.values()) == "7 done, 0 failed"


def test_a_server_that_may_not_be_read_is_shown_by_its_id(cloud, capsys):
    cloud.evacuation("web", "accepted")
    cloud.servers.clear()
    cloud.servers["uuid-web"] = {}
    cloud.ends("web", "done")

    _, lines = lines_of(cloud, capsys)

    assert lines == ["uuid-web a -> b accepted", "uuid-web a -> b done"]


def test_a_short_outage_of_the_api_is_waited_out(cloud, capsys):
    cloud.evacuation("web", "accepted")
    watched = Watched(cloud)
    watched.look()
    cloud.ends("web", "done")
    cloud.ends("web", "done")

    slept = count()

    def sleep(seconds):
        cloud.sleep(seconds)
        cloud.outage = watch.PATIENCE - 1 if next(slept) == 0 else cloud.outage

    follow(watched, LineScreen(), 1.0, sleep)

    assert summary(watched.rows.values()) == "1 done, 0 failed"


def test_a_long_outage_ends_it(cloud):
    cloud.evacuation("web", "accepted")
    watched = Watched(cloud)

    def sleep(_seconds):
        cloud.outage = 1

    with pytest.raises(ApiUnreachable):
        follow(watched, LineScreen(), 1.0, sleep)
    assert sum(path == "/os-migrations" for path, _ in cloud.asked) == 2 + watch.PATIENCE


# -- microversions


@pytest.mark.parametrize(("speaks", "spoken"), [("2.104", "2.80"), ("2.80", "2.80"), ("2.59", "2.59"), ("3.0", "2.80")])
def test_it_speaks_what_both_sides_know(cloud, speaks, spoken):
    cloud.speaks = speaks
    negotiate(cloud)
    assert cloud.spoken == spoken


@pytest.mark.parametrize("speaks", ["2.58", "2.1", "", "nonsense"])
def test_a_cloud_that_is_too_old_or_no_cloud_cannot_be_watched(cloud, speaks):
    cloud.speaks = speaks
    with pytest.raises(ApiUnreachable):
        negotiate(cloud)


# -- the command


@pytest.fixture
def run(cloud, monkeypatch):
    """Run the command, with ``cloud`` at the other end."""
    monkeypatch.delenv("OS_ENDPOINT", raising=False)

    def command(*arguments):
        parser = argparse.ArgumentParser()
        watch.add_parser(parser.add_subparsers())
        args = parser.parse_args(["watch", *arguments])
        return args.run(args)

    return command


def test_an_api_that_is_not_there_has_a_status_of_its_own(run, capsys):
    assert run("--url", "http://127.0.0.1:1") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("evacuator watch: http://127.0.0.1:1/v2.1/ does not answer")


def test_endpoint_and_token_come_from_the_environment_of_the_openstack_clients(monkeypatch):
    monkeypatch.setenv("OS_ENDPOINT", "http://cloud.example.org/v2.1")
    monkeypatch.setenv("OS_TOKEN", "secret")
    parser = argparse.ArgumentParser()
    watch.add_parser(parser.add_subparsers())
    args = parser.parse_args(["watch"])
    assert (args.url, args.token, args.interval) == ("http://cloud.example.org/v2.1", "secret", 1.0)


@pytest.mark.parametrize(
    ("token", "environment", "identity"),
    [
        ("secret", {"OS_AUTH_TYPE": "http_basic"}, {"X-Auth-Token": "secret"}),
        (
            None,
            {"OS_AUTH_TYPE": "http_basic", "OS_USERNAME": "anna", "OS_PASSWORD": "secret"},
            {"Authorization": "Basic YW5uYTpzZWNyZXQ="},
        ),
        (None, {"OS_AUTH_TYPE": "none", "OS_USERNAME": "admin"}, {}),
    ],
)
def test_who_asks_is_said_by_a_token_or_as_http_basic_asks(token, environment, identity):
    assert watch.identity(token, environment) == identity


def test_a_configuration_that_cannot_be_read_is_refused_with_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["watch", "--config-file", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("evacuator: ")


@pytest.mark.parametrize("interval", ["0", "-1", "soon"])
def test_an_interval_that_is_none_is_refused(run, capsys, interval):
    with pytest.raises(SystemExit):
        run("--interval", interval)
    assert "usage:" in capsys.readouterr().err


def test_on_a_terminal_it_is_a_table_that_stays_with_how_all_ended():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    row = Row("m", "uuid-web", "web", "a", "b", "failed", "ERROR", "The [bold]disk[/] is not there.")
    with TableScreen(console) as screen:
        screen.show([row])
    shown = out.getvalue()
    for part in ("server", "web", "failed", "ERROR", "The [bold]disk[/] is not there."):
        assert part in shown
