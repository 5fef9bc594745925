"""What was found, as a table."""

from collections.abc import Iterator
from typing import Any


def table(title: str, found: dict[str, Any]) -> str:
    """Return every figure on a line of its own, by its path."""
    rows = list(_rows(found))
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"\n{title}", *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _rows(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        here = f"{path} / {name}" if path else name
        if isinstance(value, dict):
            yield from _rows(value, here)
        else:
            yield here, value
