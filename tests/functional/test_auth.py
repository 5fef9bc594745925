"""Who asks, with each strategy but a real Keystone, which tests/clients has."""

import base64
import logging
import sys

import bcrypt
import pytest
import webtest
from oslo_config import cfg

from evacuator.api.app import make_app
from evacuator.api.auth import authenticator_of, http_basic
from evacuator.api.auth.keystone import Keystone
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.cmd.serving import check_address
from evacuator.conf import opts
from evacuator.errors import NotConfigured
from tests.functional.conftest import fault

SENTENCE = "The request you have made requires authentication."

#: The password "open sesame", in the version of bcrypt that `htpasswd -B` writes.
HTPASSWD = "$2y$04$xR42OqyoJ5ajwlIHBWXmWOd0PEsW5hHJeV1HGISJsHktlILTbKKvi"


def hashed(password, prefix=b"2b"):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix)).decode()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def configured(**values):
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        conf.set_override(name, value, group="api")
    return conf


def serve(site, authenticate):
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    policy = Policy(get_enforcer(conf))
    site.app = webtest.TestApp(make_app(site.engine, ApiSettings(), BuiltInImages(), policy, authenticate))


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "htpasswd"
    path.write_text(f"# who may come in\n\nanna:{hashed('right')}\nbert:{hashed('également')}\n")
    return path


@pytest.fixture
def projects(tmp_path):
    path = tmp_path / "projects"
    path.write_text("anna:blue:admin\nbert:red:reader\n")
    return path


def serve_basic(site, users, projects=None):
    conf = configured(
        auth_strategy="http_basic",
        http_basic_auth_user_file=str(users),
        http_basic_projects_file=projects and str(projects),
    )
    serve(site, authenticator_of(conf))


def as_user(site, user, password, path="/servers", **headers):
    return site.get(path, Authorization=basic(user, password), **headers)


# -- http_basic: passwords


def test_whoever_knows_the_password_is_an_administrator_unless_another_file_says_otherwise(site, users):
    serve_basic(site, users)
    assert as_user(site, "anna", "right", "/os-services").status_int == 200
    assert as_user(site, "bert", "également", "/os-services").status_int == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YW5uYQ==",
        "Basic /////w==",
        basic("anna", "wrong"),
        basic("anna", ""),
        basic("anna", "right "),
        basic("anna", "right\0"),
        basic("anna", "x" * 100),
        basic("Anna", "right"),
        basic("nobody", "right"),
        basic("", ""),
        basic("anna", "right").replace("Basic", "Bearer"),
    ],
)
def test_whoever_does_not_know_it_is_told_how_to_come_in_and_nothing_else(site, users, header):
    serve_basic(site, users)
    answer = site.get("/servers", **({} if header is None else {"Authorization": header}))
    assert answer.status_int == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Evacuator", charset="UTF-8"'
    assert answer.json == {"error": {"code": 401, "title": "Unauthorized", "message": SENTENCE}}
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_a_token_is_no_password(site, users):
    serve_basic(site, users)
    assert site.get("/servers", token="admin").status_int == 401


@pytest.mark.parametrize("path", ["/", "/v2.1", "/v2.1/", "/v2", "/v2/"])
def test_the_documents_on_versions_are_for_everybody(site, users, path):
    serve_basic(site, users)
    assert site.ask("GET", path).status_int == 200


def test_what_htpasswd_writes_is_understood(site, tmp_path):
    path = tmp_path / "users"
    path.write_text(f"anna:{hashed('open sesame', b'2a')}\nbert:{HTPASSWD}\n")
    serve_basic(site, path)
    assert as_user(site, "anna", "open sesame").status_int == 200
    assert as_user(site, "bert", "open sesame").status_int == 200
    assert as_user(site, "bert", "open sesamE").status_int == 401


def test_of_a_long_password_as_much_counts_as_bcrypt_looks_at(site, tmp_path):
    path = tmp_path / "users"
    path.write_text(f"anna:{hashed('x' * 72)}\n")
    serve_basic(site, path)
    assert as_user(site, "anna", "x" * 100).status_int == 200
    assert as_user(site, "anna", "x" * 71).status_int == 401


def test_a_password_may_have_colons(site, tmp_path):
    path = tmp_path / "users"
    path.write_text(f"anna:{hashed('a:b:c')}\n")
    serve_basic(site, path)
    assert as_user(site, "anna", "a:b:c").status_int == 200


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def test_a_changed_file_counts_from_the_next_request_on(site, users):
    serve_basic(site, users)
    assert as_user(site, "anna", "right").status_int == 200
    replace(users, f"anna:{hashed('new')}\n")
    assert as_user(site, "anna", "right").status_int == 401
    assert as_user(site, "anna", "new").status_int == 200
    assert as_user(site, "bert", "également").status_int == 401


@pytest.mark.parametrize("broken", ["anna:{SHA}xyz\n", "anna\n", "", "# nobody\n", "anna:$2y$05$cut off"])
def test_a_change_that_makes_no_sense_is_logged_and_changes_nothing(site, users, caplog, broken):
    serve_basic(site, users)
    replace(users, broken)
    assert as_user(site, "anna", "right").status_int == 200
    assert as_user(site, "anna", "right").status_int == 200
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert str(users) in told
    users.unlink()
    assert as_user(site, "anna", "right").status_int == 200


def test_a_wrong_password_is_logged_with_the_user_and_never_with_the_password(site, users, caplog):
    serve_basic(site, users)
    as_user(site, "mal\nory", "let me in")
    (told,) = [record.getMessage() for record in caplog.records if record.name == http_basic.__name__]
    assert r"mal\nory" in told
    assert "let me in" not in caplog.text


def test_bcrypt_is_asked_as_often_for_nobody_as_for_somebody_and_once_for_the_right_password(site, users, monkeypatch):
    serve_basic(site, users)
    asked = []
    real = bcrypt.checkpw
    monkeypatch.setattr(http_basic.bcrypt, "checkpw", lambda given, stored: asked.append(stored) or real(given, stored))
    as_user(site, "nobody", "wrong")
    as_user(site, "anna", "wrong")
    assert len(asked) == 2
    assert {stored[:7] for stored in asked} == {b"$2b$04$"}
    for _ in range(3):
        assert as_user(site, "anna", "right").status_int == 200
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("", "has no users"),
        ("anna:$apr1$fi1PQwQF$uHGnW8rZDDzzBnw1z0c7K/\n", "line 1: the password of user anna is not hashed with bcrypt"),
        ("anna:plain\n", "not hashed with bcrypt"),
        ("anna\n", "not hashed with bcrypt"),
        (":x\n", "cannot be the name of a user"),
        (f"anna:{HTPASSWD}\nanna:{HTPASSWD}\n", "line 2: user anna is there a second time"),
    ],
)
def test_a_file_of_users_that_makes_no_sense_is_refused_at_the_start(tmp_path, content, told):
    path = tmp_path / "users"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NotConfigured, match=told) as refused:
        authenticator_of(configured(auth_strategy="http_basic", http_basic_auth_user_file=str(path)))
    assert str(path) in str(refused.value)
    assert HTPASSWD not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused_at_the_start(users):
    with pytest.raises(NotConfigured, match=r"cannot be read: .*Is a directory"):
        http_basic.read_passwords(users.parent)


# -- http_basic: projects and roles


def test_projects_and_roles_are_those_of_the_second_file(outage, users, projects):
    site = outage.site
    serve_basic(site, users, projects)
    theirs = site.add_server(host="one", project_id="red")
    assert as_user(site, "anna", "right", "/os-services").status_int == 200
    refused = as_user(site, "bert", "également", "/os-services")
    assert fault(refused) == (
        "forbidden",
        403,
        "Policy doesn't allow os_compute_api:os-services:list to be performed.",
    )
    shown = as_user(site, "bert", "également", "/servers").json["servers"]
    assert [server["id"] for server in shown] == [theirs]
    assert as_user(site, "bert", "également", f"/servers/{outage.server}").status_int == 404
    stopped = site.act(theirs, {"os-stop": None}, Authorization=basic("bert", "également"))
    assert stopped.status_int == 403


def test_who_is_not_in_the_second_file_has_no_project(site, users, projects):
    projects.write_text("anna:blue:admin\n")
    serve_basic(site, users, projects)
    key, code, told = fault(as_user(site, "bert", "également"))
    assert (key, code) == ("forbidden", 403)
    assert told.startswith("User bert has no project here")
    assert str(projects) not in told


def test_the_second_file_is_read_again_too(site, users, projects):
    serve_basic(site, users, projects)
    assert as_user(site, "bert", "également", "/os-services").status_int == 403
    replace(projects, "bert:red:admin\n")
    assert as_user(site, "bert", "également", "/os-services").status_int == 200
    assert as_user(site, "anna", "right").status_int == 403


@pytest.mark.parametrize(
    ("line", "roles"),
    [
        ("anna:blue", {"member", "reader"}),
        ("anna:blue:reader", {"reader"}),
        ("anna:blue:member", {"member", "reader"}),
        ("anna:blue:manager", {"manager", "member", "reader"}),
        ("anna:blue:admin", {"admin", "manager", "member", "reader"}),
        ("anna:blue:operator, reader", {"operator", "reader"}),
        ("anna:blue:operator", {"operator"}),
    ],
)
def test_a_role_implies_those_below_it(tmp_path, line, roles):
    path = tmp_path / "projects"
    path.write_text(f"# what they are\n{line}\n")
    found = http_basic.read_standings(path)["anna"]
    assert (found.project_id, set(found.roles)) == ("blue", roles)
    assert len(found.roles) == len(roles)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("anna\n", "line 1: expected user:project"),
        ("anna:blue:member:more\n", "expected user:project"),
        ("anna:\n", "'' cannot be the name of a project"),
        ("anna:blue:\n", "'' cannot be the name of a role"),
        ("anna:blue\nanna:red\n", "line 2: user anna is there a second time"),
        (None, "cannot be read"),
    ],
)
def test_a_second_file_that_makes_no_sense_is_refused_at_the_start(tmp_path, users, content, told):
    path = tmp_path / "projects"
    if content is not None:
        path.write_text(content)
    conf = configured(
        auth_strategy="http_basic", http_basic_auth_user_file=str(users), http_basic_projects_file=str(path)
    )
    with pytest.raises(NotConfigured, match=told):
        authenticator_of(conf)


# -- keystone


class Middleware:
    """Stands for keystonemiddleware: answers by itself, or lets through with what Keystone said."""

    def __init__(self, status="200 OK", headers=(), **identity):
        self._status = status
        self._headers = list(headers)
        self._identity = identity

    def __call__(self, environment, start_response):
        if not self._status.startswith("200"):
            start_response(self._status, self._headers)
            return [b"the middleware's own words"]
        environment.update(self._identity)
        return _the_application(environment, start_response)


def _the_application(environment, start_response):
    from evacuator.api.auth import keystone  # noqa: PLC0415

    return keystone._note(environment, start_response)


def test_the_identity_is_what_keystone_said(site):
    serve(site, Keystone(Middleware(HTTP_X_USER_ID="u1", HTTP_X_PROJECT_ID="b1ue", HTTP_X_ROLES="member,reader")))
    mine, theirs = site.add_server(host=None, project_id="b1ue"), site.add_server(host=None, project_id="red")
    assert [server["id"] for server in site.get("/servers").json["servers"]] == [mine]
    assert site.get(f"/servers/{theirs}").status_int == 404
    assert site.get("/os-services").status_int == 403


def test_an_administrator_is_who_has_the_role_that_policy_says(site):
    serve(site, Keystone(Middleware(HTTP_X_USER_ID="u1", HTTP_X_PROJECT_ID="b1ue", HTTP_X_ROLES="admin")))
    theirs = site.add_server(host=None, project_id="red")
    assert site.get(f"/servers/{theirs}").status_int == 200
    assert site.get("/os-services").status_int == 200


@pytest.mark.parametrize(
    "scope",
    [{}, {"HTTP_X_DOMAIN_ID": "default"}, {"HTTP_OPENSTACK_SYSTEM_SCOPE": "all"}, {"HTTP_X_PROJECT_ID": ""}],
)
@pytest.mark.parametrize("role", ["admin", "member", "reader"])
def test_a_token_without_a_project_opens_nothing(site, scope, role):
    serve(site, Keystone(Middleware(HTTP_X_USER_ID="u1", HTTP_X_ROLES=role, **scope)))
    server = site.add_server(host=None)
    for path in ("/servers", "/servers/detail?all_tenants=1", f"/servers/{server}", "/os-services", "/flavors"):
        key, code, told = fault(site.get(path))
        assert (key, code) == ("forbidden", 403)
        assert "not scoped to a project" in told


def test_a_refused_token_is_401_with_the_challenge_of_the_middleware(site):
    serve(site, Keystone(Middleware("401 Unauthorized", [("WWW-Authenticate", 'Keystone uri="http://keystone"')])))
    answer = site.get("/servers", token="forged")
    assert answer.status_int == 401
    assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone"'
    assert answer.json == {"error": {"code": 401, "title": "Unauthorized", "message": SENTENCE}}
    assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"]
    assert site.ask("GET", "/v2.1").status_int == 200


def test_a_keystone_that_does_not_answer_is_503(site):
    serve(site, Keystone(Middleware("503 Service Unavailable")))
    key, code, told = fault(site.get("/servers"))
    assert (key, code) == ("serviceUnavailable", 503)
    assert told.startswith("Keystone did not answer")


def test_keystone_needs_its_middleware_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keystonemiddleware", None)
    with pytest.raises(NotConfigured, match=r"pip install 'evacuator\[keystone\]'"):
        authenticator_of(configured(auth_strategy="keystone"))


# -- noauth


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_noauth_is_refused_where_others_reach_it(address):
    with pytest.raises(NotConfigured, match="noauth_any_address"):
        check_address(configured(), address)
    check_address(configured(noauth_any_address=True), address)
    check_address(configured(auth_strategy="http_basic"), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_noauth_serves_on_loopback(address):
    check_address(configured(), address)


@pytest.mark.parametrize("token", [":", ":project"])
def test_a_token_that_names_no_user_is_nobodys(site, token):
    answer = site.get("/servers", token=token)
    assert (answer.status_int, answer.json["error"]["message"]) == (401, SENTENCE)
    assert answer.headers["WWW-Authenticate"] == 'Token realm="Evacuator"'
