import re
from pathlib import Path

import pytest
from oslo_config import cfg

from evacuator.api import policies
from evacuator.api.app import ROUTES
from evacuator.api.errors import PolicyForbids
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.resources.server_actions import ACTIONS
from evacuator.context import RequestContext
from evacuator.errors import NotConfigured

MEMBER = RequestContext(user_id="user", project_id="project", roles=["member", "reader"])
READER = RequestContext(user_id="user", project_id="project", roles=["reader"])
ADMIN = RequestContext(user_id="admin", project_id="admin", roles=["admin"])


def make(directory, **looking):
    settings = directory / "evacuator.conf"
    settings.write_text(f"[oslo_policy]\npolicy_file = {directory / 'policy.yaml'}\n")
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[str(settings)], default_config_dirs=[])
    return Policy(get_enforcer(conf), **looking)


def test_evacuating_is_for_administrators(tmp_path):
    policy = make(tmp_path)
    assert policy.allows(ADMIN, policies.EVACUATE, {"project_id": "project"})
    with pytest.raises(PolicyForbids, match=r"Policy doesn't allow os_compute_api:os-evacuate to be performed\."):
        policy.check(MEMBER, policies.EVACUATE, {"project_id": "project"})


def test_members_act_on_what_is_their_projects(tmp_path):
    policy = make(tmp_path)
    assert policy.allows(MEMBER, policies.START, {"project_id": "project"})
    assert not policy.allows(MEMBER, policies.START, {"project_id": "other"})
    assert not policy.allows(READER, policies.START, {"project_id": "project"})
    assert policy.allows(READER, policies.SHOW, {"project_id": "project"})


def test_a_policy_file_is_read_again_when_it_changes(tmp_path):
    now = [100.0]
    policy = make(tmp_path, look_seconds=0.1, clock=lambda: now[0])
    assert not policy.allows(MEMBER, policies.EVACUATE)
    (tmp_path / "policy.yaml").write_text(f'"{policies.EVACUATE}": "role:member"\n')
    assert not policy.allows(MEMBER, policies.EVACUATE)
    now[0] += 0.1
    assert policy.allows(MEMBER, policies.EVACUATE)


def test_a_policy_file_that_is_spoilt_leaves_in_force_what_it_said_before(tmp_path, caplog):
    now = [100.0]
    file = tmp_path / "policy.yaml"
    file.write_text(f'"{policies.EVACUATE}": "role:member"\n')
    policy = make(tmp_path, look_seconds=0.1, clock=lambda: now[0])
    file.write_text(f'"{policies.EVACUATE}": "role:reader\n')
    for _look in range(2):
        now[0] += 0.1
        assert policy.allows(MEMBER, policies.EVACUATE)
        assert not policy.allows(READER, policies.EVACUATE)
    assert "What the policy file said before stays in force" in caplog.text
    file.write_text(f'"{policies.EVACUATE}": "role:reader"\n')
    now[0] += 0.1
    assert policy.allows(READER, policies.EVACUATE)


def test_a_policy_file_that_is_spoilt_from_the_beginning_is_refused(tmp_path):
    (tmp_path / "policy.yaml").write_text(f'"{policies.EVACUATE}": "role:reader\n')
    with pytest.raises(NotConfigured, match=r"\[oslo_policy\] policy_file cannot be used"):
        make(tmp_path)


METHODS = ("get", "post", "put", "patch", "delete")


def served():
    """Return every request there is; each action of a server as one of its own."""
    requests = {
        (method.upper(), path) for path, resource in ROUTES for method in METHODS if hasattr(resource, f"on_{method}")
    }
    action = ("POST", "/servers/{server_id}/action")
    return requests - {action} | {(action[0], f"{action[1]} ({name})") for name in ACTIONS}


def guarded():
    return {request for _, _, _, *requests in policies.RULES for request in requests}


def test_every_rule_guards_requests_that_are_served():
    assert guarded() - served() == set()


def test_every_request_that_is_served_has_a_rule_or_is_for_whoever_is_let_in():
    assert served() - guarded() == policies.UNGUARDED


def test_no_rule_is_listed_twice():
    names = [rule.name for rule in policies.list_rules()]
    assert len(names) == len(set(names))


def test_what_rules_refer_to_exists(tmp_path):
    enforcer = make(tmp_path)._enforcer
    enforcer.load_rules()
    assert enforcer.check_rules(raise_on_violation=True)


def test_the_policy_reference_names_every_request_that_has_no_rule():
    page = Path(__file__).parents[3] / "docs" / "policies.md"
    named = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`]*)`", page.read_text())
    assert set(named) == policies.UNGUARDED
