"""An evacuation does not come to cost more without anybody noticing. On SQLite here, on servers in tests/services."""

import pytest

from tests.performance.site import Site
from tests.performance.story import STARTED, STOPPED, TURNS, costs_of, posted


@pytest.fixture
def site(tmp_path):
    made = Site(f"sqlite:///{tmp_path / 'evacuator.sqlite'}", tmp_path)
    yield made
    made.close()


def test_an_evacuation_that_ends_stopped_costs_sixteen_statements_and_three_commits(site):
    server = site.add_server()
    site.force_down()
    assert costs_of(site, posted(site, server, "2.95")) == STOPPED
    assert site.ask("GET", f"/servers/{server}").json["server"]["status"] == "SHUTOFF"


def test_an_evacuation_that_ends_running_owns_the_instance_first(site):
    server = site.add_server()
    site.force_down()
    assert costs_of(site, posted(site, server, "2.94")) == STARTED
    assert site.ask("GET", f"/servers/{server}").json["server"]["status"] == "ACTIVE"


@pytest.mark.parametrize("path", ["/servers/detail", "/servers", "/os-migrations", "/os-services"])
def test_a_list_costs_as_much_with_four_servers_as_with_one(site, path):
    server = site.add_server()
    one = costs_of(site, lambda: site.ask("GET", path))
    for _ in range(3):
        site.add_server()
    site.force_down()
    site.evacuate(server)
    assert costs_of(site, lambda: site.ask("GET", path)) == one
    assert len(one) <= 2


@pytest.mark.parametrize("turn", TURNS)
def test_a_host_with_nothing_to_do_asks_little(site, turn):
    site.add_server("b")
    assert costs_of(site, getattr(site.casts.managers["b"], turn)) == TURNS[turn]
