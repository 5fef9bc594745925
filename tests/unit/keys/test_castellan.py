"""Keys that castellan fetches: its own code, against servers that say what the test has them say."""

import json
import logging
import socket
import threading
import time
import uuid
from binascii import hexlify
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from castellan.common import exception
from castellan.common.objects.opaque_data import OpaqueData
from castellan.common.objects.symmetric_key import SymmetricKey
from oslo_config import cfg

from evacuator import errors
from evacuator.cmd import wiring
from evacuator.conf import opts
from evacuator.context import RequestContext
from evacuator.keys.manager import Key, KeysOfHypervisors, NoKeys
from tests.unit.keys import cabinet

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"
PASSPHRASE = "correct horse battery staple"


def caller(token="a token"):
    return RequestContext(user_id="anna", project_id="blue", auth_token=token, request_id="req-1", overwrite=False)


def made(tmp_path, text, source="castellan"):
    """Return what a configuration file makes."""
    path = tmp_path / "evacuator.conf"
    path.write_text(f"[encryption]\nkey_source = {source}\nkey_timeout = 1\n{text}")
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf(["--config-file", str(path)], project="evacuator", default_config_dirs=[])
    return wiring.keys_of(conf)


@pytest.fixture
def cabinet_of(tmp_path):
    """Return a key manager whose back end is the cabinet, with these secrets in it."""

    def make(**secrets):
        cabinet.SECRETS.clear()
        cabinet.ASKED.clear()
        cabinet.SECRETS[KEY_ID] = secrets.get("it")
        return made(tmp_path, "[key_manager]\nbackend = tests.unit.keys.cabinet.Cabinet\n")

    return make


class Answer(BaseHTTPRequestHandler):
    """Answers with what its server was told to."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("X-Auth-Token") or self.headers.get("X-Vault-Token")))
        status, kind, body = self.server.answers(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_what):
        pass


@contextmanager
def served(answers):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.asked, server.answers = [], answers
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def barbican_at(tmp_path, port):
    return made(tmp_path, f"[barbican]\nbarbican_endpoint = http://127.0.0.1:{port}\n")


#: What Barbican says of itself to everybody.
VERSIONS = {
    "versions": [
        {
            "id": "v1",
            "status": "CURRENT",
            "min_version": "1.0",
            "max_version": "1.2",
            "links": [{"rel": "self", "href": "http://elsewhere.example.org/v1/"}],
        }
    ]
}


def a_secret(path):
    if path == "/":
        return 200, "application/json", json.dumps(VERSIONS).encode()
    if path.endswith("/payload"):
        return 200, "text/plain", PASSPHRASE.encode()
    told = {"secret_ref": f"http://x/v1/secrets/{KEY_ID}", "name": "n", "status": "ACTIVE", "secret_type": "passphrase"}
    return 200, "application/json", json.dumps(told | {"content_types": {"default": "text/plain"}}).encode()


class TestSources:
    def test_who_has_no_key_manager_is_told_where_to_name_one(self, tmp_path):
        keys = made(tmp_path, "", source="none")

        assert isinstance(keys, NoKeys)
        with pytest.raises(errors.NoKeyManager, match=r"key_source in section \[encryption\]"):
            keys.fetch(caller(), KEY_ID)

    def test_where_the_hypervisors_have_the_keys_none_is_fetched(self, tmp_path):
        keys = made(tmp_path, "", source="hypervisors")

        assert isinstance(keys, KeysOfHypervisors)
        assert not keys.keeps_keys

    def test_barbican_has_to_be_somewhere(self, tmp_path):
        with pytest.raises(errors.NotConfigured, match=r"barbican_endpoint in section \[barbican\]"):
            made(tmp_path, "")

    def test_a_back_end_that_there_is_not_is_refused_at_the_start(self, tmp_path):
        with pytest.raises(errors.NotConfigured, match=r"\[key_manager\] backend cannot be used"):
            made(tmp_path, "[key_manager]\nbackend = no.such.BackEnd\n")

    def test_castellan_is_an_extra_and_it_is_said_which(self, tmp_path, monkeypatch):
        monkeypatch.delitem(__import__("sys").modules, "evacuator.keys.castellan", raising=False)
        monkeypatch.setitem(__import__("sys").modules, "castellan.key_manager", None)
        with pytest.raises(errors.NotConfigured, match=r"pip install 'evacuator\[keymanager\]'"):
            made(tmp_path, "")


class TestWhatOpensADisk:
    @pytest.mark.parametrize(
        ("secret", "passphrase"),
        [
            (PASSPHRASE, PASSPHRASE.encode()),
            (b"\x00\xff binary", b"\x00\xff binary"),
            (OpaqueData(b"opaque"), b"opaque"),
            # As the services of OpenStack do with the keys that they make for volumes.
            (SymmetricKey("AES", 256, b"\x01\xab" * 16), hexlify(b"\x01\xab" * 16)),
        ],
    )
    def test_it_is_what_the_secret_holds(self, cabinet_of, secret, passphrase):
        assert cabinet_of(it=secret).fetch(caller(), KEY_ID) == Key(KEY_ID, passphrase)

    def test_nobody_sees_it_who_only_looks_at_the_key(self, cabinet_of):
        key = cabinet_of(it=PASSPHRASE).fetch(caller(), KEY_ID)
        assert PASSPHRASE not in f"{key} {key!r} {[key]} {vars(KeysOfHypervisors())}"
        assert KEY_ID in repr(key)

    @pytest.mark.parametrize("nothing", [b"", ""])
    def test_an_empty_secret_opens_nothing(self, cabinet_of, nothing):
        with pytest.raises(errors.KeyUnusable, match=f"Secret {KEY_ID}.*holds nothing"):
            cabinet_of(it=nothing).fetch(caller(), KEY_ID)

    def test_a_back_end_is_told_who_asks(self, cabinet_of):
        cabinet_of(it=PASSPHRASE).fetch(caller(), KEY_ID)
        assert cabinet.ASKED == [("anna", "blue", "a token")]

    def test_a_back_end_that_is_not_barbican_needs_no_token_of_ours(self, cabinet_of):
        assert cabinet_of(it=PASSPHRASE).fetch(caller(token=None), KEY_ID).passphrase == PASSPHRASE.encode()


class TestRefusals:
    @pytest.mark.parametrize(
        ("raised", "meant", "match"),
        [
            (None, errors.KeyNotFound, f"has no secret {KEY_ID}"),
            (exception.Forbidden(), errors.KeyForbidden, "may not read it"),
            (exception.KeyManagerError(reason="it is on fire"), errors.KeyManagerSilent, "it is on fire"),
            (ConnectionResetError("peer"), errors.KeyManagerSilent, "ConnectionResetError"),
            (UnicodeDecodeError("utf-8", PASSPHRASE.encode(), 0, 1, "no"), errors.KeyUnusable, "not the text"),
        ],
    )
    def test_each_says_what_is_the_matter(self, cabinet_of, raised, meant, match):
        with pytest.raises(meant, match=match) as refused:
            cabinet_of(it=raised).fetch(caller(), KEY_ID)
        assert type(refused.value) is meant

    def test_of_an_error_that_is_not_known_nothing_is_told_that_may_be_the_secret(self, cabinet_of):
        with pytest.raises(errors.KeyManagerSilent) as refused:
            cabinet_of(it=RuntimeError(PASSPHRASE)).fetch(caller(), KEY_ID)
        assert PASSPHRASE not in str(refused.value)
        assert refused.value.__suppress_context__


class TestBarbican:
    @pytest.mark.parametrize(
        ("status", "meant"),
        [
            (401, errors.KeyTokenRefused),
            (403, errors.KeyForbidden),
            (404, errors.KeyNotFound),
            (406, errors.KeyManagerSilent),
            (500, errors.KeyManagerSilent),
            (503, errors.KeyManagerSilent),
        ],
    )
    @pytest.mark.parametrize("part", ["", "/payload"])
    def test_what_it_answers_is_told_in_our_words(self, tmp_path, status, meant, part):
        def answers(path):
            if path == f"/v1/secrets/{KEY_ID}{part}":
                return status, "application/json", b'{"title": "No", "description": "because"}'
            return a_secret(path)

        with served(answers) as server, pytest.raises(meant) as refused:
            barbican_at(tmp_path, server.server_port).fetch(caller(), KEY_ID)
        assert type(refused.value) is meant

    def test_the_token_is_shown_as_it_is_and_to_nobody_else(self, tmp_path):
        with served(a_secret) as server:
            key = barbican_at(tmp_path, server.server_port).fetch(caller(), KEY_ID)
        assert key.passphrase == PASSPHRASE.encode()
        asked = ["/", f"/v1/secrets/{KEY_ID}", f"/v1/secrets/{KEY_ID}/payload"]
        assert server.asked == [(path, "a token") for path in asked]

    @pytest.mark.parametrize("token", [None, ""])
    def test_without_a_token_it_is_not_asked(self, tmp_path, token):
        with served(a_secret) as server, pytest.raises(errors.NoTokenForKey, match="auth_strategy = keystone"):
            barbican_at(tmp_path, server.server_port).fetch(caller(token), KEY_ID)
        assert server.asked == []

    def test_one_that_is_not_there_is_silent(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(errors.KeyManagerSilent, match="Unable to establish connection"):
            barbican_at(tmp_path, port).fetch(caller(), KEY_ID)

    def test_one_that_takes_the_question_and_says_nothing_is_not_waited_for(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            keys = barbican_at(tmp_path, mute.getsockname()[1])
            begun = time.monotonic()
            with pytest.raises(errors.KeyManagerSilent):
                keys.fetch(caller(), KEY_ID)
            assert time.monotonic() - begun < 5
            # And the thread that asked comes back, too.
            deadline = time.monotonic() + 10
            while not keys._lanes._idle and time.monotonic() < deadline:
                time.sleep(0.05)
            assert keys._lanes._idle

    def test_its_answers_are_not_logged_whoever_wants_to_know_everything(self, tmp_path, caplog):
        caplog.set_level(logging.DEBUG)
        for name in ("keystoneauth", "keystoneauth.session", "barbicanclient", "urllib3", "castellan"):
            caplog.set_level(logging.DEBUG, name)
        with served(a_secret) as server:
            barbican_at(tmp_path, server.server_port).fetch(caller("gAAAAtoken"), KEY_ID)
        assert "RESP: [200]" in caplog.text
        assert PASSPHRASE not in caplog.text
        assert "gAAAAtoken" not in caplog.text


def test_vault_is_asked_by_the_ids_that_castellan_gives_there(tmp_path):
    """A version 2 store of keys and values, as Vault answers; no server of it can be had from a package index."""
    stored = {"type": "passphrase", "value": hexlify(PASSPHRASE.encode()).decode(), "name": None, "created": None}

    def answers(path):
        if path == f"/v1/secret/data/{uuid.UUID(KEY_ID).hex}":
            return 200, "application/json", json.dumps({"data": {"data": stored}}).encode()
        return 404, "application/json", b"{}"

    with served(answers) as server:
        keys = made(
            tmp_path,
            f"[key_manager]\nbackend = vault\n[vault]\nvault_url = http://127.0.0.1:{server.server_port}\n"
            "root_token_id = root\n",
        )
        assert keys.fetch(caller(token=None), KEY_ID) == Key(KEY_ID, PASSPHRASE.encode())
        with pytest.raises(errors.KeyNotFound):
            keys.fetch(caller(), str(uuid.uuid4()))
