"""The ways to the database and to the broker, encrypted: the service's own processes, and certificates of ours.

The servers of the tests speak no TLS. What stands before each of them here does, and lets nothing else in.
"""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evacuator.db import schema
from evacuator.db.session import open_database
from tests.acceptance.site import until
from tests.services.cluster import START_SECONDS, Cluster
from tests.services.network import Link, Network
from tests.services.servers import fresh_database, fresh_vhost, missing, queues

#: With which PostgreSQL's clients ask whether they may go on in TLS.
MAY_I = bytes.fromhex("0000000804d2162f")

#: Work is heard of by message, or within the test not at all.
SETTINGS = """
[compute]
sweep_interval = 300
[oslo_messaging_rabbit]
ssl = true
ssl_ca_file = {authority}
"""

#: What the database's library says of a server that nobody vouches for, and what the broker's does.
REFUSED = "SSL error: certificate verify failed"
REFUSED_BY_PYTHON = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"


class Encrypted(Link):
    """A link whose clients speak TLS from the first byte on, as RabbitMQ's do. Behind it the way is plain."""

    def __init__(self, network: Network, port: int, certificate: ssl.SSLContext) -> None:
        self._certificate = certificate
        super().__init__(network, "127.0.0.1", port)

    async def _open(self) -> int:
        await super()._open()
        self._server.close()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._certificate)
        port: int = self._server.sockets[0].getsockname()[1]
        return port


class EncryptedWhenAsked(Link):
    """The same for PostgreSQL's clients, who ask first. Who does not ask is not let in."""

    def __init__(self, network: Network, port: int, certificate: ssl.SSLContext) -> None:
        self._certificate = certificate
        super().__init__(network, "127.0.0.1", port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            if await reader.readexactly(len(MAY_I)) == MAY_I:
                writer.write(b"S")
                await writer.start_tls(self._certificate)
                await super()._accept(reader, writer)
        writer.transport.abort()


class Authority:
    """Vouches for one server at 127.0.0.1, by one certificate that is both its own and the server's."""

    def __init__(self, folder: Path, name: str) -> None:
        openssl = shutil.which("openssl") or missing("openssl is needed to make certificates")
        self.file, key = folder / f"{name}.pem", folder / f"{name}.key"
        made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
        named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(self.file)]
        subprocess.run([openssl, *made.split(), *named], check=True, capture_output=True, timeout=60)
        self.certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate.load_cert_chain(self.file, key)

    def be_trusted(self, trusted: Path) -> None:
        """Be whom the processes are told to trust."""
        trusted.write_text(self.file.read_text())


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


def readiness(api: str) -> int:
    try:
        with urllib.request.urlopen(f"{api}/healthcheck?detailed", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_a_server_that_the_named_authority_vouches_for_is_spoken_to(network: Network, tmp_path: Path) -> None:
    real, other = Authority(tmp_path, "real"), Authority(tmp_path, "other")
    for_database, for_broker = tmp_path / "database-ca.pem", tmp_path / "broker-ca.pem"
    for trusted in (for_database, for_broker):
        other.be_trusted(trusted)
    with ExitStack() as closing:
        plain, vhost = closing.enter_context(fresh_database("postgresql")), closing.enter_context(fresh_vhost())
        made = open_database(plain.render_as_string(hide_password=False))
        closing.callback(made.close)
        schema.upgrade(made)
        before_database = EncryptedWhenAsked(network, plain.port or 5432, real.certificate)
        before_broker = Encrypted(network, vhost.port or 5672, real.certificate)
        for relay in (before_database, before_broker):
            closing.callback(relay.close)
        database = plain.set(host="127.0.0.1", port=before_database.port)
        broker = vhost.set(host="127.0.0.1", port=before_broker.port)
        verified = {"sslmode": "verify-full", "sslrootcert": str(for_database)}
        settings = SETTINGS.format(authority=for_broker)
        cluster = Cluster(
            tmp_path / "cloud", database.update_query_dict(verified), broker, hosts="ab", apis=1, more=settings
        )
        closing.callback(cluster.kill)
        (api,), (a, b) = cluster.apis, cluster.computes.values()
        for process in cluster.processes:
            process.begin()
        assert readiness(api.ready()) == 503
        for process in cluster.processes:
            until(lambda its=process: REFUSED in its.tail(), START_SECONDS, f"{process.name} to say why")  # type: ignore[misc]
        not_up = [["a is not up yet"], ["b is not up yet"]]
        until(lambda: [a.said, b.said] == not_up, START_SECONDS, "both managers to say that they are not up")

        # Whom to trust is read again with each connection.
        real.be_trusted(for_database)
        until(lambda: readiness(api.said[0]) == 200, START_SECONDS, "the API to be ready")
        cluster.wait_up("ab")
        until(lambda: REFUSED_BY_PYTHON in b.tail(), 60, "b to say why it does not listen")
        assert not {"compute.a", "compute.b"} & set(queues(str(vhost.database)))

        real.be_trusted(for_broker)
        until(lambda: {"compute.a", "compute.b"} <= set(queues(str(vhost.database))), 60, "both to listen")
        (server,) = cluster.servers_on("a", 1)
        cluster.dead("a")
        assert cluster.action(server, {"evacuate": {"host": "b"}}, "2.94").status == 200
        assert cluster.settled(server)[0]["status"] == "ACTIVE"
        assert cluster.starts(server, "b") == 1
