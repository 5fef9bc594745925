"""What reaches the HTTP server over a socket, and is no request that any application could answer."""

import json
import os
import socket
import subprocess
import sys

import pytest
from oslo_config import cfg

from evacuator.cmd import http_server
from evacuator.conf import opts
from tests.functional.conftest import Site

HEAD = b"Host: x\r\nConnection: close\r\n"
GET, POST = b"GET /v2.1/servers HTTP/1.1\r\n" + HEAD, b"POST /v2.1/servers HTTP/1.1\r\n" + HEAD
CHUNKED = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
LIMIT = 114688


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("http"))
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    made = http_server.HttpServer(site.app.app, "127.0.0.1", 0, conf)
    made.start()
    yield made
    made.stop(5)
    site.database.close()


def answer(server, raw):
    """Send bytes, and return the status and the body of what comes back."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(raw)
        received = b""
        while b"\r\n\r\n" not in received or len(received) - received.index(b"\r\n\r\n") - 4 < length(received):
            part = connection.recv(65536)
            if not part:
                break
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


def length(received):
    for line in received.partition(b"\r\n\r\n")[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 1 << 30


@pytest.mark.parametrize(
    ("raw", "code", "key"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400, "badRequest"),
        (b"GET\r\n\r\n", 400, "badRequest"),
        (b"get /v2.1/servers HTTP/1.1\r\n\r\n", 400, "badRequest"),
        ("GET /v2.1/servers?name=é HTTP/1.1\r\n\r\n".encode(), 400, "badRequest"),
        (b"GET /v2.1/servers/\xe9 HTTP/1.1\r\n\r\n", 400, "badRequest"),
        (GET + b"no colon\r\n\r\n", 400, "badRequest"),
        (GET + b"X-Auth-Token: a\0b\r\n\r\n", 400, "badRequest"),
        (GET + b"X: " + b"a" * 300000 + b"\r\n\r\n", 431, "computeFault"),
        (POST + b"Content-Length: many\r\n\r\n", 400, "badRequest"),
        (POST + b"Content-Length: -5\r\n\r\n", 400, "badRequest"),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400, "badRequest"),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413, "overLimit"),
        (POST + b"Content-Length: %d\r\n\r\n" % (1 << 29), 413, "overLimit"),
        (POST + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1) + b"a" * (LIMIT + 1), 413, "overLimit"),
        (CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "badRequest"),
        (CHUNKED + b"\r\n40000\r\n" + b"a" * 0x40000 + b"\r\n0\r\n\r\n", 413, "overLimit"),
        (CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n", 400, "badRequest"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "badRequest"),
    ],
)
def test_what_is_no_request_is_refused_like_everything_else(server, raw, code, key):
    status, head, body = answer(server, raw)
    assert status == code, (head, body)
    assert "application/json; charset=UTF-8" in head
    assert list(json.loads(body)) == [key]
    assert json.loads(body)[key]["code"] == code
    assert json.loads(body)[key]["message"]


def test_a_body_that_is_far_too_long_is_refused_before_it_has_come(server):
    # Nothing of it is sent: who waits for it would wait for ever.
    assert answer(server, POST + b"Content-Length: %d\r\n\r\n" % (1 << 29))[0] == 413


def test_a_good_request_is_answered(server):
    status, _, body = answer(server, GET + b"\r\n")
    assert (status, json.loads(body)) == (200, {"servers": []})


# -- where it listens


def resolving_to(*addresses):
    families = {False: socket.AF_INET, True: socket.AF_INET6}
    return lambda *_, **__: [(families[":" in found], socket.SOCK_STREAM, 6, "", (found, 0)) for found in addresses]


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::1", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")])
def test_a_name_that_stands_for_several_addresses_is_served_on_one(addresses):
    with http_server.bound("localhost", 0, resolving_to(*addresses)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_an_application_that_lets_everybody_in_does_not_start_where_nobody_knows_its_address(tmp_path):
    file = tmp_path / "evacuator.conf"

    def load(*lines):
        connection = f"[database]\nconnection = sqlite:///{tmp_path}/site.sqlite\n"
        file.write_text(connection + "\n".join(["[api]", *lines]))
        command = [sys.executable, "-W", "ignore", "-c", "import evacuator.wsgi"]
        environment = {**os.environ, "EVACUATOR_CONFIG_FILE": str(file)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    refused = load()
    assert refused.returncode != 0
    assert "nobody knows on which address the WSGI server listens" in refused.stderr
    assert load("noauth_any_address = true").returncode == 0
