"""The manager of one host: its parts wired together, and what they do when they are woken or their time has come."""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import asdict
from typing import Any, Protocol

from evacuator.compute.cleaning import Cleaner
from evacuator.compute.heartbeat import Heartbeat
from evacuator.compute.host import Host
from evacuator.compute.orders import OrderBook
from evacuator.compute.rebuild import Rebuilder
from evacuator.context import RequestContext
from evacuator.db.models import Instance
from evacuator.engine import claim, orders, service, sync, takeover
from evacuator.engine.service import Pulse
from evacuator.errors import DatabaseUnavailable, EvacuatorError, HypervisorUnknown
from evacuator.evacuation.states import PowerState

LOG = logging.getLogger(__name__)


class Submits(Protocol):
    """Where work is done: a bounded pool of threads, or a simulator's queue."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Do ``work`` some time soon."""


class ComputeManager:
    """One host's compute manager.

    It has no thread and no timer of its own: whoever runs it calls ``start``, then ``beat``, ``sweep``, ``settle``,
    ``clean`` and ``sync_power`` periodically, and ``wake_*`` for each message.
    """

    def __init__(self, host: Host, workers: Submits, incarnation: str) -> None:
        self.host = host
        self._workers = workers
        self._pulse = Pulse(host.name, incarnation)
        self._cleaner = Cleaner(host)
        self._heartbeat = Heartbeat(host, self._pulse, self._cleaner)
        self._rebuilder = Rebuilder(host, self._cleaner)
        self._orders = OrderBook(host)
        #: What is being worked on, and who asked for it.
        self._in_hand: dict[Hashable, list[RequestContext]] = {}
        self._guard = threading.Lock()

    @property
    def up(self) -> bool:
        """Whether the last heartbeat was taken."""
        return self._heartbeat.up

    def start(self) -> None:
        """Register the service under a new incarnation; the first ``beat`` that succeeds makes it up.

        :raises HypervisorUnknown: what the host has is not known.
        """
        facts: dict[str, Any] = asdict(self.host.driver.facts())
        service.register_service(self.host.engine, self._pulse, self._pulse.incarnation, facts, self.host.version)
        self.host.driver.watch(self._changed)

    def beat(self) -> bool:
        """Report up once, after cleaning where that is due.

        :raises Superseded: this manager must stop.
        """
        return self._heartbeat.beat()

    def sweep(self) -> None:
        """Pick up every evacuation to this host, and every order for it, that is not in hand: lost casts, restarts."""
        if not self.up:
            return
        engine, name = self.host.engine, self.host.name
        for record in claim.waiting_evacuations(engine, name):
            self.wake_rebuild(record.id, record.instance_uuid, record.attempt)
        for uuid, order_id in orders.waiting_orders(engine, name):
            self.wake_order(uuid, order_id)

    def settle(self) -> None:
        """Take evacuations away from destinations that are silent."""
        if self.up:
            takeover.settle_orphans(self.host.engine, self.host.context)

    def clean(self) -> None:
        """Compare the inventory with the database."""
        if self.up:
            self._cleaner.clean()

    def sync_power(self) -> None:
        """Record the power state of every guest that changed by itself."""
        if not self.up:
            return
        expected = sync.idle_instances(self.host.engine, self.host.name)
        found = {guest.uuid: guest.power_state for guest in self.host.driver.inventory()}
        for instance in expected:
            self._learn(instance, found.get(instance.uuid))

    def wake_rebuild(
        self, migration_id: int, instance_uuid: str, attempt: int | None, caller: RequestContext | None = None
    ) -> None:
        """Have an evacuation carried out, unless it is in hand already; ``caller``: who asked for it, if known."""
        self._take_in_hand(
            ("migration", migration_id),
            lambda: self._rebuilder.rebuild(migration_id, instance_uuid, attempt),
            instance_uuid,
            caller,
        )

    def wake_order(self, instance_uuid: str, order_id: str, caller: RequestContext | None = None) -> None:
        """Have an order carried out, unless it is in hand already; ``caller``: who gave it, if known."""
        self._take_in_hand(
            ("order", instance_uuid, order_id),
            lambda: self._orders.carry_out(instance_uuid, order_id),
            instance_uuid,
            caller,
        )

    def _changed(self, uuid: str, _state: PowerState) -> None:
        # What the hypervisor tells may be about an order that is being carried out, or old: look, and then believe it.
        self._take_in_hand(("power", uuid), lambda: self._look_at(uuid), uuid)

    def _look_at(self, uuid: str) -> None:
        expected = sync.idle_instance(self.host.engine, self.host.name, uuid)
        if expected:
            found = self.host.driver.find(uuid)
            self._learn(expected, found.power_state if found else None)

    def _learn(self, expected: Instance, found: PowerState | None) -> None:
        if sync.is_news(expected, found):
            LOG.info("%s: guest %s is %s by itself", self.host.name, expected.uuid, found.name if found else "gone")
            sync.record_power_state(self.host.engine, self.host.name, expected, found)

    def _take_in_hand(
        self, key: Hashable, work: Callable[[], None], instance_uuid: str, caller: RequestContext | None = None
    ) -> None:
        with self._guard:
            in_hand = key in self._in_hand
            if caller is not None:
                # Also for work in hand, which may have been found without its caller and not need them until later.
                self.host.callers.remember(caller, instance_uuid)
                self._in_hand.setdefault(key, []).append(caller)
            elif not in_hand:
                self._in_hand[key] = []
        if not in_hand:
            self._workers.submit(lambda: self._do(key, work, instance_uuid))

    def _do(self, key: Hashable, work: Callable[[], None], instance_uuid: str) -> None:
        try:
            work()
        except (HypervisorUnknown, DatabaseUnavailable) as unknown:
            LOG.warning("%s: %s is left as it is: %s", self.host.name, key, unknown)
        except EvacuatorError:
            LOG.exception("%s: %s could not be carried out", self.host.name, key)
        except Exception:
            LOG.exception("%s: %s failed unexpectedly; it will be tried again", self.host.name, key)
        finally:
            with self._guard:
                for caller in self._in_hand.pop(key):
                    self.host.callers.forget(caller, instance_uuid)
