"""Find a destination and claim its room, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from evacuator.db import nodes
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.evacuation.destination import Candidate, Need, obstacle, rank

#: How many hosts a refusal names.
NAMED = 5


@dataclass(frozen=True)
class NoValidHost:
    """No host can take the instance; ``reasons`` says why not, host by host."""

    requested: str | None
    reasons: Sequence[str]

    @property
    def without_hosts(self) -> str:
        """Say it as clients know it."""
        return "No valid host was found." + ("" if self.requested else " There are not enough hosts available.")

    @property
    def sentence(self) -> str:
        """Say it as clients know it, then why, then what to do."""
        why = "; ".join(self.reasons[:NAMED]) or "no compute host has that much memory free"
        more = f"; and {len(self.reasons) - NAMED} more" if len(self.reasons) > NAMED else ""
        return f"{self.without_hosts} Host by host: {why}{more}. Free or add a host, then evacuate again."


def claim_destination(
    engine: Engine, transaction: Transaction, instance_uuid: str, need: Need
) -> Candidate | NoValidHost:
    """Claim room for an instance on the best host there is.

    The claim itself decides whether there is room, so that any number of these may run at once.
    """
    reasons: list[str] = []
    down_time = engine.rules.service_down_time
    for page in nodes.candidates(transaction, down_time, instance_uuid, need.room, need.requested):
        for host in rank(need, page):
            if nodes.claim(transaction, host.host, instance_uuid, need.room):
                return host
        refused = [(host, obstacle(need, host) or "was filled by others at the same moment") for host in page]
        reasons += [f"{host.host} {why}" for host, why in refused]
    return NoValidHost(need.requested, reasons)
