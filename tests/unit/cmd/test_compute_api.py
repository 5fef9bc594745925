"""The commands' own client, against a server that says what it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from evacuator.cmd.compute_api import ApiRefused, ApiUnreachable, ComputeApi, with_password, with_token


class Handler(BaseHTTPRequestHandler):
    def _answer(self):
        status, body = self.server.answers.pop(0) if self.server.answers else (200, b"{}")
        length = int(self.headers["Content-Length"] or 0)
        asked = {"method": self.command, "path": self.path, "headers": self.headers, "body": self.rfile.read(length)}
        self.server.asked.append(asked)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - what http.server calls them

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_names_its_microversion_and_its_token(server):
    ComputeApi(server.url, "2.80", with_token("secret")).get("/os-migrations", host="a", marker=None)

    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("GET", "/v2.1/os-migrations?host=a")
    assert asked["headers"]["OpenStack-API-Version"] == "compute 2.80"
    assert asked["headers"]["X-Auth-Token"] == "secret"
    assert asked["body"] == b""


def test_who_has_a_password_says_so_as_http_basic_asks(server):
    ComputeApi(server.url, "2.80", with_password("anna", "s:ecret")).get("/os-migrations")

    assert server.asked[0]["headers"]["Authorization"] == "Basic YW5uYTpzOmVjcmV0"


def test_a_proxy_for_the_world_outside_is_not_asked_for_this_machine(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    assert ComputeApi(server.url, "2.80").get("/os-migrations") == {}
    with pytest.raises(ApiUnreachable):
        ComputeApi("http://compute.example.org", "2.80").get("/os-migrations")


def test_bodies_are_json_both_ways(server):
    server.answers.append((202, b'{"server": {"id": "one"}}'))
    assert ComputeApi(server.url, "2.95").post("/servers", {"server": {}}) == {"server": {"id": "one"}}
    assert json.loads(server.asked[0]["body"]) == {"server": {}}
    assert server.asked[0]["headers"]["X-Auth-Token"] is None


def test_an_empty_answer_is_an_empty_object(server):
    server.answers.append((202, b""))
    assert ComputeApi(server.url, "2.95").put("/os-services/x", {}) == {}


@pytest.mark.parametrize("path", ["/v2.1", "/v2.1/", "/compute/v2.1"])
def test_an_endpoint_with_a_path_is_taken_as_it_is(server, path):
    ComputeApi(server.url + path, "2.95").get("/servers")
    assert server.asked[0]["path"] == f"{path.rstrip('/')}/servers"


def test_another_microversion_is_the_same_api_by_the_same_person(server):
    ComputeApi(server.url, "2.95", with_token("secret")).at("2.94").get("/servers")
    assert server.asked[0]["headers"]["OpenStack-API-Version"] == "compute 2.94"
    assert server.asked[0]["headers"]["X-Auth-Token"] == "secret"


def test_the_newest_version_is_asked_for_without_speaking_one(server):
    server.answers.append((200, b'{"version": {"version": "2.88", "min_version": "2.1"}}'))
    assert ComputeApi(server.url, "2.95").newest() == "2.88"
    assert server.asked[0]["headers"]["OpenStack-API-Version"] is None


def test_a_fault_is_told_in_its_own_words(server):
    server.answers.append((409, b'{"conflictingRequest": {"code": 409, "message": "it is being evacuated"}}'))
    with pytest.raises(
        ApiRefused, match=r"POST .*/servers/x/action was answered with status 409: it is being evacuated"
    ):
        ComputeApi(server.url, "2.95").post("/servers/x/action", {})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"fault": 7}'])
def test_a_fault_without_words_is_told_by_its_status(server, body):
    server.answers.append((502, body))
    with pytest.raises(ApiRefused, match="status 502: Bad Gateway"):
        ComputeApi(server.url, "2.95").get("/servers")


def test_an_answer_that_is_not_json_is_not_the_compute_api(server):
    server.answers.append((200, b"<html>It works!</html>"))
    with pytest.raises(ApiUnreachable, match="does not answer as a compute API does"):
        ComputeApi(server.url, "2.95").get("/servers")


def test_nobody_there_is_told_with_the_address():
    with pytest.raises(ApiUnreachable, match=r"http://127\.0\.0\.1:1/v2\.1/servers does not answer.*refused"):
        ComputeApi("http://127.0.0.1:1", "2.95").get("/servers")


@pytest.mark.parametrize("url", ["127.0.0.1:8774", "file:///etc/passwd", "ftp://x/y", ""])
def test_only_http_is_spoken(url):
    with pytest.raises(ApiUnreachable, match="must begin with http"):
        ComputeApi(url, "2.95").get("/servers")
