"""The way messages take: in-process (``fake://``), or a broker."""

import importlib
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts

from evacuator.errors import NotConfigured

TOPIC = "compute"

TRACING = "oslo_messaging_tracing"

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
    known = next(options for group, options in opts.list_opts() if group is None)
    conf.register_opts([option for option in known if option.dest == name])
    conf.set_default(name, value)


def open_transport(conf: cfg.ConfigOpts) -> Transport:
    """Open the transport that ``transport_url`` names.

    ``conf`` must be the global ``cfg.CONF``: oslo.messaging registers some of its options nowhere else.

    :raises NotConfigured: it names none, or tracing is wanted and not installed.
    """
    _prepare_tracing(conf)
    # Who receives a message only hands it on. The library's default is 64 threads, all of which come to be.
    _set_default(conf, "executor_thread_pool_size", 2)
    try:
        return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])
    except oslo_messaging.MessagingException as error:
        raise NotConfigured(reason=f"transport_url cannot be used: {error}.") from error


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
