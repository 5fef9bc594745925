"""How the parts are put together; the commands choose which."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from oslo_config import cfg

from evacuator.clock import boot_clock
from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.compute.service import ComputeService, Intervals
from evacuator.compute.workers import Workers
from evacuator.db.session import PATIENCE_SECONDS, Database, open_database
from evacuator.engine.engine import Engine, Notifier, Rules, Silence
from evacuator.errors import NotConfigured
from evacuator.keys.manager import KeyManager, KeysOfHypervisors, NoKeys
from evacuator.rpc import notifier, server, transport
from evacuator.rpc.client import ComputeClient
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.rush import Rush
from evacuator.versions import RPC_VERSIONS
from evacuator.virt.driver import Driver
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings

DriverMaker = Callable[[cfg.ConfigOpts, str, Path | None], Driver]

#: What work in hand is given to come to its end when a process is told to stop, in seconds.
GRACE = 10.0


def database_of(conf: cfg.ConfigOpts, default: str | None = None, patience: int | None = PATIENCE_SECONDS) -> Database:
    """Open the configured database; ``patience`` is for one that is silent.

    :raises NotConfigured: none is configured.
    """
    url = conf.database.connection or default
    if url is None:
        raise NotConfigured(
            reason="No database is configured: set connection in the [database] section of the configuration file."
        )
    return open_database(
        url,
        pool_size=conf.database.pool_size,
        max_retries=conf.database.max_retries,
        patience=patience,
        # A heartbeat that waited for whoever froze in a transaction still comes before it counts as a gap, which is
        # after half the down time. Servers know whole seconds, and take none for "for ever".
        idle=max(1, int(conf.service_down_time / 4)),
    )


def rules_of(conf: cfg.ConfigOpts) -> Rules:
    """Read the rules of this site.

    :raises NotConfigured: they contradict each other, or one is none.
    """
    pin, report, down_time = conf.upgrade_levels.compute, conf.report_interval, conf.service_down_time
    if pin and pin not in RPC_VERSIONS:
        # oslo.messaging takes a version of another kind for one that can carry no message.
        raise NotConfigured(
            reason=f"[upgrade_levels] compute = {pin} is no version of the messages that this release knows: choose "
            f"one of {', '.join(RPC_VERSIONS)}, or remove it."
        )
    if report >= down_time / 2:
        # Whoever is heard no more often than that has a gap between any two heartbeats: see db/services.py.
        raise NotConfigured(
            reason=f"report_interval = {report:g} is too long for service_down_time = {down_time:g}: every host would "
            "seem to be silent between two heartbeats. Make the one several times the other."
        )
    return Rules(
        service_down_time=conf.service_down_time,
        claim_timeout=conf.compute.claim_timeout,
        max_assignments=conf.compute.max_assignments,
        rpc_pin=pin,
        caller_timeout=conf.encryption.caller_timeout,
    )


def intervals_of(conf: cfg.ConfigOpts) -> Intervals:
    """Read how often each periodic task runs."""
    return Intervals(
        report=conf.report_interval,
        sweep=conf.compute.sweep_interval,
        orphans=conf.compute.orphan_interval,
        clean=conf.compute.clean_interval,
        power_sync=conf.compute.power_sync_interval,
    )


@dataclass
class Messaging:
    """The transport with the client that uses it."""

    transport: transport.Transport
    rush: Rush
    outbox: Outbox
    client: ComputeClient
    notifier: Notifier
    let_go: Callable[[], None]

    def close(self) -> None:
        """Send what waits, then let go."""
        self.outbox.close()
        self.let_go()
        transport.close_transport(self.transport)


def messaging_of(conf: cfg.ConfigOpts) -> Messaging:
    """Open the configured transport, and the one of the notifications where they are wanted."""
    opened = transport.open_transport(conf)
    rush = Rush()
    outbox = Outbox(rush=rush)
    client = ComputeClient(opened, outbox, conf.upgrade_levels.compute)
    return Messaging(opened, rush, outbox, client, *notifier_of(conf))


def notifier_of(conf: cfg.ConfigOpts) -> tuple[Notifier, Callable[[], None]]:
    """Make who tells the world what happens, and what sends the rest and lets go."""
    if not conf.notifications.enabled:
        return Silence(), lambda: None
    opened = notifier.open_notifications(conf)
    # Not the outbox of the wake-ups: a listener that is away must not hold those up.
    outbox = Outbox(loss="A notification is lost", name="notifications")
    teller = notifier.BusNotifier(opened, outbox, conf.notifications.versioned_notifications_topics, conf.host)

    def let_go() -> None:
        outbox.close()
        transport.close_transport(opened)

    return teller, let_go


def engine_of(conf: cfg.ConfigOpts, database: Database, messaging: Messaging) -> Engine:
    """Put the engine together."""
    return Engine(database, messaging.client, rules_of(conf), messaging.notifier, keys_of(conf))


def keys_of(conf: cfg.ConfigOpts) -> KeyManager:
    """Make who is asked for the keys of encrypted disks.

    :raises NotConfigured: it is not installed, or lacks what it needs.
    """
    return KEY_SOURCES[conf.encryption.key_source](conf)


def castellan_keys(conf: cfg.ConfigOpts) -> KeyManager:
    """Make the key manager that castellan asks."""
    try:
        from evacuator.keys.castellan import CastellanKeys  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotConfigured(
            reason=f"[encryption] key_source = castellan needs castellan ({error}): pip install "
            "'evacuator[keymanager]'."
        ) from error
    return CastellanKeys.from_conf(conf)


#: Who ``[encryption] key_source`` may name.
KEY_SOURCES: dict[str, Callable[[cfg.ConfigOpts], KeyManager]] = {
    "none": lambda _conf: NoKeys(),
    "castellan": castellan_keys,
    "hypervisors": lambda _conf: KeysOfHypervisors(),
}


def simulated_driver(conf: cfg.ConfigOpts, host: str, state_dir: Path | None) -> Driver:
    """Make the driver of a simulated host."""
    if state_dir is None:
        raise NotConfigured(reason="The simulated driver keeps its guests in files: say where with --state-dir.")
    return SimulatedDriver(host, state_dir / FOLDER, SimulatedSettings.from_conf(conf))


def libvirt_driver(conf: cfg.ConfigOpts, host: str, _state_dir: Path | None) -> Driver:
    """Make the driver of a host that libvirt manages."""
    try:
        from evacuator.virt.libvirt.driver import LibvirtDriver  # noqa: PLC0415 - an extra
        from evacuator.virt.libvirt.settings import LibvirtSettings  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotConfigured(
            reason=f"The libvirt driver needs libvirt's Python bindings ({error}): pip install "
            "'evacuator[libvirt]', or the package python3-libvirt."
        ) from error
    return LibvirtDriver(host, LibvirtSettings.from_conf(conf, host))


#: The drivers that ``[compute] driver`` may name.
DRIVERS: dict[str, DriverMaker] = {"simulated": simulated_driver, "libvirt": libvirt_driver}


def driver_of(conf: cfg.ConfigOpts, host: str, state_dir: Path | None) -> Driver:
    """Make the configured driver for ``host``.

    :raises NotConfigured: it is not installed, or lacks what it needs.
    """
    make = DRIVERS.get(conf.compute.driver)
    if make is None:
        raise NotConfigured(reason=f"[compute] driver = {conf.compute.driver} is not available in this installation.")
    return make(conf, host, state_dir)


def compute_service(conf: cfg.ConfigOpts, engine: Engine, messaging: Messaging, driver: Driver) -> ComputeService:
    """Put the compute manager of one host together with its timers."""
    host = Host(driver.host, engine, driver, boot_clock, rebuild_from_image=conf.compute.rebuild_from_image)
    workers = Workers(conf.compute.max_concurrent_evacuations, f"{driver.host} worker")
    manager = ComputeManager(host, workers, incarnation=str(uuid4()))
    listen = partial(server.listen, messaging.transport, driver.host, manager)
    return ComputeService(manager, workers, intervals_of(conf), listen)


def tell_systemd(state: str) -> None:
    """Tell the service manager that started us, if it asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.sendall(state.encode())
