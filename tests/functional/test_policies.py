"""Who may do what: the defaults over HTTP, a policy file, and the tools of oslo.policy."""

import json
import os
import subprocess
import sys

import pytest
import webtest
import yaml
from oslo_config import cfg

from evacuator.api import policies
from evacuator.api.app import make_app
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.context import RequestContext
from tests.functional.conftest import fault

OWN, FOREIGN = "b1ue", "4ed"

#: Who asks: their project and their roles.
CALLERS = {
    "admin": ("a", ["admin", "manager", "member", "reader"]),
    "manager": (OWN, ["manager", "member", "reader"]),
    "member": (OWN, ["member", "reader"]),
    "reader": (OWN, ["reader"]),
    "nothing": (OWN, []),
    "foreigner": (FOREIGN, ["manager", "member", "reader"]),
}


def by_name(request):
    """Take the token for the name of one of the callers."""
    project, roles = CALLERS[request.get_header("X-Auth-Token")]
    return RequestContext(user_id="u", project_id=project, roles=list(roles), request_id=request.request_id)


@pytest.fixture
def policy_file(tmp_path):
    return tmp_path / "policy.yaml"


@pytest.fixture
def guarded(outage, tmp_path, policy_file):
    """The outage with the callers above, a server of the project ``OWN``, and a policy file that may come later."""
    settings = tmp_path / "evacuator.conf"
    settings.write_text(f"[oslo_policy]\npolicy_file = {policy_file}\n")
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[str(settings)], default_config_dirs=[])
    site = outage.site
    policy = Policy(get_enforcer(conf), look_seconds=0)
    site.app = webtest.TestApp(make_app(site.engine, ApiSettings(), BuiltInImages(), policy, by_name))
    site.server = site.add_server(host="one", project_id=OWN)
    return site


def stopped(site):
    return site.add_server(host="one", project_id=OWN, vm_state="stopped")


#: What is asked, then how the admin, the manager, the member, the reader and one without roles are answered.
LOOKS, CHANGES, ADMINISTERS = (200, 200, 200, 200, 403), (202, 202, 202, 403, 403), (200, 403, 403, 403, 403)
MATRIX = [
    ("GET", "/servers", None, LOOKS),
    ("GET", "/servers/detail", None, LOOKS),
    ("GET", "/servers/{server}", None, LOOKS),
    ("GET", "/servers/{server}/os-instance-actions", None, LOOKS),
    ("GET", "/flavors", None, (200,) * 5),
    ("GET", "/flavors/1", None, (200,) * 5),
    ("GET", "/flavors/1/os-extra_specs", None, LOOKS),
    ("GET", "/images", None, (200,) * 5),
    ("GET", "/networks", None, (200,) * 5),
    ("GET", "/os-availability-zone", None, (200,) * 5),
    ("GET", "/os-availability-zone/detail", None, ADMINISTERS),
    ("GET", "/os-services", None, ADMINISTERS),
    ("GET", "/os-hypervisors", None, ADMINISTERS),
    ("GET", "/os-hypervisors/detail", None, ADMINISTERS),
    ("GET", "/os-migrations", None, ADMINISTERS),
    ("GET", "/os-aggregates", None, ADMINISTERS),
    ("GET", "/servers/{server}/migrations", None, ADMINISTERS),
    ("GET", "/servers?all_tenants=1", None, ADMINISTERS),
    ("GET", "/servers/detail?all_tenants=1", None, ADMINISTERS),
    ("POST", "/servers", {"server": {"name": "n", "flavorRef": "1", "imageRef": "", "networks": "none"}}, CHANGES),
    (
        "POST",
        "/servers",
        {"server": {"name": "n", "flavorRef": "1", "imageRef": "", "networks": "none", "host": "one"}},
        (202, 403, 403, 403, 403),
    ),
    ("POST", "/servers/{server}/action", {"os-stop": None}, CHANGES),
    ("POST", "/servers/{stopped}/action", {"os-start": None}, CHANGES),
    ("POST", "/servers/{server}/action", {"reboot": {"type": "HARD"}}, CHANGES),
    ("POST", "/servers/{server}/action", {"lock": None}, CHANGES),
    ("POST", "/servers/{server}/action", {"unlock": None}, CHANGES),
    ("POST", "/servers/{server}/action", {"os-resetState": {"state": "error"}}, (202, 403, 403, 403, 403)),
    ("POST", "/servers/{dead}/action", {"evacuate": {}}, ADMINISTERS),
    ("DELETE", "/servers/{server}", None, (204, 204, 204, 403, 403)),
]


@pytest.mark.parametrize("caller", ["admin", "manager", "member", "reader", "nothing"])
@pytest.mark.parametrize(("method", "path", "body", "expected"), MATRIX)
def test_each_role_may_do_what_nova_lets_it_do(guarded, method, path, body, expected, caller):
    made = {"server": guarded.server, "stopped": stopped(guarded), "dead": guarded.add_server(project_id=OWN)}
    answer = guarded.ask(method, f"/v2.1{path.format(**made)}", body, version="2.74", token=caller)
    assert answer.status_int == expected[list(CALLERS).index(caller)], answer.text
    if answer.status_int == 403:
        assert fault(answer)[2].startswith("Policy doesn't allow ")


@pytest.mark.parametrize(("method", "path", "body", "expected"), [row for row in MATRIX if "{" in row[1]])
def test_to_the_rest_of_the_world_the_server_does_not_exist(guarded, method, path, body, expected):
    made = {"server": guarded.server, "stopped": stopped(guarded), "dead": guarded.add_server(project_id=OWN)}
    before = guarded.snapshot()
    answer = guarded.ask(method, f"/v2.1{path.format(**made)}", body, version="2.74", token="foreigner")
    assert fault(answer)[1] == 404
    assert guarded.snapshot() == before


def test_who_locked_a_server_as_administrator_is_not_overruled_by_its_owner(guarded):
    assert guarded.act(guarded.server, {"lock": None}, token="admin").status_int == 202
    refused = fault(guarded.act(guarded.server, {"unlock": None}, token="member"))
    assert refused[1:] == (403, f"Policy doesn't allow {policies.UNLOCK_OVERRIDE} to be performed.")
    assert guarded.act(guarded.server, {"unlock": None}, token="admin").status_int == 202


# -- a policy file


def test_a_policy_file_that_comes_or_changes_counts(guarded, policy_file):
    dead = guarded.add_server(project_id=OWN)
    assert guarded.evacuate(dead, token="manager").status_int == 403
    policy_file.write_text(f'"{policies.EVACUATE}": "rule:project_manager_or_admin"\n')
    assert guarded.evacuate(dead, token="member").status_int == 403
    assert guarded.evacuate(dead, token="foreigner").status_int == 404
    assert guarded.evacuate(dead, token="manager").status_int == 200
    policy_file.write_text(f'"{policies.EVACUATE}": "!"\n')
    os.utime(policy_file, (2**31, 2**31))  # only a later moment is a change to oslo.policy
    assert guarded.evacuate(dead, token="admin").status_int == 403


def test_a_policy_file_may_say_who_is_an_administrator(guarded, policy_file):
    policy_file.write_text('"context_is_admin": "role:manager and project_id:b1ue"\n')
    assert guarded.get("/os-services", token="manager").status_int == 200
    assert guarded.get("/os-services", token="admin").status_int == 403


# -- the tools


TOOL = "import sys; from oslo_policy import {module}; sys.argv[0] = 'tool'; {module}.{function}()"


def tool(module, function, *arguments, home):
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TOOL.format(module=module, function=function), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=home,
    )


def test_the_sample_file_has_every_rule_as_a_comment_with_what_it_guards(tmp_path):
    sample = tool("generator", "generate_sample", "--namespace", "evacuator", home=tmp_path).stdout
    for rule in policies.list_rules():
        assert f'#"{rule.name}": "{rule.check_str}"' in sample
    assert "# POST  /servers/{server_id}/action (evacuate)\n" in sample
    assert yaml.safe_load(sample) is None


@pytest.fixture
def configured(tmp_path):
    """A configuration file whose policy file lets members evacuate."""
    (tmp_path / "mine.yaml").write_text(
        f'"{policies.EVACUATE}": "rule:project_member_api"\n"{policies.START}": "{policies.MEMBER}"\n'
    )
    path = tmp_path / "mine.conf"
    path.write_text(f"[oslo_policy]\npolicy_file = {tmp_path / 'mine.yaml'}\n")
    return path


def merged(configured, tmp_path):
    out = tmp_path / "merged.yaml"
    arguments = ("--namespace", "evacuator", "--config-file", str(configured), "--output-file", str(out))
    tool("generator", "generate_policy", *arguments, home=tmp_path)
    return out


def test_the_policy_generator_merges_the_policy_file_with_the_defaults(configured, tmp_path):
    rules = yaml.safe_load(merged(configured, tmp_path).read_text())
    assert rules[policies.EVACUATE] == "rule:project_member_api"
    assert rules[policies.DELETE] == policies.MEMBER
    assert rules.keys() == {rule.name for rule in policies.list_rules()}


def test_the_checker_tells_what_a_token_allows(configured, tmp_path):
    token = tmp_path / "token.json"
    who = {"id": "u", "name": "u", "domain": {"id": "default"}}
    project = {"id": OWN, "name": "blue", "domain": {"id": "default"}}
    token.write_text(
        json.dumps({"token": {"roles": [{"name": "member"}, {"name": "reader"}], "project": project, "user": who}})
    )
    arguments = ("--policy", str(merged(configured, tmp_path)), "--access", str(token))
    told = tool("shell", "main", *arguments, home=tmp_path).stdout.splitlines()
    assert f"passed: {policies.EVACUATE}" in told
    assert f"passed: {policies.START}" in told
    assert f"failed: {policies.SERVICES_LIST}" in told


def test_the_tools_name_what_a_policy_file_repeats_and_what_it_misspells(configured, tmp_path):
    arguments = ("--namespace", "evacuator", "--config-file", str(configured))
    redundant = tool("generator", "list_redundant", *arguments, home=tmp_path).stdout
    assert policies.START in redundant
    assert policies.EVACUATE not in redundant
    (tmp_path / "mine.yaml").write_text('"os_compute_api:os-evacuat": "@"\n')
    with pytest.raises(subprocess.CalledProcessError) as refused:
        tool("generator", "validate_policy", *arguments, home=tmp_path)
    assert "os_compute_api:os-evacuat" in refused.value.stdout + refused.value.stderr
