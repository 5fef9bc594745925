"""Serve HTTP until told to stop."""

import ipaddress
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import prometheus_client
from oslo_config import cfg

from evacuator import metrics
from evacuator.errors import NotConfigured

#: What a client has to be told, by the strategy by which callers prove who they are.
CLIENTS = {
    "noauth": "For the OpenStack clients:\n"
    "export OS_AUTH_TYPE=none\n"
    "export OS_ENDPOINT={endpoint}\n"
    "export OS_IDENTITY_API_VERSION=3",
    "http_basic": "For the OpenStack clients, beside OS_USERNAME and OS_PASSWORD:\n"
    "export OS_AUTH_TYPE=http_basic\n"
    "export OS_ENDPOINT={endpoint}\n"
    "export OS_IDENTITY_ENDPOINT_OVERRIDE={endpoint}\n"
    "export OS_IDENTITY_API_VERSION=3",
    "keystone": "The OpenStack clients look in Keystone's catalog for the endpoint of the service of type compute:\n"
    "{endpoint}",
}


def check_address(conf: cfg.ConfigOpts, address: str) -> None:
    """Refuse to let everybody in by accident.

    :raises NotConfigured: without authentication, on an address that others reach, and not in so many words.
    """
    if conf.api.auth_strategy != "noauth" or conf.api.noauth_any_address or _is_loopback(address):
        return
    raise NotConfigured(
        reason=f"[api] auth_strategy = noauth lets everybody who reaches {address} in as administrator, so it "
        "serves on loopback only. Choose http_basic or keystone, listen on 127.0.0.1, or, if everybody who reaches "
        "that address may do everything, set [api] noauth_any_address = true."
    )


def check_unknown_address(conf: cfg.ConfigOpts) -> None:
    """Refuse the same to a server that does not say on which address it is.

    :raises NotConfigured:
    """
    if conf.api.auth_strategy != "noauth" or conf.api.noauth_any_address:
        return
    raise NotConfigured(
        reason="[api] auth_strategy = noauth lets everybody in as administrator, so it serves on loopback only, and "
        "nobody knows on which address the WSGI server listens. Choose http_basic or keystone, use `evacuator api`, "
        "or, if everybody who reaches that address may do everything, set [api] noauth_any_address = true."
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def show_metrics(conf: cfg.ConfigOpts) -> Callable[[], None]:
    """Show the metrics of a compute manager on a port of their own, if one is configured; return what ends that.

    :raises NotConfigured: somebody else listens there.
    """
    address, port = conf.compute.metrics_address, conf.compute.metrics_port
    if port is None:
        return lambda: None
    try:
        server, _thread = prometheus_client.start_http_server(port, address, metrics.REGISTRY)
    except OSError as error:
        raise NotConfigured(
            reason=f"Cannot show metrics on {address} port {port} ([compute] metrics_port): {error}."
        ) from error
    return server.shutdown


@contextmanager
def told_to_stop() -> Iterator[Callable[..., None]]:
    """Within this, SIGTERM and SIGINT end the wait that is yielded; a second one ends the process.

    So does any of the events that it is given.
    """
    stopping = threading.Event()

    def stop(signum: int, _frame: FrameType | None) -> None:
        signal.signal(signum, signal.SIG_DFL)
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda *events: _wait(stopping, events)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(stopping: threading.Event, others: Sequence[threading.Event]) -> None:
    # Not for ever at once: a signal that another thread took is then noticed all the same.
    while not (stopping.wait(1.0) or any(other.is_set() for other in others)):
        pass
