"""Masakari's answer to a dead host, call by call, with the client and the version that its engine uses."""

from collections.abc import Callable
from typing import Any

import pytest
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token
from novaclient import client
from novaclient.exceptions import Conflict

from tests.acceptance.site import Site, until
from tests.clients.conftest import Boot

Die = Callable[[str], None]

#: They are the client's own: what it will drop, and sockets that it leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")

EVACUABLE = ("active", "error", "stopped")


@pytest.fixture(scope="module")
def nova(site: Site) -> Any:
    return client.Client("2.53", session=Session(auth=Token(f"{site.url}/v2.1", "admin")))


def state_of(server: Any) -> str:
    return str(getattr(server, "OS-EXT-STS:vm_state"))


def host_of(server: Any) -> str:
    return str(getattr(server, "OS-EXT-SRV-ATTR:hypervisor_hostname"))


def disable(nova: Any, host: str) -> None:
    (service,) = nova.services.list(host=host, binary="nova-compute")
    nova.services.disable_log_reason(service.id, "Masakari detected host failed.")


def evacuate(nova: Any, server: Any, reserved: str | None) -> None:
    """Lock it, evacuate it, wait until it is elsewhere in the state it had, and unlock it."""
    instance = nova.servers.get(server.id)
    assert nova.servers.get(instance.id).locked is False
    nova.servers.lock(instance.id)
    before, source = state_of(instance), host_of(instance)
    if before not in EVACUABLE or getattr(instance, "OS-EXT-STS:task_state") is not None:
        nova.servers.reset_state(instance.id, "error")
        before = state_of(nova.servers.get(instance.id))
    nova.servers.evacuate(instance.id, host=reserved)

    def arrived() -> bool:
        current = nova.servers.get(instance.id)
        after = state_of(current)
        assert after != "error" or before == "error", current.fault
        return host_of(current) != source and (after == before or (before, after) == ("error", "active"))

    until(arrived, 30, f"{instance.name} to be evacuated")
    if before == "error":
        nova.servers.stop(instance.id)
        until(lambda: state_of(nova.servers.get(instance.id)) == "stopped", 20, "it to be stopped")
    nova.servers.unlock(instance.id)


@pytest.mark.parametrize("reserved", [None, "d"])
def test_a_dead_host_is_recovered(nova: Any, site: Site, boot: Boot, dead: Die, reserved: str | None) -> None:
    servers = {status: boot(f"{status}-{reserved}", "a", status) for status in ("ACTIVE", "SHUTOFF", "ERROR")}
    dead("a")
    disable(nova, "a")
    # It does not force the host down, but waits until its silence counts.
    until(lambda: site.service("a")["state"] == "down", 15, "a to be silent")
    found = nova.servers.list(search_opts={"host": "a", "all_tenants": True})
    assert {server.id for server in found} == set(servers.values())
    assert {server.metadata.get("HA_Enabled") for server in found} == {None}
    if reserved:
        use_reserved_host(nova, reserved)
    for server in found:
        evacuate(nova, server, reserved)
    ended = {server.id: server for server in nova.servers.list(search_opts={"all_tenants": True})}
    for before, after in (("ACTIVE", "ACTIVE"), ("SHUTOFF", "SHUTOFF"), ("ERROR", "SHUTOFF")):
        server = ended[servers[before]]
        assert server.status == after
        assert host_of(server) == reserved if reserved else host_of(server) != "a"
        assert server.locked is False
    (service,) = nova.services.list(host="a", binary="nova-compute")
    nova.services.enable(service.id)


def use_reserved_host(nova: Any, host: str) -> None:
    """Put the reserved host where the failed one was, and enable it."""
    disable(nova, host)
    aggregate = nova.aggregates.create("segment", None)
    assert [(found.name, found.hosts) for found in nova.aggregates.list()] == [("segment", [])]
    nova.aggregates.add_host(aggregate.id, host)
    with pytest.raises(Conflict, match=f"already has host {host}"):
        nova.aggregates.add_host(aggregate.id, host)
    (service,) = nova.services.list(host=host, binary="nova-compute")
    nova.services.enable(service.id)
    nova.aggregates.remove_host(aggregate.id, host)
    nova.aggregates.delete(aggregate.id)


def test_after_all_of_it_every_invariant_holds(site: Site) -> None:
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout
