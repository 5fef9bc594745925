"""Flavors: the sizes that instances are made in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oslo_db import exception as db_errors
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from evacuator.db.models import Flavor
from evacuator.db.writes import Facts, change, remove
from evacuator.errors import FlavorExists, FlavorNotFound


@dataclass(frozen=True)
class Size:
    """A flavor as data: memory in MiB, disk in GiB."""

    flavorid: str
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int


#: What a new site starts with.
STANDARD = (
    Size("1", "m1.tiny", 1, 512, 1),
    Size("2", "m1.small", 1, 2048, 20),
    Size("3", "m1.medium", 2, 4096, 40),
    Size("4", "m1.large", 4, 8192, 80),
    Size("5", "m1.xlarge", 8, 16384, 160),
)


def get(session: Session, flavorid: str, *, sees_private: bool = True) -> Flavor:
    """Return a flavor by the id that clients use; one that is not public only to who ``sees_private``.

    :raises FlavorNotFound:
    """
    flavor = find(session, flavorid, sees_private=sees_private)
    if flavor is None:
        raise FlavorNotFound(flavor_id=flavorid)
    return flavor


def find(session: Session, flavorid: str, *, sees_private: bool) -> Flavor | None:
    """Return the flavor of this id in the caller's sight."""
    flavor = session.scalars(select(Flavor).where(Flavor.flavorid == flavorid)).one_or_none()
    return flavor if flavor is not None and (sees_private or flavor.is_public) else None


def add(session: Session, values: Mapping[str, Any]) -> None:
    """Add a flavor.

    :raises FlavorExists: another one has its name or its id.
    """
    for attribute, word in (("name", "name"), ("flavorid", "ID")):
        taken = select(Flavor.id).where(getattr(Flavor, attribute) == values[attribute])
        if session.scalar(taken) is not None:
            raise FlavorExists(attribute=word, value=values[attribute])
    try:
        session.execute(insert(Flavor).values(**values))
    except db_errors.DBDuplicateEntry as error:
        raise FlavorExists(attribute="name or ID", value=f"{values['name']}, {values['flavorid']}") from error


def edit(session: Session, flavorid: str, values: Facts) -> None:
    """Write to a flavor.

    :raises FlavorNotFound:
    """
    if not change(session, Flavor, {"flavorid": flavorid}, values):
        raise FlavorNotFound(flavor_id=flavorid)


def delete(session: Session, flavorid: str) -> None:
    """Forget a flavor; instances keep what it was.

    :raises FlavorNotFound:
    """
    if not remove(session, Flavor, {"flavorid": flavorid}):
        raise FlavorNotFound(flavor_id=flavorid)


def add_standard(session: Session) -> None:
    """Add the standard flavors, if there is no flavor at all."""
    if session.scalar(select(Flavor.id).limit(1)) is None:
        for size in STANDARD:
            add(session, vars(size))
