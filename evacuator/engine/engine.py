"""What every verb of the engine needs.

The database, a way to wake compute managers, the rules of this site, somebody to tell what happens, and who has the
keys of encrypted disks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from evacuator.clock import boot_clock
from evacuator.context import RequestContext
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Database
from evacuator.errors import RequestTooOld
from evacuator.evacuation.events import Event
from evacuator.keys.manager import KeyManager, NoKeys


@dataclass(frozen=True)
class Rules:
    """How long things may take, in seconds, and how often they are tried.

    ``caller_timeout``: how long the start of an encrypted guest waits for the message that brings its caller's token.
    ``request_timeout``: how long whoever asked for a change is taken to wait for the answer.
    """

    service_down_time: float = 60.0
    claim_timeout: float = 300.0
    max_assignments: int = 3
    rpc_pin: str | None = None
    caller_timeout: float = 9.0
    request_timeout: float = 60.0


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


class Notifier(Protocol):
    """Tells the world what happened. No call waits for a broker, and none fails."""

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""

    def send(self, event: Event) -> None:
        """Tell of an event, soon."""


class Silence:
    """Tells nobody: nothing is even looked up to be told."""

    listens = False

    def send(self, event: Event) -> None:
        """Keep it to itself."""


@dataclass(frozen=True)
class Engine:
    """The collaborators of every verb. ``clock`` counts the seconds that a suspended machine slept, too."""

    database: Database
    casts: Casts
    rules: Rules
    notifier: Notifier = field(default_factory=Silence)
    keys: KeyManager = field(default_factory=NoKeys)
    clock: Callable[[], float] = boot_clock

    def still_wanted(self, context: RequestContext) -> None:
        """Refuse a request that came to this process, by ``clock``, longer ago than clients wait.

        Whoever asked has given up, and has perhaps asked for something else since: what a process was frozen over must
        not start a guest after an evacuation that promised silence. Each run of a transaction begins with this, once it
        knows that no earlier run was committed.

        :raises RequestTooOld:
        """
        if context.begun is None:
            return
        age = self.clock() - context.begun
        if age > self.rules.request_timeout:
            raise RequestTooOld(age=age)
