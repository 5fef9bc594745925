"""Tells the world what happened, in Nova's versioned notifications."""

from typing import Any

import oslo_messaging
from oslo_config import cfg

from evacuator.evacuation.events import Event
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.payloads import payload_of, publisher_of
from evacuator.rpc.transport import Transport, register, usable

SECTION = "oslo_messaging_notifications"


def open_notifications(conf: cfg.ConfigOpts) -> Transport:
    """Open what notifications travel on: what their own section names, or else what the other messages do.

    ``conf`` must be the global ``cfg.CONF``, as for those.

    :raises NotConfigured: it cannot be used.
    """
    register(conf, "transport_url", SECTION)
    url = conf[SECTION].transport_url
    with usable(conf, f"[{SECTION}] transport_url" if url else "transport_url", url or conf.transport_url):
        opened = oslo_messaging.get_notification_transport(conf)
    conf.set_default("driver", ["messagingv2"], group=SECTION)
    # A broker that is away must not keep the newer ones waiting for ever.
    conf.set_default("retry", 2, group=SECTION)
    return opened


class BusNotifier:
    """Sends notifications by oslo.messaging. Nothing here waits for a broker: the outbox does.

    ``here``: the machine that publishes what happens on no compute host.
    """

    listens = True

    def __init__(self, transport: Transport, outbox: Outbox, topics: list[str], here: str) -> None:
        self._notifier: Any = oslo_messaging.Notifier(transport, topics=topics)
        self._outbox = outbox
        self._here = here

    def send(self, event: Event) -> None:
        """Have an event told soon."""
        self._outbox.put(lambda: self._send(event))

    def _send(self, event: Event) -> None:
        prepared = self._notifier.prepare(publisher_id=publisher_of(event, self._here))
        tell = prepared.error if event.reason is not None else prepared.info
        # Who asked is in the payload; the context is not told, since it may hold a token.
        tell({}, event.name, payload_of(event))
