"""What was promised to each server, and whether what was seen is that. Pure: it can be shown wrong observations."""

from dataclasses import dataclass

#: (microversion, state before) -> state after. Only a guest that ends ACTIVE is powered on, and that once.
PROMISES = {
    ("2.94", "ACTIVE"): "ACTIVE",
    ("2.94", "SHUTOFF"): "SHUTOFF",
    ("2.94", "ERROR"): "ACTIVE",
    ("2.95", "ACTIVE"): "SHUTOFF",
    ("2.95", "SHUTOFF"): "SHUTOFF",
    ("2.95", "ERROR"): "SHUTOFF",
}


@dataclass(frozen=True)
class Observed:
    """What was seen of one server; ``power_ons``: lines of any host's journal since its evacuation was asked for."""

    name: str
    before: str
    microversion: str
    source: str
    host: str | None
    after: str
    evacuation: str
    power_ons: int

    @property
    def promised(self) -> str:
        """The state that it had to end in."""
        return PROMISES[self.microversion, self.before]

    @property
    def problems(self) -> list[str]:
        """What is not as it was promised."""
        allowed = 1 if self.promised == "ACTIVE" else 0
        wrong = (
            (self.evacuation not in ("done", "completed"), f"the evacuation ended {self.evacuation}"),
            (self.host in (None, self.source), f"it is on {self.host or 'no host'}"),
            (self.after != self.promised, f"it is {self.after}, not {self.promised}"),
            (self.power_ons != allowed, f"it was powered on {times(self.power_ons)}, not {times(allowed)}"),
        )
        return [problem for is_so, problem in wrong if is_so]


def times(number: int) -> str:
    """Say how often."""
    return {0: "never", 1: "once"}.get(number, f"{number} times")
