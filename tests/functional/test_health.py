"""``/healthcheck`` and ``/metrics``: what whoever keeps the process running is told."""

import re

import pytest
from sqlalchemy import create_engine

from evacuator.db import schema


def counted(site, name, **labels):
    """Return one number from the page of metrics; 0 where nothing was counted yet."""
    text = site.ask("GET", "/metrics", status=200).text
    wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
    found = re.search(rf"^{name}{re.escape('{' + wanted + '}') if wanted else ''} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture
def upgraded(site):
    """The site, with a schema that migrations made."""
    site.sql("DROP TABLE IF EXISTS alembic_version")
    site.sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    site.sql("INSERT INTO alembic_version VALUES (:head)", head=schema.head())
    return site


def test_alive_is_ok_for_everybody_whatever_the_database_does(site):
    site.database.engine = create_engine("sqlite:////nowhere/at/all")
    answer = site.ask("GET", "/healthcheck", status=200)
    assert (answer.content_type, answer.text) == ("text/plain", "OK")


def test_ready_with_a_database_that_answers_and_has_the_newest_schema(upgraded):
    answer = upgraded.ask("GET", "/healthcheck?detailed", status=200)
    assert answer.json == {
        "status": "ready",
        "checks": {
            "database": {"ok": True, "says": "answers"},
            "schema": {"ok": True, "says": f"is at {schema.head()}"},
        },
    }


def test_not_ready_with_another_schema(site):
    answer = site.ask("GET", "/healthcheck?detailed", status=503)
    assert answer.json["status"] == "not ready"
    assert answer.json["checks"]["schema"] == {
        "ok": False,
        "says": f"is empty, this program needs {schema.head()}: run `evacuator db upgrade`",
    }


def test_ready_with_the_schema_of_a_later_release_which_is_made_before_its_programs_come(upgraded):
    upgraded.sql("UPDATE alembic_version SET version_num = '0099'")
    answer = upgraded.ask("GET", "/healthcheck?detailed", status=200)
    assert answer.json["status"] == "ready"
    assert answer.json["checks"]["schema"]["says"].endswith(": upgrade the program")


def test_not_ready_without_a_database_of_which_the_log_says_once_why(site, caplog):
    site.database.engine = create_engine("sqlite:////nowhere/at/all")
    for _ in range(2):
        answer = site.ask("GET", "/healthcheck?detailed", status=503)
        assert answer.json["checks"] == {"database": {"ok": False, "says": "DatabaseRefuses"}}
    (line,) = [record for record in caplog.records if record.name == "evacuator.api.resources.health"]
    assert "unable to open database file" in line.getMessage()


def test_metrics_show_what_was_accepted_and_how_every_host_is(outage):
    site = outage.site
    before = counted(site, "evacuator_phase_seconds_count", phase="accept")
    outage.ask()
    site.later(7)
    assert counted(site, "evacuator_phase_seconds_count", phase="accept") == before + 1
    assert counted(site, "evacuator_evacuations_unfinished", status="accepted") == 1
    assert counted(site, "evacuator_heartbeat_age_seconds", host="one") == 7
    assert [counted(site, "evacuator_compute_up", host=host) for host in ("dead", "one")] == [0, 1]


def test_metrics_count_what_the_gate_refuses_and_what_ends_without_a_host(outage):
    site = outage.site
    gate = {"error": "ComputesTooOld"}
    before = counted(site, "evacuator_evacuations_refused_total", **gate)
    ended = counted(site, "evacuator_evacuations_total", outcome="error")
    site.sql("UPDATE services SET version = 1 WHERE host = 'two'")
    assert outage.ask().status_int == 400
    assert counted(site, "evacuator_evacuations_refused_total", **gate) == before + 1
    site.sql("UPDATE compute_nodes SET vcpus = 0")
    assert outage.ask(version="2.94").status_int == 200
    assert counted(site, "evacuator_evacuations_total", outcome="error") == ended + 1


def test_metrics_of_the_process_are_shown_without_a_database_and_those_of_the_site_are_not(outage):
    site = outage.site
    assert "evacuator_compute_up{" in site.ask("GET", "/metrics").text
    site.database._reader = create_engine("sqlite:////nowhere/at/all")
    page = site.ask("GET", "/metrics").text
    assert "evacuator_queue_length" in page
    assert "evacuator_compute_up{" not in page
    assert "evacuator_heartbeat_age_seconds{" not in page
