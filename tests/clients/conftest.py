"""A site for each module of client tests, and the clients pointed at it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.site import Site, until
from tests.clients.commands import Nova, Openstack, nova_at, openstack_at
from tests.cloud.keystone_server import Keystone

Boot = Callable[..., str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running site of hosts a to d; d never has a server."""
    made = Site(tmp_path_factory.mktemp("clients") / "site", hosts="a,b,c,d")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A Keystone of its own for a module: what a module puts into the catalog is no other's."""
    made = Keystone(tmp_path_factory.mktemp("keystone"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def openstack(site: Site) -> Openstack:
    """``openstack`` without authentication."""
    return openstack_at(site.url)


@pytest.fixture(scope="module")
def nova(site: Site) -> Nova:
    """``nova`` without authentication."""
    return nova_at(site.url)


@pytest.fixture
def boot(site: Site) -> Iterator[Boot]:
    """Make a server, on host a unless another is named, without a client; it is gone when the test ends."""
    made: list[str] = []

    def make(name: str, host: str = "a", status: str = "ACTIVE") -> str:
        server = site.create(host, name)
        made.append(server)
        site.settled(server)
        if status == "SHUTOFF":
            assert site.action(server, {"os-stop": None}).status == 202
        if status == "ERROR":
            assert site.action(server, {"os-resetState": {"state": "error"}}).status == 202
        site.settled(server)
        return server

    yield make
    for server in made:
        site.request("DELETE", f"/servers/{server}")
    until(lambda: not {server["id"] for server in listed(site)} & set(made), 20, "the servers to be gone")


def listed(site: Site) -> list[dict[str, str]]:
    """Return every server there is."""
    found: list[dict[str, str]] = site.get("/servers?all_tenants=1")["servers"]
    return found


@pytest.fixture
def dead(site: Site) -> Iterator[Callable[[str], None]]:
    """Cut a host's power. At the end every dead host is switched on and let up again."""
    cut: list[str] = []

    def die(host: str) -> None:
        site.mains(host, "off")
        cut.append(host)

    yield die
    for host in cut:
        site.mains(host, "on")
        until(lambda host=host: site.force_down(host, forced=False).status == 200, 20, f"{host} to clean up")  # type: ignore[misc]
        until(lambda host=host: site.service(host)["state"] == "up", 20, f"{host} to be up")  # type: ignore[misc]


@pytest.fixture
def clouds(site: Site, tmp_path: Path) -> Path:
    """A clouds.yaml as the documents show it."""
    path = tmp_path / "clouds.yaml"
    path.write_text(
        "clouds:\n"
        "  evacuator:\n"
        "    auth_type: none\n"
        "    auth:\n"
        f"      endpoint: {site.url}/v2.1\n"
        "    identity_api_version: '3'\n"
        "  ann:\n"
        "    auth_type: admin_token\n"
        "    auth:\n"
        f"      endpoint: {site.url}/v2.1\n"
        "      token: ann:blue\n"
        "    identity_api_version: '3'\n"
        f"    identity_endpoint_override: {site.url}/v2.1\n"
    )
    return path
