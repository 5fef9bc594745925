"""A clock that is set back: SQLite's is this machine's, and a server may be replaced by one that is behind."""

import pytest

from tests.functional.conftest import Site, fault


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    for host in ("dead", "one"):
        made.add_host(host)
    return made


def keep_beating(site, seconds):
    for _ in range(seconds // 10):
        site.later(10)
        site.beat("one")


def test_who_was_heard_all_the_while_is_a_witness_again_a_down_time_after_the_clock_was_set_back(site):
    keep_beating(site, 30)
    site.later(-3600)
    site.beat("one")
    site.beat("dead")
    server = site.add_server("dead")
    keep_beating(site, 70)
    assert site.evacuate(server).status_int == 200


def test_a_heartbeat_from_the_future_is_no_silence(site):
    keep_beating(site, 30)
    site.beat("dead")
    server = site.add_server("dead")
    site.later(-3600)
    keep_beating(site, 70)
    answer = site.evacuate(server)
    assert fault(answer)[:2] == ("badRequest", 400)
