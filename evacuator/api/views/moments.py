"""How moments are written."""

from datetime import datetime


def to_second(moment: datetime | None) -> str | None:
    """Write as servers do: ``2026-01-31T12:00:00Z``."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def to_microsecond(moment: datetime | None) -> str | None:
    """Write as everything else does: ``2026-01-31T12:00:00.000000``, in UTC, without saying so."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}"
