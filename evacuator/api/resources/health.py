"""``/healthcheck`` and ``/metrics``: for whoever keeps this process running. They are for everybody."""

import logging
from typing import Any

import falcon

from evacuator import metrics
from evacuator.api.collaborators import Collaborators
from evacuator.db import health, schema, services
from evacuator.db.models import COMPUTE_BINARY
from evacuator.errors import DatabaseUnavailable

LOG = logging.getLogger(__name__)


class Healthcheck:
    """``/healthcheck``: alive; with ``?detailed``, whether it can do its work."""

    def __init__(self, parts: Collaborators) -> None:
        self._database = parts.engine.database
        self._newest = schema.head()
        self._reason: str | None = None

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Say OK; with ``?detailed``, 503 while the database does not answer or has an older schema."""
        response.cache_control = ["no-store"]
        if "detailed" not in request.params:
            response.content_type = falcon.MEDIA_TEXT
            response.text = "OK"
            return
        found = health.look(self._database)
        self._tell(found.reason)
        checks: dict[str, Any] = {"database": {"ok": found.error is None, "says": found.error or "answers"}}
        if found.error is None:
            at = f"is at {found.revision}" if found.revision else "is empty"
            newest = found.revision == self._newest
            # A release has to work with the schema of the next one, which is made first: decision 5.
            ok = newest or schema.is_newer(found.revision)
            checks["schema"] = {"ok": ok, "says": at if newest else f"{at}, {schema.way_out(found.revision)}"}
        ready = all(check["ok"] for check in checks.values())
        response.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        # The broker is no condition: evacuations are accepted, and end, without it.
        response.media = {"status": "ready" if ready else "not ready", "checks": checks}

    def _tell(self, reason: str | None) -> None:
        """Log why the database does not answer, once for each reason: this is asked every few seconds."""
        if reason is not None and reason != self._reason:
            LOG.warning("Not ready: %s", reason)
        self._reason = reason

    def on_head(self, request: falcon.Request, response: falcon.Response) -> None:
        """Say the same, in the status alone."""
        self.on_get(request, response)


class Metrics:
    """``/metrics``: what this process has counted, and what the database says of the site at this moment."""

    def __init__(self, parts: Collaborators) -> None:
        self._engine = parts.engine

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Show it as Prometheus reads it; without a database, what this process has counted."""
        try:
            response.data = metrics.page_of_site(*self._look_at_site())
        except DatabaseUnavailable:
            response.data = metrics.page_of_site({}, {}, {})
        response.content_type = metrics.CONTENT_TYPE

    def _look_at_site(self) -> tuple[dict[str, int], dict[str, float], dict[str, bool]]:
        database, down_time = self._engine.database, self._engine.rules.service_down_time
        unfinished = database.glance(health.unfinished)
        heard = database.glance(lambda session: services.listing(session, down_time, binary=COMPUTE_BINARY))
        return (
            unfinished,
            {each.service.host: each.age for each in heard if each.age is not None},
            {each.service.host: each.up for each in heard},
        )
