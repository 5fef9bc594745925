"""Flavors, as operators make and change them. What instances were made in stays as it was."""

from collections.abc import Callable, Mapping
from typing import Any

from evacuator.db import flavors
from evacuator.db.models import Flavor
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.errors import ExtraSpecNotFound


def create_flavor(engine: Engine, values: Mapping[str, Any]) -> Flavor:
    """Make a flavor; ``values`` are by column.

    :raises FlavorExists:
    """

    def work(transaction: Transaction) -> Flavor:
        flavors.add(transaction, values)
        return flavors.get(transaction, values["flavorid"])

    return engine.database.write(work)


def describe_flavor(engine: Engine, flavor_id: str, description: str | None) -> Flavor:
    """Change what is said of a flavor.

    :raises FlavorNotFound:
    """

    def work(transaction: Transaction) -> Flavor:
        flavors.edit(transaction, flavor_id, {"description": description})
        return flavors.get(transaction, flavor_id)

    return engine.database.write(work)


def delete_flavor(engine: Engine, flavor_id: str) -> None:
    """Forget a flavor.

    :raises FlavorNotFound:
    """
    engine.database.write(lambda transaction: flavors.delete(transaction, flavor_id))


def set_extra_specs(engine: Engine, flavor_id: str, specs: Mapping[str, str]) -> dict[str, Any]:
    """Add to the extra specs of a flavor, and return them all.

    :raises FlavorNotFound:
    """
    return _change_specs(engine, flavor_id, lambda found: found | dict(specs))


def delete_extra_spec(engine: Engine, flavor_id: str, key: str) -> None:
    """Take an extra spec from a flavor.

    :raises FlavorNotFound, ExtraSpecNotFound:
    """

    def without(found: dict[str, Any]) -> dict[str, Any]:
        if key not in found:
            raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
        return {name: value for name, value in found.items() if name != key}

    _change_specs(engine, flavor_id, without)


def _change_specs(engine: Engine, flavor_id: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    def work(transaction: Transaction) -> dict[str, Any]:
        changed = edit(flavors.get(transaction, flavor_id).extra_specs)
        flavors.edit(transaction, flavor_id, {"extra_specs": changed})
        return changed

    return engine.database.write(work)
