"""What every verb of the engine needs: the database, a way to wake compute managers, and the rules of this site."""

from dataclasses import dataclass
from typing import Protocol

from evacuator.context import RequestContext
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Database


@dataclass(frozen=True)
class Rules:
    """How long things may take, in seconds, and how often they are tried."""

    service_down_time: float = 60.0
    claim_timeout: float = 300.0
    max_assignments: int = 3
    rpc_pin: str | None = None


class Casts(Protocol):
    """Wakes compute managers. A wake-up may be lost, doubled or late: the database is the truth.

    No call waits for a broker.
    """

    def can_send_target_state(self) -> bool:
        """Tell whether the RPC pin, if any, allows a message that carries the state to end in."""

    def rebuild_instance(
        self, context: RequestContext, record: Migration, instance: Instance, service_version: int
    ) -> None:
        """Tell the record's destination that it has an evacuation to work on."""

    def carry_out_order(self, context: RequestContext, host: str, instance_uuid: str, order_id: str) -> None:
        """Tell ``host`` that an instance of its own has an order waiting."""


@dataclass(frozen=True)
class Engine:
    """The collaborators of every verb."""

    database: Database
    casts: Casts
    rules: Rules
