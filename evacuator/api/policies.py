"""Who may do what: Nova's rule names and defaults, decided by oslo.policy.

A policy file replaces single rules; it is read again when it changes.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from evacuator.api.errors import PolicyForbids
from evacuator.context import RequestContext
from evacuator.errors import NotConfigured

LOG = logging.getLogger(__name__)

ADMIN = "rule:context_is_admin"
MEMBER = "rule:project_member_or_admin"
READER = "rule:project_reader_or_admin"
ANYBODY = "@"

EVACUATE = "os_compute_api:os-evacuate"
LIST = "os_compute_api:servers:index"
DETAIL = "os_compute_api:servers:detail"
LIST_ALL = "os_compute_api:servers:index:get_all_tenants"
DETAIL_ALL = "os_compute_api:servers:detail:get_all_tenants"
ALL_FILTERS = "os_compute_api:servers:allow_all_filters"
SHOW = "os_compute_api:servers:show"
SHOW_HOST_STATUS = "os_compute_api:servers:show:host_status"
EXTENDED_ATTRIBUTES = "os_compute_api:os-extended-server-attributes"
CREATE = "os_compute_api:servers:create"
CREATE_ON_HOST = "os_compute_api:servers:create:forced_host"
REQUEST_HOST = "compute:servers:create:requested_destination"
DELETE = "os_compute_api:servers:delete"
START = "os_compute_api:servers:start"
STOP = "os_compute_api:servers:stop"
REBOOT = "os_compute_api:servers:reboot"
RESET_STATE = "os_compute_api:os-admin-actions:reset_state"
LOCK = "os_compute_api:os-lock-server:lock"
UNLOCK = "os_compute_api:os-lock-server:unlock"
UNLOCK_OVERRIDE = "os_compute_api:os-lock-server:unlock:unlock_override"
SERVICES_LIST = "os_compute_api:os-services:list"
SERVICES_UPDATE = "os_compute_api:os-services:update"
SERVICES_DELETE = "os_compute_api:os-services:delete"
MIGRATIONS_LIST = "os_compute_api:os-migrations:index"
SERVER_MIGRATIONS_LIST = "os_compute_api:servers:migrations:index"
SERVER_MIGRATIONS_SHOW = "os_compute_api:servers:migrations:show"
ACTIONS_LIST = "os_compute_api:os-instance-actions:list"
ACTIONS_SHOW = "os_compute_api:os-instance-actions:show"
ACTIONS_EVENTS = "os_compute_api:os-instance-actions:events"
ACTIONS_EVENT_DETAILS = "os_compute_api:os-instance-actions:events:details"
FLAVORS_CREATE = "os_compute_api:os-flavor-manage:create"
FLAVORS_UPDATE = "os_compute_api:os-flavor-manage:update"
FLAVORS_DELETE = "os_compute_api:os-flavor-manage:delete"
FLAVORS_EXTRA_SPECS_CREATE = "os_compute_api:os-flavor-extra-specs:create"
FLAVORS_EXTRA_SPECS_UPDATE = "os_compute_api:os-flavor-extra-specs:update"
FLAVORS_EXTRA_SPECS_DELETE = "os_compute_api:os-flavor-extra-specs:delete"
FLAVORS_EXTRA_SPECS_SHOW = "os_compute_api:os-flavor-extra-specs:show"
FLAVORS_EXTRA_SPECS_LIST = "os_compute_api:os-flavor-extra-specs:index"
HYPERVISORS_LIST = "os_compute_api:os-hypervisors:list"
HYPERVISORS_DETAIL = "os_compute_api:os-hypervisors:list-detail"
HYPERVISORS_SHOW = "os_compute_api:os-hypervisors:show"
HYPERVISORS_SEARCH = "os_compute_api:os-hypervisors:search"
HYPERVISORS_SERVERS = "os_compute_api:os-hypervisors:servers"
HYPERVISORS_STATISTICS = "os_compute_api:os-hypervisors:statistics"
HYPERVISORS_UPTIME = "os_compute_api:os-hypervisors:uptime"
ZONES_LIST = "os_compute_api:os-availability-zone:list"
ZONES_DETAIL = "os_compute_api:os-availability-zone:detail"
AGGREGATES_LIST = "os_compute_api:os-aggregates:index"
AGGREGATES_SHOW = "os_compute_api:os-aggregates:show"
AGGREGATES_CREATE = "os_compute_api:os-aggregates:create"
AGGREGATES_UPDATE = "os_compute_api:os-aggregates:update"
AGGREGATES_DELETE = "os_compute_api:os-aggregates:delete"
AGGREGATES_ADD_HOST = "os_compute_api:os-aggregates:add_host"
AGGREGATES_REMOVE_HOST = "os_compute_api:os-aggregates:remove_host"
AGGREGATES_SET_METADATA = "os_compute_api:os-aggregates:set_metadata"

#: Rules that others refer to.
ROLES = (
    ("context_is_admin", "role:admin", "Who is an administrator: sees and may do everything, in every project."),
    (
        "admin_or_owner",
        "rule:context_is_admin or project_id:%(project_id)s",
        "An administrator or anybody of the project.",
    ),
    ("admin_api", "rule:context_is_admin", "Who may use what only administrators may."),
    ("project_manager_api", "role:manager and project_id:%(project_id)s", "Who may manage what is the project's."),
    ("project_member_api", "role:member and project_id:%(project_id)s", "Who may change what is the project's."),
    ("project_reader_api", "role:reader and project_id:%(project_id)s", "Who may look at what is the project's."),
    ("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin", "A manager or an administrator."),
    ("project_member_or_admin", "rule:project_member_api or rule:context_is_admin", "A member or an administrator."),
    ("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin", "A reader or an administrator."),
)


def _action(name: str) -> tuple[str, str]:
    """Return the request for an action of a server, as Nova's documents write it."""
    return ("POST", f"/servers/{{server_id}}/action ({name})")


SERVERS, SERVERS_DETAIL = ("GET", "/servers"), ("GET", "/servers/detail")
SERVER = ("GET", "/servers/{server_id}")
NEW_SERVER = ("POST", "/servers")
AGGREGATE_ACTION = ("POST", "/os-aggregates/{aggregate_id}/action")
SERVER_ACTION = ("GET", "/servers/{server_id}/os-instance-actions/{request_id}")

#: Rule, default, what it allows, and the requests that it guards.
RULES = (
    (EVACUATE, ADMIN, "Bring a server of a dead host back on another host.", _action("evacuate")),
    (LIST, READER, "List servers.", SERVERS),
    (DETAIL, READER, "List servers with all they have.", SERVERS_DETAIL),
    (LIST_ALL, ADMIN, "List the servers of all projects.", SERVERS),
    (DETAIL_ALL, ADMIN, "List the servers of all projects with all they have.", SERVERS_DETAIL),
    (ALL_FILTERS, ADMIN, "List servers by what only administrators see.", SERVERS, SERVERS_DETAIL),
    (SHOW, READER, "Show a server.", SERVER),
    (SHOW_HOST_STATUS, ADMIN, "Show whether the host of a server is up.", SERVER, SERVERS_DETAIL),
    (EXTENDED_ATTRIBUTES, ADMIN, "Show on which host a server is.", SERVER, SERVERS_DETAIL),
    (CREATE, MEMBER, "Create a server.", NEW_SERVER),
    (CREATE_ON_HOST, ADMIN, "Create a server on a host, whatever the scheduler thinks.", NEW_SERVER),
    (REQUEST_HOST, ADMIN, "Create a server on a host.", NEW_SERVER),
    (DELETE, MEMBER, "Delete a server.", ("DELETE", "/servers/{server_id}")),
    (START, MEMBER, "Start a server.", _action("os-start")),
    (STOP, MEMBER, "Stop a server.", _action("os-stop")),
    (REBOOT, MEMBER, "Restart a server.", _action("reboot")),
    (RESET_STATE, ADMIN, "Set the recorded state of a server.", _action("os-resetState")),
    (LOCK, MEMBER, "Lock a server.", _action("lock")),
    (UNLOCK, MEMBER, "Unlock a server.", _action("unlock")),
    (UNLOCK_OVERRIDE, ADMIN, "Unlock a server that an administrator of another project locked.", _action("unlock")),
    (SERVICES_LIST, ADMIN, "List compute services.", ("GET", "/os-services")),
    (SERVICES_UPDATE, ADMIN, "Enable, disable or force down a service.", ("PUT", "/os-services/{service_id}")),
    (SERVICES_DELETE, ADMIN, "Forget a service.", ("DELETE", "/os-services/{service_id}")),
    (MIGRATIONS_LIST, ADMIN, "List migrations.", ("GET", "/os-migrations")),
    (
        SERVER_MIGRATIONS_LIST,
        ADMIN,
        "List the live migrations of a server.",
        ("GET", "/servers/{server_id}/migrations"),
    ),
    (
        SERVER_MIGRATIONS_SHOW,
        ADMIN,
        "Show a live migration of a server.",
        ("GET", "/servers/{server_id}/migrations/{migration_id}"),
    ),
    (ACTIONS_LIST, READER, "List what was asked of a server.", ("GET", "/servers/{server_id}/os-instance-actions")),
    (ACTIONS_SHOW, READER, "Show what was asked of a server.", SERVER_ACTION),
    (ACTIONS_EVENTS, ADMIN, "Show the parts of what was asked of a server, with host and traceback.", SERVER_ACTION),
    (ACTIONS_EVENT_DETAILS, ADMIN, "Show why a part of what was asked of a server failed.", SERVER_ACTION),
    (
        FLAVORS_EXTRA_SPECS_LIST,
        READER,
        "List the extra specs of a flavor.",
        ("GET", "/flavors/{flavor_id}/os-extra_specs"),
    ),
    (
        FLAVORS_EXTRA_SPECS_SHOW,
        READER,
        "Show an extra spec of a flavor.",
        ("GET", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    ),
    (FLAVORS_CREATE, ADMIN, "Make a flavor.", ("POST", "/flavors")),
    (FLAVORS_UPDATE, ADMIN, "Change what is said of a flavor.", ("PUT", "/flavors/{flavor_id}")),
    (FLAVORS_DELETE, ADMIN, "Forget a flavor.", ("DELETE", "/flavors/{flavor_id}")),
    (
        FLAVORS_EXTRA_SPECS_CREATE,
        ADMIN,
        "Add to the extra specs of a flavor.",
        ("POST", "/flavors/{flavor_id}/os-extra_specs"),
    ),
    (
        FLAVORS_EXTRA_SPECS_UPDATE,
        ADMIN,
        "Set an extra spec of a flavor.",
        ("PUT", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    ),
    (
        FLAVORS_EXTRA_SPECS_DELETE,
        ADMIN,
        "Take an extra spec from a flavor.",
        ("DELETE", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    ),
    (HYPERVISORS_LIST, ADMIN, "List hypervisors.", ("GET", "/os-hypervisors")),
    (HYPERVISORS_DETAIL, ADMIN, "List hypervisors with all they have.", ("GET", "/os-hypervisors/detail")),
    (HYPERVISORS_SHOW, ADMIN, "Show a hypervisor.", ("GET", "/os-hypervisors/{hypervisor_id}")),
    (HYPERVISORS_SEARCH, ADMIN, "Find hypervisors by name.", ("GET", "/os-hypervisors/{hypervisor_id}/search")),
    (HYPERVISORS_SERVERS, ADMIN, "Find servers by hypervisor.", ("GET", "/os-hypervisors/{hypervisor_id}/servers")),
    (HYPERVISORS_STATISTICS, ADMIN, "Sum up all hypervisors.", ("GET", "/os-hypervisors/statistics")),
    (
        HYPERVISORS_UPTIME,
        ADMIN,
        "Show how long a hypervisor has run.",
        ("GET", "/os-hypervisors/{hypervisor_id}/uptime"),
    ),
    (ZONES_LIST, ANYBODY, "List availability zones.", ("GET", "/os-availability-zone")),
    (AGGREGATES_LIST, ADMIN, "List host aggregates.", ("GET", "/os-aggregates")),
    (AGGREGATES_SHOW, ADMIN, "Show a host aggregate.", ("GET", "/os-aggregates/{aggregate_id}")),
    (AGGREGATES_CREATE, ADMIN, "Make a host aggregate.", ("POST", "/os-aggregates")),
    (AGGREGATES_UPDATE, ADMIN, "Rename a host aggregate.", ("PUT", "/os-aggregates/{aggregate_id}")),
    (AGGREGATES_DELETE, ADMIN, "Forget a host aggregate.", ("DELETE", "/os-aggregates/{aggregate_id}")),
    (AGGREGATES_ADD_HOST, ADMIN, "Put a host into an aggregate.", AGGREGATE_ACTION),
    (AGGREGATES_REMOVE_HOST, ADMIN, "Take a host out of an aggregate.", AGGREGATE_ACTION),
    (AGGREGATES_SET_METADATA, ADMIN, "Set the metadata or the zone of an aggregate.", AGGREGATE_ACTION),
    (ZONES_DETAIL, ADMIN, "List availability zones with their hosts.", ("GET", "/os-availability-zone/detail")),
)

#: What Nova has no rule for either: whoever is let in may ask for it.
UNGUARDED = frozenset(
    {
        ("GET", "/flavors"),
        ("GET", "/flavors/detail"),
        ("GET", "/flavors/{flavor_id}"),
        ("GET", "/images"),
        ("GET", "/images/{image_id}"),
        ("GET", "/v2/images"),
        ("GET", "/v2/images/{image_id}"),
        ("GET", "/networks"),
        ("GET", "/versions/{version}"),
    }
)


def list_rules() -> list[policy.RuleDefault]:
    """Return every rule with its default, for the tools of oslo.policy."""
    roles = [policy.RuleDefault(name, check, description) for name, check, description in ROLES]
    return roles + [
        policy.DocumentedRuleDefault(
            name,
            check,
            description,
            [{"method": method, "path": path} for method, path in requests],
            scope_types=["project"],
        )
        for name, check, description, *requests in RULES
    ]


def get_enforcer(conf: cfg.ConfigOpts | None = None) -> policy.Enforcer:
    """Return what decides, by ``conf`` and the policy file that it names.

    Without one, which is how the tools of oslo.policy call it, by the configuration files named on the command line, or
    else by the default ones.
    """
    if conf is None:
        conf = cfg.CONF
        conf([], project="evacuator", default_config_files=_named_on_the_command_line())
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(list_rules())
    return enforcer


def _named_on_the_command_line() -> list[str] | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-file", action="append")
    named: list[str] | None = parser.parse_known_args()[0].config_file
    return named


#: So often a change of the policy file is looked for. To look takes longer than to decide.
LOOK_SECONDS = 0.1


class Policy:
    """Asks oslo.policy in the API's words.

    ``look_seconds``: how soon a policy file that comes, changes or goes counts.

    :raises NotConfigured: there is one that cannot be read.
    """

    def __init__(
        self,
        enforcer: policy.Enforcer,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enforcer = enforcer
        self._look_seconds = look_seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._load()
        self._next_look = clock() + look_seconds

    def allows(self, context: RequestContext, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Tell whether ``rule`` allows it, on ``target``; without one: on what is the caller's own."""
        if self._clock() >= self._next_look:
            self._look()
        own = {"project_id": context.project_id, "user_id": context.user_id}
        return bool(self._enforcer.enforce(rule, dict(target or own), context))

    def _look(self) -> None:
        with self._guard:
            try:
                self._load()
            except NotConfigured as refused:
                LOG.error("What the policy file said before stays in force: %s", refused)  # noqa: TRY400
            self._next_look = self._clock() + self._look_seconds

    def _load(self) -> None:
        """Read the policy file if it changed; by itself the enforcer would look for it with each question.

        :raises NotConfigured: it is none; nothing has changed.
        """
        before = self._enforcer.rules
        self._enforcer.use_conf = True
        try:
            self._enforcer.load_rules()
        except Exception as error:  # whatever the library makes of what somebody wrote
            self._enforcer.rules = before
            said = " ".join(str(error).split())
            raise NotConfigured(reason=f"[oslo_policy] policy_file cannot be used: {said}") from error
        finally:
            self._enforcer.use_conf = False

    def check(self, context: RequestContext, rule: str, target: Mapping[str, Any] | None = None) -> None:
        """Refuse what ``rule`` does not allow.

        :raises PolicyForbids:
        """
        if not self.allows(context, rule, target):
            raise PolicyForbids(rule=rule)
