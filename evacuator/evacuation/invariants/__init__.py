"""What must hold at any moment, as checks over plain facts: the same for every test and for ``evacuator verify``.

``facts`` is what somebody has read, ``codes`` names what can be wrong, and each other module checks one side of it.
"""

from collections.abc import Callable, Iterator

from evacuator.evacuation.invariants import books, guests, history, records
from evacuator.evacuation.invariants.codes import Finding
from evacuator.evacuation.invariants.facts import Site

CHECKS: tuple[Callable[[Site], Iterator[Finding]], ...] = (
    books.totals,
    books.claims,
    records.locks,
    records.tasks,
    records.endings,
    records.orders,
    records.hosts,
    records.versions,
    guests.copies,
    guests.places,
    guests.power,
    guests.promises,
    guests.disks,
    history.orders,
    history.overlaps,
)


def findings(site: Site) -> list[Finding]:
    """Return everything that is wrong, or worth a note, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(site)]
