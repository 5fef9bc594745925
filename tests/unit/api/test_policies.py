import pytest
from oslo_config import cfg

from evacuator.api import policies
from evacuator.api.app import ROUTES
from evacuator.api.errors import PolicyForbids
from evacuator.api.policies import Policy, get_enforcer
from evacuator.context import RequestContext

MEMBER = RequestContext(user_id="user", project_id="project", roles=["member", "reader"])
READER = RequestContext(user_id="user", project_id="project", roles=["reader"])
ADMIN = RequestContext(user_id="admin", project_id="admin", roles=["admin"])


def make(directory):
    settings = directory / "evacuator.conf"
    settings.write_text(f"[oslo_policy]\npolicy_file = {directory / 'policy.yaml'}\n")
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[str(settings)], default_config_dirs=[])
    return Policy(get_enforcer(conf))


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
    policy = make(tmp_path)
    assert not policy.allows(MEMBER, policies.EVACUATE)
    (tmp_path / "policy.yaml").write_text(f'"{policies.EVACUATE}": "role:member"\n')
    assert policy.allows(MEMBER, policies.EVACUATE)


def test_every_rule_guards_a_request_that_is_served():
    templates = {path for path, _ in ROUTES}
    for rule, _, _, (_, path) in policies.RULES:
        assert path in templates, rule


def test_no_rule_is_listed_twice():
    names = [rule.name for rule in policies.list_rules()]
    assert len(names) == len(set(names))
