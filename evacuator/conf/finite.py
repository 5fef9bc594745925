"""Numbers that are numbers: ``nan`` is neither above nor below any limit, and nobody waits for ``inf`` seconds."""

import math
from typing import Any

from oslo_config import cfg, types


class Finite(types.Float):
    """A floating point value; neither ``nan`` nor infinite, both of which oslo.config takes for one."""

    def __call__(self, value: Any) -> int | float | None:
        """Read a number.

        :raises ValueError: it is none, is too small, or is not finite.
        """
        number = super().__call__(value)
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{number} is not a finite number")
        return number


class FiniteOpt(cfg.Opt):
    """An option that is such a number."""

    def __init__(self, name: str, *, min: float, **options: Any) -> None:  # noqa: A002 - as oslo.config calls it
        super().__init__(name, type=Finite(min=min), **options)
