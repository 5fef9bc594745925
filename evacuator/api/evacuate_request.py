"""What the body of an evacuate asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.schemas.parameters import is_true
from evacuator.db.models import Instance
from evacuator.engine.accept import EvacuationOrder
from evacuator.errors import ForceWithoutHost, PasswordOnSharedStorage


@dataclass(frozen=True)
class EvacuateRequest:
    """An evacuation as asked for. ``on_shared_storage``: None where the version has no word for it.

    ``forced``: the caller said so. ``forces_host``: so it is, since this version may mean it without a word.
    """

    host: str | None
    forced: bool
    forces_host: bool
    stops_at_destination: bool
    on_shared_storage: bool | None
    password: str | None

    @classmethod
    def from_body(cls, arguments: Mapping[str, Any], behaviour: Behaviours) -> "EvacuateRequest":
        """Read arguments that fit their schema."""
        host, password = arguments.get("host"), arguments.get("adminPass")
        forced = is_true(arguments.get("force"))
        shared = is_true(arguments["onSharedStorage"]) if behaviour.says_whether_storage_is_shared else None
        forces_host = host is not None and (forced or behaviour.forces_host_by_default)
        return cls(host, forced, forces_host, behaviour.stops_at_destination, shared, password)

    def check(self) -> None:
        """Refuse arguments that contradict each other.

        :raises ForceWithoutHost, PasswordOnSharedStorage:
        """
        if self.forced and self.host is None:
            raise ForceWithoutHost
        if self.on_shared_storage and self.password is not None:
            raise PasswordOnSharedStorage

    def order(self, instance_uuid: str, project_id: str | None, permit: Callable[[Instance], None]) -> EvacuationOrder:
        """Make of it what the engine is told, of one instance in the sight of a project."""
        return EvacuationOrder(
            instance_uuid,
            project_id,
            stops_at_destination=self.stops_at_destination,
            requested_host=self.host,
            forces_host=self.forces_host,
            on_shared_storage=self.on_shared_storage,
            permit=permit,
        )
