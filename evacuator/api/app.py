"""The WSGI application: every address on one screen, and what a request passes through on its way there."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import falcon
from falcon.routing import BaseConverter
from oslo_config import cfg

from evacuator.api import faults, negotiation
from evacuator.api.auth import Authenticator
from evacuator.api.auth.noauth import noauth
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import BEGUN, Request, Resource
from evacuator.api.images import BuiltInImages, Images
from evacuator.api.links import Links
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.resources import (
    aggregates,
    availability_zones,
    flavors,
    health,
    hypervisors,
    images,
    instance_actions,
    migrations,
    networks,
    openapi,
    server_actions,
    servers,
    services,
    versions,
)
from evacuator.api.settings import ApiSettings
from evacuator.api.views.versions import choices
from evacuator.engine.engine import Engine

MakeResource = Callable[[Collaborators], Resource]

#: Below /v2.1 and /v2, each with and without a project in front.
ROUTES: tuple[tuple[str, MakeResource], ...] = (
    ("/servers", servers.Servers),
    ("/servers/detail", servers.ServersDetail),
    ("/servers/{server_id}", servers.Server),
    ("/servers/{server_id}/action", server_actions.ServerActions),
    ("/servers/{server_id}/migrations", migrations.ServerMigrations),
    ("/servers/{server_id}/migrations/{migration_id}", migrations.ServerMigration),
    ("/servers/{server_id}/os-instance-actions", instance_actions.InstanceActions),
    ("/servers/{server_id}/os-instance-actions/{request_id}", instance_actions.InstanceAction),
    ("/os-migrations", migrations.Migrations),
    ("/os-services", services.Services),
    ("/os-services/{service_id}", services.Service),
    ("/os-hypervisors", hypervisors.Hypervisors),
    ("/os-hypervisors/detail", hypervisors.HypervisorsDetail),
    ("/os-hypervisors/statistics", hypervisors.HypervisorStatistics),
    ("/os-hypervisors/{hypervisor_id}", hypervisors.Hypervisor),
    ("/os-hypervisors/{hypervisor_id}/search", hypervisors.HypervisorSearch),
    ("/os-hypervisors/{hypervisor_id}/servers", hypervisors.HypervisorServers),
    ("/os-hypervisors/{hypervisor_id}/uptime", hypervisors.HypervisorUptime),
    ("/os-availability-zone", availability_zones.AvailabilityZones),
    ("/os-availability-zone/detail", availability_zones.AvailabilityZonesDetail),
    ("/os-aggregates", aggregates.Aggregates),
    ("/os-aggregates/{aggregate_id}", aggregates.Aggregate),
    ("/os-aggregates/{aggregate_id}/action", aggregates.AggregateActions),
    ("/flavors", flavors.Flavors),
    ("/flavors/detail", flavors.FlavorsDetail),
    ("/flavors/{flavor_id}", flavors.Flavor),
    ("/flavors/{flavor_id}/os-extra_specs", flavors.ExtraSpecs),
    ("/flavors/{flavor_id}/os-extra_specs/{key}", flavors.ExtraSpec),
    ("/images", images.Images),
    ("/images/{image_id}", images.Image),
    # The novaclient asks for images here.
    ("/v2/images", images.Images),
    ("/v2/images/{image_id}", images.Image),
    ("/networks", networks.Networks),
    ("/versions/{version}", versions.NamedVersion),
)

#: The documents on versions, and on all of this.
DOCUMENTS: tuple[tuple[str, MakeResource], ...] = (
    ("/", versions.Versions),
    ("/v2.1", versions.Version),
    ("/v2.1/", versions.Version),
    ("/v2.1/{project_id:project}/", versions.Version),
    ("/openapi.json", openapi.OpenApi),
    ("/v2", versions.Version),
    ("/v2/", versions.Version),
    ("/v2/{project_id:project}/", versions.Version),
)


class ProjectConverter(BaseConverter):
    """The part of an address that may be a project."""

    def convert(self, value: str) -> str | None:
        """Return the project id, or None where this cannot be one."""
        return value if re.fullmatch("[0-9a-f-]+", value) else None


class PartConverter(BaseConverter):
    """A part of an address that names something; an empty one, after a trailing slash, does not."""

    def convert(self, value: str) -> str | None:
        """Return the name, or None where there is none."""
        return value or None


class Api(falcon.App[Any, Any]):
    """A Falcon application whose Vary headers stand on lines of their own, and whose requests have an age."""

    def __init__(self, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request. It begins here, unless the server knows how long it may have waited already."""
        env.setdefault(BEGUN, self._clock())
        return super().__call__(env, partial(_start, start_response))


def _start(start_response: Any, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    split = [(name, part) for name, value in headers for part in (value.split(", ") if name == "vary" else [value])]
    return start_response(status, split, exc_info) if exc_info else start_response(status, split)


def make_app(
    engine: Engine,
    settings: ApiSettings,
    images: Images | None = None,
    policy: Policy | None = None,
    authenticate: Authenticator = noauth,
) -> Api:
    """Return the application.

    Without ``images`` there is the one that is built in; without ``policy``, what the process is configured with.
    """
    images = images or BuiltInImages()
    policy = policy or Policy(get_enforcer(cfg.CONF))
    app = Api(
        engine.clock,
        request_type=Request,
        middleware=[
            negotiation.Paths(),
            negotiation.Gate(
                [
                    negotiation.check_method,
                    negotiation.Authentication(authenticate, policy),
                    negotiation.negotiate,
                    negotiation.Bodies(settings.max_body_bytes),
                    negotiation.check_project,
                ]
            ),
        ],
    )
    app.router_options.converters["project"] = ProjectConverter
    app.router_options.converters["part"] = PartConverter
    faults.install(app)
    parts = Collaborators(engine, settings, images, policy)
    _add_routes(app, parts)
    app.add_route("/healthcheck", health.Healthcheck(parts))
    app.add_route("/metrics", health.Metrics(parts))
    # The one added last is looked at first.
    app.add_sink(partial(_elsewhere, settings), "/")
    app.add_sink(_not_routed, re.compile(r"/v2(\.1)?/"))
    return app


def _add_routes(app: Api, parts: Collaborators) -> None:
    for path, make in DOCUMENTS:
        app.add_route(path, make(parts))
    for path, make in ROUTES:
        resource = make(parts)
        template = path.replace("}", ":part}")
        for prefix in ("/v2.1", "/v2.1/{project_id:project}", "/v2", "/v2/{project_id:project}"):
            app.add_route(prefix + template, resource)


def _not_routed(req: Request, resp: falcon.Response, **_kwargs: Any) -> None:  # noqa: ARG001 - Falcon's signature
    raise falcon.HTTPNotFound


def _elsewhere(settings: ApiSettings, request: Request, response: falcon.Response) -> None:
    """Answer an address that has no version with where it may be meant to be."""
    response.status = 300
    response.media = choices(Links(request, settings).root, request.path)
