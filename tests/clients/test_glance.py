"""Images of a real Glance: shown, and made servers of, to whom Glance lets have them."""

import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import openstack.connection
import pytest
from keystoneauth1.token_endpoint import Token
from oslo_config import cfg

from evacuator.api.errors import Forbidden
from evacuator.api.glance_images import GlanceImages
from evacuator.conf import opts
from evacuator.context import RequestContext
from evacuator.errors import ImagesUnavailable, NotConfigured
from tests.acceptance.site import Site
from tests.clients.commands import openstack_at
from tests.cloud.glance_server import Glance
from tests.cloud.keystone_server import PASSWORD

WITH_TOKENS = """
[api]
auth_strategy = keystone
[keystone_authtoken]
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = evacuator
password = {password}
project_name = services
user_domain_id = default
project_domain_id = default
[glance]
enabled = true
valid_interfaces = public
"""

AS_ONE_USER = """
[glance]
enabled = true
valid_interfaces = public
timeout = 3
auth_url = {url}
auth_type = password
username = lens
password = {password}
project_name = services
user_domain_id = default
project_domain_id = default
"""

CONTENT = b"not much of a system" * 1000


@pytest.fixture(scope="module")
def glance(keystone, tmp_path_factory):
    made = Glance(tmp_path_factory.mktemp("glance"), keystone)
    try:
        made.start()
        admin, anna = keystone.token("admin", "admin"), keystone.token_of("anna")
        made.images = {
            "public": made.add(admin, "public", CONTENT, visibility="public", tags=["good"]),
            "huge": made.add(admin, "huge", CONTENT, visibility="public", min_disk=50),
            "hungry": made.add(admin, "hungry", CONTENT, visibility="public", min_ram=4096),
            "blue": made.add(anna, "blue", CONTENT),
            "queued": made.add(anna, "queued"),
        }
        yield made
    finally:
        made.stop()


@contextmanager
def a_site(directory, more) -> Iterator[Site]:
    site = Site(directory / "state", hosts="a,b", down_time=3, more=more)
    try:
        site.start()
        yield site
    finally:
        site.kill()


def names(answer):
    assert answer.status == 200, answer
    return sorted(image["name"] for image in answer.body["images"])


def create(site, image, token="admin", flavor="1"):
    body = {"name": "web", "flavorRef": flavor, "imageRef": image, "networks": "none"}
    return site.request("POST", "/servers", {"server": body}, "2.95", token)


def sentence(answer):
    ((_, fault),) = answer.body.items()
    assert fault["code"] == answer.status
    return fault["message"]


# -- where callers have tokens, Glance is asked with theirs


@pytest.fixture(scope="module")
def cloud(keystone, glance, tmp_path_factory):
    more = WITH_TOKENS.format(url=keystone.url, password=PASSWORD)
    with a_site(tmp_path_factory.mktemp("cloud"), more) as site:
        site.admin = keystone.token("admin", "admin")
        site.anna, site.bert = keystone.token_of("anna"), keystone.token_of("bert")
        yield site


def test_everybody_is_shown_the_images_that_glance_shows_them(cloud, glance):
    everybodys = ["huge", "hungry", "public"]
    assert names(cloud.request("GET", "/images", token=cloud.anna)) == sorted([*everybodys, "blue", "queued"])
    assert names(cloud.request("GET", "/images", token=cloud.bert)) == everybodys
    blue = f"/images/{glance.images['blue']}"
    assert cloud.request("GET", blue, token=cloud.anna).body["name"] == "blue"
    assert cloud.request("GET", blue, token=cloud.bert).status == 404


def test_an_image_is_shown_as_glance_shows_it(cloud, glance):
    image = glance.images["public"]
    told = glance.ask("GET", f"/v2/images/{image}", token=cloud.anna).json
    shown = cloud.request("GET", f"/images/{image}", token=cloud.anna).body
    assert shown == {key: told[key] for key in shown}
    assert (shown["name"], shown["id"], shown["size"], shown["disk_format"]) == ("public", image, len(CONTENT), "raw")
    assert shown["checksum"] == hashlib.md5(CONTENT).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(CONTENT).hexdigest()


def test_images_are_listed_by_what_they_are_and_in_pages(cloud):
    def listed(query):
        return names(cloud.request("GET", f"/images?{query}", token=cloud.anna))

    assert listed("name=blue") == listed("visibility=shared&status=active") == ["blue"]
    assert listed("tag=good") == ["public"]
    assert listed("name=nobody") == []
    first = cloud.request("GET", "/images?limit=2", token=cloud.anna).body["images"]
    second = cloud.request("GET", f"/images?limit=9&marker={first[-1]['id']}", token=cloud.anna).body["images"]
    assert (len(first), len(second)) == (2, 3)
    assert cloud.request("GET", "/images?marker=nowhere", token=cloud.anna).status == 400


def test_a_server_is_made_of_an_image_that_its_owner_may_use(cloud, glance):
    answer = create(cloud, glance.images["blue"], cloud.anna)
    assert answer.status == 202, answer
    refused = create(cloud, glance.images["blue"], cloud.bert)
    assert (refused.status, sentence(refused)) == (400, "Can not find requested image")
    unknown = create(cloud, "11111111-1111-4111-8111-111111111111", cloud.anna)
    assert (unknown.status, sentence(unknown)) == (400, "Can not find requested image")


def test_an_image_that_has_no_content_yet_makes_no_server(cloud, glance):
    refused = create(cloud, glance.images["queued"], cloud.anna)
    assert (refused.status, sentence(refused)) == (400, f"Image {glance.images['queued']} is not active.")


@pytest.mark.parametrize(
    ("image", "flavor", "complaint"),
    [
        ("huge", "1", "Flavor's disk is too small for requested image"),
        ("hungry", "1", "Flavor's memory is too small for requested image"),
        ("huge", "4", None),
        ("hungry", "3", None),
    ],
)
def test_a_flavor_has_what_the_image_needs(cloud, glance, image, flavor, complaint):
    answer = create(cloud, glance.images[image], cloud.anna, flavor)
    if complaint is None:
        assert answer.status == 202, answer
    else:
        assert answer.status == 400
        assert sentence(answer).startswith(complaint)


@pytest.mark.parametrize(
    "name", ["..", "..%2Fimages", "%2e%2e", "a%3Fb", "x" * 300, "%F0%9F%92%A5", "11111111-1111-4111-8111-11111111111g"]
)
def test_what_is_no_id_of_an_image_never_reaches_glance(cloud, name):
    assert cloud.request("GET", f"/images/{name}", token=cloud.anna).status == 404


@pytest.mark.filterwarnings("ignore")  # what the SDK leaves open
@pytest.mark.parametrize("path", ["", "/"])
def test_its_address_may_be_configured(cloud, glance, tmp_path, path):
    conf = configured(tmp_path, f"endpoint_override = {glance.url}{path}")
    conf.set_override("auth_strategy", "keystone", "api")
    caller = caller_with(cloud.anna, "http://127.0.0.1:9/not-used")
    images = GlanceImages.from_conf(conf)
    assert len(images.list(caller)) == 5
    assert images.get(caller, glance.images["blue"])["name"] == "blue"


# -- where they have none, it is asked as one user


@pytest.fixture(scope="module")
def site(keystone, glance, tmp_path_factory):
    more = AS_ONE_USER.format(url=keystone.url, password=PASSWORD)
    with a_site(tmp_path_factory.mktemp("site"), more) as made:
        yield made


def test_without_tokens_everybody_is_shown_what_the_one_user_sees(site, glance):
    for token in ("admin", "ann:blue"):
        assert names(site.request("GET", "/images", token=token)) == ["huge", "hungry", "public"]
        assert site.request("GET", f"/images/{glance.images['blue']}", token=token).status == 404


def test_the_openstack_client_makes_a_server_of_an_image_by_its_name(site, glance):
    openstack = openstack_at(site.url)
    image = glance.images["public"]
    assert {row["Name"] for row in openstack.json("image", "list")} == {"huge", "hungry", "public"}
    assert [row["Name"] for row in openstack.json("image", "list", "--tag", "good", "--limit", "1")] == ["public"]
    assert openstack.json("image", "show", "public")["checksum"] == hashlib.md5(CONTENT).hexdigest()
    create = ("server", "create", "--image", "public", "--flavor", "m1.tiny", "--nic", "none", "--wait", "by-name")
    assert openstack.json(*create)["image"] == f"public ({image})"
    openstack.do("server", "delete", "--wait", "by-name")


def test_while_glance_is_away_it_is_said_and_evacuations_go_on(site, glance):
    server = create(site, glance.images["public"]).body["server"]["id"]
    host = site.settled(server)[0]["OS-EXT-SRV-ATTR:host"]
    glance.kill()
    try:
        for answer in (
            site.request("GET", "/images"),
            site.request("GET", f"/images/{glance.images['public']}"),
            create(site, glance.images["public"]),
        ):
            assert answer.status == 503
            assert list(answer.body) == ["serviceUnavailable"]
            assert sentence(answer).startswith("The image service does not answer as it should")
        site.mains(host, "off")
        site.force_down(host)
        assert site.action(server, {"evacuate": {}}).status == 200
        assert site.settled(server)[0]["status"] == "SHUTOFF"
    finally:
        glance.serve()
    assert names(site.request("GET", "/images")) == ["huge", "hungry", "public"]


# -- what may stand in its place


def configured(directory, *lines):
    file = directory / "evacuator.conf"
    file.write_text("\n".join(["[glance]", "enabled = true", *lines]))
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project="evacuator", default_config_files=[str(file)], default_config_dirs=[])
    return conf


def test_without_tokens_and_without_a_user_it_does_not_start(tmp_path):
    with pytest.raises(NotConfigured, match="auth_type"):
        GlanceImages.from_conf(configured(tmp_path))
    site = Site(tmp_path / "state", more="[glance]\nenabled = true\n")
    started = ("--state-dir", str(tmp_path / "state"), "--hosts", "a", "--config-file", str(site._config))
    refused = site.run("all-in-one", *started, "--port", "0")
    assert refused.returncode == 1
    assert "set auth_type, auth_url, username, password" in refused.stderr


ANYBODY = RequestContext(user_id="u", project_id="p", request_id="req-1")
IMAGE = "11111111-1111-4111-8111-111111111111"


class Impostor(http.server.BaseHTTPRequestHandler):
    """Answers everything in the same way, on connections that stay open."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        self.server.connections += 1
        super().setup()

    def do_GET(self):
        status, body, delay = self.server.answers.get(self.path, self.server.answer)
        time.sleep(delay)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def impostor():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *_: None  # a client that waits no longer is no error of it
        server.answers, server.connections, server.url = {}, 0, f"http://127.0.0.1:{server.server_address[1]}/v2"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.filterwarnings("ignore")  # what the SDK leaves open
@pytest.mark.parametrize(
    ("status", "body", "delay"),
    [
        (200, b"", 0),
        (200, b"<html>", 0),
        (200, b"{}", 0),
        (200, b'{"images": [{"name": "no id"}]}', 0),
        (200, b'{"id": "another", "status": "active"}', 0),
        (200, b'{"versions": []}', 0),
        (401, b"{}", 0),
        (403, b"{}", 0),
        (500, b"{}", 0),
        (503, b"busy", 0),
        (200, b"{}", 5),
    ],
)
def test_whatever_answers_in_its_place_is_not_taken_for_it(impostor, tmp_path, status, body, delay):
    impostor.answer = status, body, delay
    place = f"endpoint_override = {impostor.url}"
    images = GlanceImages.from_conf(configured(tmp_path, "auth_type = none", place, "timeout = 1"))
    started = time.monotonic()
    with pytest.raises(ImagesUnavailable, match="more under req-1"):
        images.list(ANYBODY)
    with pytest.raises(ImagesUnavailable):
        images.get(ANYBODY, IMAGE)
    assert time.monotonic() - started < 20


def asked_with_tokens(impostor, directory):
    """Let the impostor pass for an image service as far as versions go, and return what asks it."""
    links = [{"rel": "self", "href": impostor.url}]
    versions = json.dumps({"versions": [{"id": "v2.9", "status": "CURRENT", "links": links}]}).encode()
    impostor.answers["/v2"] = 300, versions, 0
    conf = configured(directory, f"endpoint_override = {impostor.url}")
    conf.set_override("auth_strategy", "keystone", "api")
    return GlanceImages.from_conf(conf)


def caller_with(token, url):
    caller = RequestContext(user_id="u", project_id="p", request_id="req-1")
    caller.token_auth = Token(url, token)
    return caller


@pytest.mark.filterwarnings("ignore")
def test_callers_with_tokens_of_their_own_share_the_connections(impostor, tmp_path):
    images = asked_with_tokens(impostor, tmp_path)
    impostor.answer = 200, b'{"images": []}', 0
    for number in range(20):
        assert images.list(caller_with(f"token {number}", impostor.url)) == []
    assert impostor.connections == 1


@pytest.fixture
def connections(monkeypatch):
    """Each connection that the SDK makes, and whether it was closed."""
    made = {}

    class Counted(openstack.connection.Connection):
        def __init__(self, *args, **kwargs):
            made[self] = False
            super().__init__(*args, **kwargs)

        def close(self):
            made[self] = True
            super().close()

    monkeypatch.setattr(openstack.connection, "Connection", Counted)
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_what_was_opened_with_a_callers_token_is_closed_however_it_was_answered(
    impostor, tmp_path, connections, status
):
    images = asked_with_tokens(impostor, tmp_path)
    impostor.answer = status, b'{"images": []}', 0
    for _ in range(2):
        with suppress(Forbidden, ImagesUnavailable):
            images.list(caller_with("a token", impostor.url))
    assert list(connections.values()) == [True, True]


@pytest.mark.filterwarnings("ignore")
def test_the_one_users_connection_stays_open(impostor, tmp_path, connections):
    place = f"endpoint_override = {impostor.url}"
    images = GlanceImages.from_conf(configured(tmp_path, "auth_type = none", place))
    impostor.answer = 200, b'{"images": []}', 0
    for _ in range(2):
        with suppress(ImagesUnavailable):
            images.list(ANYBODY)
    assert list(connections.values()) == [False]
    for connection in connections:
        connection.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_only_we_accept_is_the_callers_to_mend(impostor, tmp_path, status):
    images = asked_with_tokens(impostor, tmp_path)
    impostor.answer = status, b"{}", 0
    caller = caller_with("just expired", impostor.url)
    with pytest.raises(Forbidden, match="Ask Keystone for a new one"):
        images.list(caller)
    with pytest.raises(Forbidden):
        images.get(caller, IMAGE)


def test_a_user_that_is_only_half_described_is_refused(tmp_path):
    with pytest.raises(NotConfigured, match=r"\[glance\] cannot be used: .*auth_url"):
        GlanceImages.from_conf(configured(tmp_path, "auth_type = password", "username = lens"))
