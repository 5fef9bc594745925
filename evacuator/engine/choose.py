"""Find a destination and claim its room, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def choose_destination(
    engine: Engine, transaction: Transaction, instance_uuid: str, need: Need
) -> Candidate | NoValidHost:
    """Return the best host there is; only a claim tells whether it still has the room."""
    reasons: list[str] = []
    down_time = engine.rules.service_down_time
    for page in nodes.candidates(transaction, down_time, instance_uuid, need.room, need.requested):
        fit = rank(need, page)
        if fit:
            return fit[0]
        reasons += [f"{host.host} {obstacle(need, host)}" for host in page]
    return NoValidHost(need.requested, reasons)


def claim_destination(
    engine: Engine, transaction: Transaction, instance_uuid: str, need: Need
) -> Candidate | NoValidHost:
    """Claim room for an instance on the best host there is.

    The claim itself decides whether there is room, so that any number of these may run at once.
    """
    while True:
        chosen = choose_destination(engine, transaction, instance_uuid, need)
        if isinstance(chosen, NoValidHost) or nodes.claim(transaction, chosen.host, instance_uuid, need.room):
            return chosen
        need = replace(need, filled=need.filled | {chosen.host})
