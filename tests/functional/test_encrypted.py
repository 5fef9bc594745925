"""Starting a server whose disks are encrypted: who may, and what everybody else is told."""

import json
import logging
from dataclasses import replace

import pytest
import webtest
from oslo_config import cfg

from evacuator import errors
from evacuator.api.app import make_app
from evacuator.api.auth.keystone import Keystone
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.keys.manager import Key, KeysOfHypervisors, NoKeys
from tests.functional.conftest import fault
from tests.functional.test_auth import Middleware

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"
PASSPHRASE = b"correct horse battery staple"
TOKEN = "gAAAAB-the-token-of-anna"
START, HARD, SOFT = {"os-start": None}, {"reboot": {"type": "HARD"}}, {"reboot": {"type": "SOFT"}}


class Told:
    """A key manager that answers as it was told to."""

    keeps_keys = True

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def fetch(self, context, key_id):
        self.asked.append((context.user_id, context.project_id, context.auth_token, key_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Key(key_id, self.answer)


@pytest.fixture
def cloud(site):
    """A site that asks Keystone, with a stopped server of project blue whose disk is encrypted on host ``one``."""
    site.add_host("one")
    site.server = site.add_server("one", "stopped", project_id="blue", key_ids=[KEY_ID])
    site.keys = Told(PASSPHRASE)
    serve(site, site.keys)
    return site


def serve(site, keys, role="member,reader"):
    site.engine = replace(site.engine, keys=keys)
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    who = Middleware(HTTP_X_USER_ID="anna", HTTP_X_PROJECT_ID="blue", HTTP_X_ROLES=role)
    app = make_app(site.engine, ApiSettings(), BuiltInImages(), Policy(get_enforcer(conf)), Keystone(who))
    site.app = webtest.TestApp(app)


def ask(site, body, server=None):
    return site.act(server or site.server, body, "2.95", TOKEN)


def running(site):
    site.sql("UPDATE instances SET vm_state = 'active', task_state = NULL, order_id = NULL")


@pytest.mark.parametrize("body", [START, HARD])
def test_its_owner_starts_it_and_the_key_is_asked_for_with_their_token(cloud, body):
    assert ask(cloud, body).status_int == 202
    assert cloud.keys.asked == [("anna", "blue", TOKEN, KEY_ID)]
    assert cloud.casts.sent == [("carry_out_order", "one", cloud.server)]


REFUSALS = [
    (errors.KeyForbidden(key_id=KEY_ID), 403, "forbidden", f"Secret {KEY_ID} opens a disk of this server"),
    (errors.KeyTokenRefused(key_id=KEY_ID), 403, "forbidden", "ask again with a new one"),
    (errors.KeyNotFound(key_id=KEY_ID), 409, "conflictingRequest", f"has no secret {KEY_ID}"),
    (errors.KeyUnusable(key_id=KEY_ID, what="holds nothing"), 409, "conflictingRequest", "holds nothing"),
    (errors.NoTokenForKey(), 409, "conflictingRequest", "[api] auth_strategy = keystone"),
    (errors.KeyManagerSilent(reason="http://inside:9311"), 503, "serviceUnavailable", "try later"),
]


@pytest.mark.parametrize(("refusal", "code", "key", "words"), REFUSALS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("body", [START, HARD, SOFT], ids=["start", "hard", "soft"])
def test_who_does_not_get_the_key_is_told_why_on_the_request_and_nothing_is_written(
    cloud, refusal, code, key, words, body
):
    if body is SOFT:
        running(cloud)
    cloud.keys.answer = refusal
    before = cloud.snapshot()

    told = fault(ask(cloud, body))

    assert told[:2] == (key, code)
    assert words in told[2]
    assert "inside:9311" not in told[2]
    assert cloud.snapshot() == before
    assert cloud.casts.sent == []


def test_an_administrator_is_told_what_the_key_manager_said(cloud):
    serve(cloud, Told(errors.KeyManagerSilent(reason="http://inside:9311 refuses")), role="admin")
    assert "http://inside:9311 refuses" in fault(ask(cloud, START))[2]


def test_without_a_key_manager_it_is_said_where_to_name_one(cloud):
    serve(cloud, NoKeys())
    before = cloud.snapshot()
    key, code, told = fault(ask(cloud, START))
    assert (key, code) == ("conflictingRequest", 409)
    assert "key_source in section [encryption]" in told
    assert cloud.snapshot() == before


def test_where_the_hypervisors_have_the_keys_nobody_is_asked(cloud):
    serve(cloud, KeysOfHypervisors())
    assert ask(cloud, START).status_int == 202


def test_a_server_that_is_not_encrypted_needs_no_key(cloud):
    plain = cloud.add_server("one", "stopped", project_id="blue")
    assert ask(cloud, START, plain).status_int == 202
    assert cloud.keys.asked == []


def test_stopping_deleting_locking_and_resetting_need_no_key(cloud):
    serve(cloud, cloud.keys, role="admin")
    running(cloud)
    for body in ({"lock": None}, {"os-stop": None}, {"os-resetState": {"state": "active"}}):
        assert ask(cloud, body).status_int == 202
    assert cloud.delete(f"/servers/{cloud.server}", token=TOKEN).status_int == 204
    assert cloud.keys.asked == []


@pytest.mark.parametrize("version", ["2.1", "2.94", "2.95"])
def test_to_have_it_evacuated_needs_no_key(cloud, version):
    cloud.add_host("two")
    cloud.force_down("one")
    running(cloud)
    serve(cloud, cloud.keys, role="admin")
    arguments = {"onSharedStorage": True} if version == "2.1" else {}
    assert cloud.evacuate(cloud.server, arguments, version, TOKEN).status_int == 200
    assert cloud.keys.asked == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE services SET forced_down = true", 409),
        ("UPDATE instances SET vm_state = 'active'", 409),
        ("UPDATE instances SET task_state = 'powering-on', order_id = 'req-5'", 409),
        ("UPDATE instances SET locked = true", 409),
        ("UPDATE instances SET project_id = 'red'", 404),
    ],
)
def test_what_is_refused_for_another_reason_is_refused_without_asking_for_the_key(cloud, statement, code):
    cloud.sql(statement)
    assert ask(cloud, START).status_int == code
    assert cloud.keys.asked == []


def test_who_asks_without_a_token_is_told_what_is_needed(site):
    """noauth: what its callers send in place of a token is shown to nobody else."""
    site.add_host("one")
    server = site.add_server("one", "stopped", project_id="blue", key_ids=[KEY_ID])
    told = Told(PASSPHRASE)
    serve_noauth(site, told)
    assert site.act(server, START, token="anna:blue").status_int == 202
    assert told.asked == [("anna", "blue", None, KEY_ID)]


def serve_noauth(site, keys):
    site.engine = replace(site.engine, keys=keys)
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    site.app = webtest.TestApp(make_app(site.engine, ApiSettings(), BuiltInImages(), Policy(get_enforcer(conf))))


def test_each_fetch_is_logged_by_the_secrets_id_and_never_with_what_is_in_it(cloud, caplog):
    caplog.set_level(logging.DEBUG)
    ask(cloud, START)
    cloud.sql("UPDATE instances SET task_state = NULL, order_id = NULL")
    cloud.keys.answer = errors.KeyForbidden(key_id=KEY_ID)
    ask(cloud, START)
    fetched, refused = (record.getMessage() for record in caplog.records if record.name == "evacuator.engine.keys")
    assert fetched.startswith(f"secret {KEY_ID} of instance {cloud.server} was fetched for user anna of project blue")
    assert f"secret {KEY_ID} of instance {cloud.server} was not fetched" in refused
    assert PASSPHRASE.decode() not in caplog.text
    assert TOKEN not in caplog.text


def test_a_server_that_is_off_shows_why_it_was_not_started(cloud):
    notice = {"code": 500, "message": "the owner must start it: b", "details": None, "without_hosts": "ask the owner"}
    cloud.sql("UPDATE instances SET fault = :fault, fault_at = created_at", fault=json.dumps(notice))
    shown = cloud.get(f"/servers/{cloud.server}", "2.95", TOKEN).json["server"]
    assert (shown["status"], shown["fault"]["message"]) == ("SHUTOFF", "ask the owner")
    running(cloud)
    assert "fault" not in cloud.get(f"/servers/{cloud.server}", "2.95", TOKEN).json["server"]
