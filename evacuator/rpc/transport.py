"""The way messages take: in-process (``fake://``), or a broker."""

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts

from evacuator.errors import NotConfigured

TOPIC = "compute"

TRACING = "oslo_messaging_tracing"

RABBIT = "oslo_messaging_rabbit"

#: The library's default, which is a broker on this machine. Whoever writes more than that means another one.
LOCAL_BROKER = "rabbit://"

LIKE = "rabbit://USER:PASSWORD@HOST:5672/VHOST"

#: What RabbitMQ's driver opens whenever it connects, and does not name when it cannot.
TLS_FILES = ("ssl_ca_file", "ssl_cert_file", "ssl_key_file")

#: The module of the exporter for each protocol.
EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}

#: What a message travels on; untyped, as its library is.
Transport: TypeAlias = Any


def prefer_in_process(conf: cfg.ConfigOpts) -> None:
    """Make ``fake://`` the transport where none is configured."""
    _set_default(conf, "transport_url", "fake://")


def _set_default(conf: cfg.ConfigOpts, name: str, value: object) -> None:
    register(conf, name)
    conf.set_default(name, value)


def register(conf: cfg.ConfigOpts, name: str, section: str | None = None) -> None:
    """Register one of oslo.messaging's own options, before it does so itself."""
    known = next(options for group, options in opts.list_opts() if group == section)
    conf.register_opts([option for option in known if option.dest == name], group=section)


def open_transport(conf: cfg.ConfigOpts) -> Transport:
    """Open the transport that ``transport_url`` names.

    ``conf`` must be the global ``cfg.CONF``: oslo.messaging registers some of its options nowhere else.

    :raises NotConfigured: it names none, or tracing is wanted and not installed.
    """
    _prepare_tracing(conf)
    # Who receives a message only hands it on. The library's default is 64 threads, all of which come to be.
    _set_default(conf, "executor_thread_pool_size", 2)
    register(conf, "transport_url")
    with usable(conf, "transport_url", conf.transport_url):
        return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])


@contextmanager
def usable(conf: cfg.ConfigOpts, option: str, url: str) -> Iterator[None]:
    """Open within this the transport that ``option`` names by ``url``.

    :raises NotConfigured: it cannot be used, names no broker, or needs files that cannot be read.
    """
    parsed = _parse(conf, option, url)
    try:
        yield
    except (oslo_messaging.MessagingException, ValueError, ImportError) as error:
        raise NotConfigured(reason=f"{option} cannot be used: {error}.") from error
    if parsed.transport == "rabbit":
        _require_files(conf, parsed.query)


def _parse(conf: cfg.ConfigOpts, option: str, url: str) -> Any:
    # Neither refusal repeats the URL, which has a password in it; what the library says of a port may be part of that.
    try:
        parsed = oslo_messaging.TransportURL.parse(conf, url)
    except oslo_messaging.MessagingException as error:
        raise NotConfigured(reason=f"{option} cannot be used: {error}.") from error
    except ValueError as error:
        raise NotConfigured(
            reason=f"{option} cannot be used: a port in it is no number. It is like {LIKE}; in a password, / is "
            "written as %2F, @ as %40, % as %25 and $ as %24."
        ) from error
    named = bool(parsed.hosts) and all(host.hostname for host in parsed.hosts)
    if parsed.transport == "rabbit" and not named and url != LOCAL_BROKER:
        raise NotConfigured(reason=f"{option} names no broker: it is like {LIKE}, with two slashes before the user.")
    if any(":" in (host.hostname or "") and f"[{host.hostname}]" not in url for host in parsed.hosts):
        raise NotConfigured(reason=f"{option} names a broker with too many colons: an IPv6 address stands in brackets.")
    if len({host.username is None for host in parsed.hosts}) > 1:
        raise NotConfigured(reason=f"{option} has a broker without a user: each has USER:PASSWORD@ of its own.")
    return parsed


def _require_files(conf: cfg.ConfigOpts, query: Mapping[str, str]) -> None:
    if not (conf[RABBIT].ssl or "ssl" in query):
        return
    for name in TLS_FILES:
        path = query.get(name) or conf[RABBIT][name]
        if path and not os.access(path, os.R_OK):
            raise NotConfigured(reason=f"[{RABBIT}] {name} = {path} cannot be read: is it there, and for this user?")


def _prepare_tracing(conf: cfg.ConfigOpts) -> None:
    """Import what oslo.messaging 18.3 takes for imported when it traces, so that one option switches that on."""
    conf.set_default("tracing_service_name", "evacuator", group=TRACING)
    if not conf[TRACING].tracing_enabled:
        return
    try:
        importlib.import_module(EXPORTERS[conf[TRACING].otlp_protocol])
    except ImportError as error:
        raise NotConfigured(
            reason=f"[{TRACING}] tracing_enabled needs OpenTelemetry's exporter ({error}): pip install "
            "'evacuator[tracing]', or oslo.messaging[tracing-grpc] for otlp_protocol = grpc."
        ) from error


def close_transport(transport: Transport, timeout: float = 3.0) -> None:
    """Say goodbye to the broker, if it listens within ``timeout`` seconds; it notices otherwise, too."""
    within(timeout, transport.cleanup)


def within(timeout: float, goodbye: Callable[[], None]) -> None:
    """Do ``goodbye``, and wait ``timeout`` seconds at most for its end: a broker that is silent is not waited for."""
    thread = threading.Thread(target=goodbye, name="goodbye", daemon=True)
    thread.start()
    thread.join(timeout)
