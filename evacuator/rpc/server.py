"""Listens for wake-ups on behalf of a compute manager."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

import oslo_messaging

from evacuator.context import RequestContext
from evacuator.rpc.serializer import ContextSerializer
from evacuator.rpc.transport import TOPIC, Transport, within
from evacuator.versions import SERVICE_VERSION, rpc_version_of

#: How long a broker that does not answer can hold up the order to stop.
STOP_SECONDS = 3.0

#: How long to wait before listening is tried again.
RETRY_SECONDS = 5.0

LOG = logging.getLogger(__name__)


class Woken(Protocol):
    """Who is woken by a message."""

    def wake_rebuild(
        self, migration_id: int, instance_uuid: str, attempt: int | None, caller: RequestContext | None = None
    ) -> None:
        """An evacuation to this host, which ``caller`` asked for, may have to be carried out."""

    def wake_order(self, instance_uuid: str, order_id: str, caller: RequestContext | None = None) -> None:
        """An order that ``caller`` gave for an instance of this host may have to be carried out."""


class ComputeEndpoint:
    """The methods that messages name. A message says where to look; the database says what is to be done.

    What else a message brings is who asked, with the token that their keys are fetched with.
    """

    target = oslo_messaging.Target(version=rpc_version_of(SERVICE_VERSION))

    def __init__(self, woken: Woken) -> None:
        self._woken = woken

    def rebuild_instance(
        self,
        context: RequestContext,
        instance: Any,
        migration: Any,
        target_state: str | None = None,  # noqa: ARG002
    ) -> None:
        """Look at an evacuation; ``target_state`` is for computes that cannot read the record, which decides here."""
        attempt = migration.attempt if "attempt" in migration else None
        self._woken.wake_rebuild(migration.id, instance.uuid, attempt, context)

    def carry_out_order(self, context: RequestContext, instance_uuid: str, order_id: str) -> None:
        """Look at an order."""
        self._woken.wake_order(instance_uuid, order_id, context)


def listen(transport: Transport, host: str, woken: Woken, retry_seconds: float = RETRY_SECONDS) -> Callable[[], None]:
    """Listen for messages to ``host`` as soon as the broker answers; return what stops that.

    Neither waits for the broker: messages are hints, and a host does its work without them.
    """
    target = oslo_messaging.Target(topic=TOPIC, server=host)
    stopping = threading.Event()
    listening: list[Any] = []

    def start() -> None:
        while not stopping.is_set():
            server = oslo_messaging.get_rpc_server(
                transport, target, [ComputeEndpoint(woken)], serializer=ContextSerializer()
            )
            try:
                server.start()
            except Exception as error:  # noqa: BLE001 - whatever the broker's library raises
                LOG.error("%s cannot listen for messages (%s); it will be tried again", host, error)  # noqa: TRY400
                stopping.wait(retry_seconds)
            else:
                listening.append(server)
                return

    def end() -> None:
        for server in listening:
            server.stop()
            server.wait()

    def stop() -> None:
        stopping.set()
        within(STOP_SECONDS, end)

    threading.Thread(target=start, name=f"{host} listens", daemon=True).start()
    return stop
