"""Flavors."""

from dataclasses import dataclass
from typing import Any

from evacuator.api.links import Links
from evacuator.api.microversions import Behaviours
from evacuator.db.models import Flavor


@dataclass(frozen=True)
class FlavorView:
    """Shows flavors to one caller."""

    behaviour: Behaviours
    links: Links

    def brief(self, flavor: Flavor) -> dict[str, Any]:
        """Show a flavor as a list does."""
        return self._fit(
            {
                "id": flavor.flavorid,
                "name": flavor.name,
                "description": flavor.description,
                "links": self.links.both("flavors", flavor.flavorid),
            }
        )

    def whole(self, flavor: Flavor) -> dict[str, Any]:
        """Show all of a flavor."""
        no_swap = 0 if self.behaviour.shows_no_swap_as_zero else ""
        return self._fit(
            self.brief(flavor)
            | {
                "ram": flavor.memory_mb,
                "disk": flavor.root_gb,
                "vcpus": flavor.vcpus,
                "swap": flavor.swap or no_swap,
                "rxtx_factor": flavor.rxtx_factor,
                "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gb,
                "OS-FLV-DISABLED:disabled": flavor.disabled,
                "os-flavor-access:is_public": flavor.is_public,
                "extra_specs": flavor.extra_specs,
            }
        )

    def _fit(self, shown: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in shown.items() if key not in self.behaviour.flavor_absent}
