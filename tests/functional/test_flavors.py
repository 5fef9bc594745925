"""Flavors as operators make and change them."""

import pytest

from tests.functional.conftest import fault

WANTED = {"name": "big", "ram": 1024, "vcpus": "2", "disk": 10}


def make(site, version=None, token=None, **values):
    return site.post("/flavors", {"flavor": WANTED | values}, version, token)


def test_a_flavor_is_made_as_the_command_line_client_asks_for_it(site):
    wanted = {"id": None, "swap": 0, "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": True}
    answer = make(site, "2.61", **wanted)
    made = answer.json["flavor"]
    assert (answer.status_int, made["ram"], made["vcpus"], made["swap"]) == (200, 1024, 2, "")
    assert site.get(f"/flavors/{made['id']}", "2.61").json["flavor"] == made
    assert made["extra_specs"] == {}


def test_a_link_to_a_flavor_with_a_blank_in_its_id_leads_to_it(site):
    body = {"flavor": {"name": "wide", "id": "wide one", "ram": 1, "vcpus": 1, "disk": 0}}
    made = site.post("/flavors", body).json["flavor"]
    assert [link["href"].rpartition("/flavors/")[2] for link in made["links"]] == ["wide%20one"] * 2
    assert site.get("/flavors/wide%20one").json["flavor"]["id"] == "wide one"


def test_its_own_id_is_kept_and_auto_asks_for_a_new_one(site):
    assert make(site, id="x.large").json["flavor"]["id"] == "x.large"
    assert len(make(site, name="other", id="auto").json["flavor"]["id"]) == 36


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("sort_key=name", "m1.large"),
        ("sort_dir=desc", "m1.xlarge"),
        ("sort_key=memory_mb&sort_dir=desc", "m1.xlarge"),
        # PostgreSQL has no order for it.
        ("sort_key=extra_specs", "m1.tiny"),
    ],
)
def test_flavors_are_sorted_upwards_unless_told_otherwise_and_by_their_ids_unless_told_by_what(site, query, first):
    answer = site.get(f"/flavors?{query}")
    assert (answer.status_int, answer.json["flavors"][0]["name"]) == (200, first)


def test_an_id_may_be_a_number(site):
    assert make(site, id=1234).json["flavor"]["id"] == "1234"
    assert site.get("/flavors/1234").status_int == 200


@pytest.mark.parametrize("values", [{"name": "m1.tiny"}, {"id": "1"}, {"id": 1}])
def test_a_name_and_an_id_are_taken_once(site, values):
    refused = fault(make(site, **values))
    assert refused[:2] == ("conflictingRequest", 409)
    assert "already exists" in refused[2]


@pytest.mark.parametrize(
    "values",
    [
        {"ram": 0}, {"ram": -1}, {"ram": 2**31}, {"ram": "9999999999"}, {"vcpus": 0}, {"vcpus": "0"}, {"vcpus": 1.5},
        {"disk": -1}, {"swap": "x"}, {"name": ""}, {"name": None}, {"id": " x"}, {"id": "x" * 256}, {"id": "a/b"},
        {"id": -1}, {"id": 1.5}, {"id": 10**400}, {"id": True},
        {"rxtx_factor": -1}, {"rxtx_factor": "1e9"}, {"os-flavor-access:is_public": 1}, {"nonsense": 1},
        {"description": "from 2.55 on"},
    ],
)  # fmt: skip
def test_a_flavor_that_cannot_be_is_refused(site, values):
    assert fault(make(site, "2.54", **values))[:2] == ("badRequest", 400)


def test_it_is_described_from_2_55_on(site):
    assert make(site, "2.55", id="big", description="large").json["flavor"]["description"] == "large"
    changed = site.put("/flavors/big", {"flavor": {"description": None}}, "2.55").json["flavor"]
    assert changed["description"] is None
    assert site.put("/flavors/big", {"flavor": {"description": "x"}}, "2.54").status_int == 404
    assert fault(site.put("/flavors/none", {"flavor": {"description": "x"}}, "2.55"))[1] == 404


def test_a_deleted_flavor_is_gone_and_its_servers_keep_what_it_was(site):
    site.add_host("one")
    make(site, id="big")
    created = site.post("/servers", {"server": {"name": "web", "flavorRef": "big", "imageRef": ""}}).json["server"]
    answer = site.delete("/flavors/big")
    assert (answer.status_int, answer.body) == (202, b"")
    assert fault(site.delete("/flavors/big"))[1] == 404
    assert site.get(f"/servers/{created['id']}", "2.47").json["server"]["flavor"]["original_name"] == "big"


def test_extra_specs_are_added_changed_and_taken_away(site):
    path = "/flavors/1/os-extra_specs"
    added = {"extra_specs": {"hw:a": "1", "b": 2}}
    assert site.post(path, added).json == {"extra_specs": {"hw:a": "1", "b": "2"}}
    assert site.put(f"{path}/b", {"b": "3"}).json == {"b": "3"}
    assert site.get(path).json == {"extra_specs": {"hw:a": "1", "b": "3"}}
    assert site.get(f"{path}/hw:a").json == {"hw:a": "1"}
    assert site.delete(f"{path}/b").status_int == 200
    assert fault(site.delete(f"{path}/b"))[2] == "Flavor 1 has no extra specs with key b."
    assert fault(site.put(f"{path}/b", {"c": "3"}))[:2] == ("badRequest", 400)
    for body in ({"extra_specs": {"": "x"}}, {"extra_specs": {"a/b": "x"}}, {"extra_specs": {"a": "x" * 256}}, {}):
        assert fault(site.post(path, body))[:2] == ("badRequest", 400)


def test_members_look_and_do_not_touch(site):
    assert make(site, token="user:project").status_int == 403
    assert site.delete("/flavors/1", token="user:project").status_int == 403
    assert site.post("/flavors/1/os-extra_specs", {"extra_specs": {"a": "b"}}, token="user:project").status_int == 403
    assert site.get("/flavors/1/os-extra_specs", token="user:project").status_int == 200


def test_a_flavor_that_is_not_public_exists_for_administrators_only(site):
    site.add_host("one")
    make(site, id="priv", **{"os-flavor-access:is_public": False})
    site.post("/flavors/priv/os-extra_specs", {"extra_specs": {"hw:a": "1"}})
    paths = ("/flavors/priv", "/flavors/priv/os-extra_specs", "/flavors/priv/os-extra_specs/hw:a")
    for path in paths:
        refused = fault(site.get(path, token="user:project"))
        assert refused == ("itemNotFound", 404, "Flavor priv could not be found.")
    wanted = {"server": {"name": "web", "flavorRef": "priv", "imageRef": ""}}
    refused = fault(site.post("/servers", wanted, token="user:project"))
    assert refused == ("badRequest", 400, "Flavor priv could not be found.")
    assert fault(site.get("/flavors?marker=priv", token="user:project"))[2] == "marker [priv] not found"
    assert {site.get(path).status_int for path in (*paths, "/flavors?marker=priv")} == {200}
    assert site.post("/servers", wanted).status_int == 202
