"""What reaches the HTTP server over a socket, and is no request that any application could answer."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from oslo_config import cfg

from evacuator.api.http import BEGUN
from evacuator.cmd import http_server
from evacuator.conf import opts
from tests.functional.conftest import Site

HEAD = b"Host: x\r\nConnection: close\r\n"
GET, POST = b"GET /v2.1/servers HTTP/1.1\r\n" + HEAD, b"POST /v2.1/servers HTTP/1.1\r\n" + HEAD
CHUNKED = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
LIMIT = 114688


def configuration():
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    return conf


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("http"))
    made = http_server.HttpServer(site.app.app, "127.0.0.1", 0, configuration())
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


# -- how old a request may be


class Aging:
    """A server on a clock of its own, whose application answers with how old the request may be.

    ``takes``: what each answer takes, in seconds. If the clock leaps while the server waits, the server stood still.
    """

    def __init__(self):
        self.now = 1000.0
        self.takes = 0.0
        self.looks = 0
        self.server = http_server.HttpServer(self.answer, "127.0.0.1", 0, configuration(), self.clock)

    def clock(self):
        self.looks += 1
        return self.now

    def answer(self, environ, start_response):
        body = str(self.now - environ[BEGUN]).encode()
        self.now += self.takes
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def connect(self):
        host, _, port = self.server.url.removeprefix("http://").rpartition(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def waits(self, connections=0):
        """Return once the server has nothing to do and waits."""
        enough = self.looks + 2 * (1 + connections)
        deadline = time.monotonic() + 20
        while self.looks < enough:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def aging():
    made = Aging()
    made.server.start()
    yield made
    made.server.stop(5)


def age_of_one_sent_on(connection):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        received += connection.recv(65536)
    return float(received.rpartition(b"\r\n")[2])


def test_what_was_sent_to_a_server_that_stood_still_is_as_old_as_that(aging):
    aging.waits()
    aging.now += 3600
    with aging.connect() as connection:
        assert age_of_one_sent_on(connection) == 3600


def test_what_was_sent_on_a_connection_to_a_server_that_stood_still_is_as_old_as_that(aging):
    with aging.connect() as connection:
        assert age_of_one_sent_on(connection) == 0
        aging.waits(connections=1)
        aging.now += 3600
        assert age_of_one_sent_on(connection) == 3600


def test_what_came_between_two_waits_is_as_old_as_the_first():
    """The process may have stood still there, too."""
    now = 1000.0
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inlet = http_server.Inlet(ours, lambda: now, now)
        inlet.wait()
        theirs.sendall(b"POST")
        now += 3600
        inlet.wait()
        inlet.look()
        assert inlet.empty_at == 1000


def test_what_is_sent_once_the_answer_before_it_has_come_is_new_however_long_that_took(aging):
    aging.takes = 100
    with aging.connect() as connection:
        assert [age_of_one_sent_on(connection) for _ in range(20)] == [0] * 20


def test_what_comes_out_of_a_queue_that_always_has_somebody_in_it_is_no_older_than_those_in_front():
    aging = Aging()
    listener = aging.server._server
    with aging.connect():
        for _ in range(listener.adj.backlog + 3):
            aging.now += 1
            with aging.connect():
                listener.handle_accept()
            for channel in list(listener.active_channels.values()):
                channel.handle_close()
    assert aging.now - listener.newest_sent_after == listener.adj.backlog + 2
    aging.server.stop(0)
    listener.close()


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


def test_clients_that_are_connected_and_say_nothing_leave_room_for_others(server):
    """A proxy keeps as many open."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    idle = [socket.create_connection((host, int(port)), timeout=20) for _ in range(150)]
    try:
        assert answer(server, GET + b"\r\n")[0] == 200
    finally:
        for connection in idle:
            connection.close()


# -- files

FEW_FILES = """
import os, resource, sys
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from evacuator.cmd.http_server import HttpServer
from tests.functional.test_http_server import configuration

def application(environ, start_response):
    with open(os.devnull), open(os.devnull), open(os.devnull):
        start_response("200 OK", [("Content-Length", "0")])
    return [b""]

server = HttpServer(application, "127.0.0.1", 0, configuration())
server.start()
print(server.url, flush=True)
sys.stdin.read()
"""


@contextmanager
def a_server_with_few_files(soft, hard):
    """Yield what opens a connection to it, and what tells how many files it has open."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FEW_FILES, str(soft), str(hard)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        host, _, port = process.stdout.readline().strip().removeprefix("http://").rpartition(":")
        try:
            yield (
                lambda: socket.create_connection((host, int(port)), timeout=5),
                lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
            )
        finally:
            process.kill()


def status_on(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return int(connection.recv(65536).split()[1])


#: So many looks without a change say that it takes no more connections, once it has taken so many files.
STEADY, ENOUGH = 6, 100


@contextmanager
def flooded(connect, files):
    """Within this more clients are connected than it may have files, as many of them as it takes."""
    with ExitStack() as closing:
        for _ in range(300):
            closing.enter_context(connect())
        seen, deadline = [], time.monotonic() + 30
        # A machine that is busy may let it accept nothing for a while.
        while len(seen) < STEADY or len(set(seen[-STEADY:])) > 1 or seen[-1] < ENOUGH:
            assert time.monotonic() < deadline, seen
            seen.append(files())
            time.sleep(0.2)
        yield


def test_clients_that_say_nothing_take_no_file_that_the_application_needs():
    with a_server_with_few_files(soft=256, hard=256) as (connect, files), connect() as early:
        assert status_on(early) == 200
        with flooded(connect, files):
            assert status_on(early) == 200
        with connect() as late:
            assert status_on(late) == 200


def test_a_server_takes_more_files_where_it_may_have_them():
    with (
        a_server_with_few_files(soft=256, hard=4096) as (connect, files),
        flooded(connect, files),
        connect() as late,
    ):
        assert status_on(late) == 200
