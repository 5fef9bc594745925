"""Versions: what is asked for, what is answered."""

import io

import pytest
import webtest

from tests.functional.conftest import fault

BOTH = ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"]


def ask(site, **headers):
    return site.get("/os-services", **headers)


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, "2.1"),
        ({"OpenStack-API-Version": "compute 2.95"}, "2.95"),
        ({"OpenStack-API-Version": "COMPUTE 2.53"}, "2.53"),
        ({"OpenStack-API-Version": "compute   2.53 "}, "2.53"),
        ({"OpenStack-API-Version": "compute latest"}, "2.95"),
        ({"OpenStack-API-Version": "identity 3.1, compute 2.10"}, "2.10"),
        ({"OpenStack-API-Version": "compute 2.10, compute 2.11"}, "2.11"),
        ({"OpenStack-API-Version": "nova 2.95"}, "2.1"),
        ({"OpenStack-API-Version": "compute"}, "2.1"),
        ({"OpenStack-API-Version": "2.95"}, "2.1"),
        ({"X-OpenStack-Nova-API-Version": "2.53"}, "2.53"),
        ({"X-OpenStack-Nova-API-Version": " latest "}, "2.95"),
        ({"OpenStack-API-Version": "compute 2.10", "X-OpenStack-Nova-API-Version": "2.53"}, "2.10"),
        ({"OpenStack-API-Version": "nova 2.10", "X-OpenStack-Nova-API-Version": "2.53"}, "2.53"),
    ],
)
def test_a_served_version_is_echoed_in_both_headers(site, headers, version):
    answer = ask(site, **headers)
    assert answer.status_int == 200
    assert answer.headers["OpenStack-API-Version"] == f"compute {version}"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == version
    assert answer.headers.getall("Vary") == BOTH


@pytest.mark.parametrize("version", ["2.0", "1.0", "3.0", "2.96", "2.999"])
def test_a_well_formed_version_outside_the_range_is_not_acceptable_and_echoed(site, version):
    answer = ask(site, **{"OpenStack-API-Version": f"compute {version}"})
    assert fault(answer) == (
        "computeFault",
        406,
        f"Version {version} is not supported by the API. Minimum is 2.1 and maximum is 2.95.",
    )
    assert answer.headers["OpenStack-API-Version"] == f"compute {version}"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == version
    assert answer.headers.getall("Vary") == BOTH
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"


@pytest.mark.parametrize("version", ["abc", "2", "2.01", "v2.1", "LATEST", "2.1.1", "9" * 5000 + ".1", "²2.1"])
def test_a_malformed_version_is_refused_without_version_headers(site, version):
    answer = ask(site, **{"OpenStack-API-Version": f"compute {version}"})
    key, code, message = fault(answer)
    assert (key, code) == ("badRequest", 400)
    assert message.endswith(" is of invalid format. Must be of format MajorNum.MinorNum.")
    assert not {"Vary", *BOTH} & set(answer.headers)


def test_an_empty_older_header_is_malformed(site):
    assert ask(site, **{"X-OpenStack-Nova-API-Version": ""}).status_int == 400


def test_every_answer_below_a_version_has_one_request_id_in_two_headers(site):
    for path in ("/v2.1/os-services", "/v2.1/", "/v2.1/nothing", "/v2/servers"):
        answer = site.ask("GET", path)
        assert answer.headers["x-openstack-request-id"].startswith("req-")
        assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"]


def test_the_root_lists_versions_for_any_method_and_says_nothing_of_microversions(site):
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = site.ask(method, "/", version="9.9")
        assert answer.status_int == 200
        assert [version["id"] for version in answer.json["versions"]] == ["v2.0", "v2.1"]
        assert not {"Vary", "x-openstack-request-id", *BOTH} & set(answer.headers)
    current = answer.json["versions"][1]
    assert (current["min_version"], current["version"], current["status"]) == ("2.1", "2.95", "CURRENT")
    assert current["links"] == [{"rel": "self", "href": "http://localhost:80/v2.1/"}]
    assert "media-types" not in current


@pytest.mark.parametrize("path", ["/v2.1", "/v2.1/", "/v2.1/versions/v2.1", "/v2.1/abc-1/"])
def test_the_version_document_is_the_same_with_and_without_a_slash(site, path):
    answer = site.ask("GET", path)
    assert answer.json["version"]["links"][0] == {"rel": "self", "href": "http://localhost:80/v2.1/"}
    assert answer.headers["OpenStack-API-Version"] == "compute 2.1"
    assert site.ask("GET", path, version="9.9").status_int == 406


def test_a_project_without_a_slash_is_no_address(site):
    assert site.ask("GET", "/v2.1/abc-1").status_int == 404


def test_the_oldest_version_knows_no_microversions(site):
    answer = site.ask("GET", "/v2/os-services", version="2.95")
    assert answer.status_int == 200
    assert not {"Vary", *BOTH} & set(answer.headers)
    for path in ("/v2", "/v2/", "/v2/abc-1/"):
        assert site.ask("GET", path, version="9.9").json["version"]["version"] == ""


@pytest.mark.parametrize("path", ["/", "/v2.1", "/v2.1/"])
def test_head_has_the_length_of_get(site, path):
    answer = site.ask("HEAD", path)
    assert answer.status_int == 200
    assert int(answer.headers["Content-Length"]) == len(site.ask("GET", path).body)


@pytest.mark.parametrize("path", ["/foo", "/v3/servers", "/V2.1/", "/v2.10"])
def test_an_address_without_a_version_is_answered_with_choices(site, path):
    answer = site.ask("GET", path)
    assert answer.status_int == 300
    assert [choice["id"] for choice in answer.json["choices"]] == ["v2.0", "v2.1"]
    assert answer.json["choices"][1]["links"] == [{"rel": "self", "href": f"http://localhost:80/v2.1{path}"}]
    assert not {"Vary", "x-openstack-request-id", *BOTH} & set(answer.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2.1/nothing"),
        ("GET", "/v2.1/servers/"),
        ("GET", "/v2.1/servers.json"),
        ("GET", "/v2.1/not-hex/servers"),
        ("HEAD", "/v2.1/servers"),
        ("HEAD", "/v2.1/versions/v2.1"),
        ("HEAD", "/v2/versions/v2.1"),
        ("PUT", "/v2.1/servers"),
        ("DELETE", "/v2.1/servers"),
        ("GET", "/v2.1/servers/some/action"),
        ("PUT", "/v2.1/servers/some/action"),
        ("POST", "/v2.1/servers/detail"),
        ("GET", "/v2.1/servers/%00"),
        ("GET", "/v2.1/os-services/1"),
    ],
)
def test_what_is_not_routed_is_a_plain_404_whatever_the_version(site, method, path):
    answer = site.ask(method, path, version="nonsense")
    assert answer.status_int == 404
    assert "itemNotFound" not in answer.text
    assert not {"Vary", *BOTH} & set(answer.headers)


def test_what_is_not_routed_is_told_in_the_way_that_is_accepted(site):
    assert site.get("/nothing", Accept="application/json").json == {
        "message": "The resource could not be found.<br /><br />\n\n\n",
        "code": "404 Not Found",
        "title": "Not Found",
    }
    assert site.get("/nothing", Accept="*/*").content_type == "text/html"
    assert site.get("/nothing").content_type == "text/plain"


def test_an_address_that_a_version_does_not_have_is_a_fault(site):
    assert fault(site.get("/servers/some/migrations", "2.22")) == (
        "itemNotFound",
        404,
        "The resource could not be found.",
    )


def test_repeated_slashes_count_as_one(site):
    assert site.ask("GET", "/v2.1//servers").status_int == 200


def test_options_is_answered_with_nothing(site):
    answer = site.ask("OPTIONS", "/v2.1/servers")
    assert (answer.status_int, answer.body) == (200, b"")


@pytest.mark.parametrize(("size", "code"), [(20, 202), (200_000, 413)])
def test_a_body_in_chunks_is_read_where_the_server_says_that_it_ends(site, size, code):
    """Such a server tells no length."""
    server = site.add_server(None)
    request = webtest.TestRequest.blank(f"/v2.1/servers/{server}/action", method="POST")
    request.content_type = "application/json"
    request.environ |= {"wsgi.input": io.BytesIO(b'{"lock": null}'.ljust(size)), "wsgi.input_terminated": True}
    request.content_length = None
    assert site.app.do_request(request, status="*").status_int == code
    assert bool(site.get(f"/servers/{server}", "2.9").json["server"]["locked"]) is (code == 202)


def test_the_project_in_the_address_must_be_the_callers(site):
    assert site.ask("GET", "/v2.1/abc-1/servers", token="user:abc-1").status_int == 200
    assert fault(site.ask("GET", "/v2.1/abc-1/servers", token="admin")) == (
        "badRequest",
        400,
        "Malformed request URL: URL's project_id 'abc-1' doesn't match Context's project_id 'admin'",
    )


def test_links_have_the_project_of_the_address(site):
    site.add_host("one")
    site.add_server("one", project_id="abc-1")
    (server,) = site.ask("GET", "/v2.1/abc-1/servers", token="user:abc-1").json["servers"]
    assert [link["href"] for link in server["links"]] == [
        f"http://localhost:80/v2.1/abc-1/servers/{server['id']}",
        f"http://localhost:80/abc-1/servers/{server['id']}",
    ]
