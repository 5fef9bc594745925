"""OpenTelemetry traces of messages, switched on by the configuration alone."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.acceptance.site import until
from tests.services.conftest import MakeCluster

TRACING = """
[oslo_messaging_tracing]
tracing_enabled = true
otel_exporter_otlp_endpoint = http://127.0.0.1:{port}
"""


class Collector(BaseHTTPRequestHandler):
    """Keeps what exporters send; names of spans are readable in it."""

    received: list[bytes]

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[int, list[bytes]]]:
    Collector.received = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, Collector.received
    server.shutdown()
    server.server_close()


def test_a_message_is_traced_from_the_api_to_the_compute_manager(
    make_cluster: MakeCluster, collector: tuple[int, list[bytes]]
) -> None:
    port, received = collector
    cluster = make_cluster(hosts="a", apis=1, more=TRACING.format(port=port))
    cluster.start()
    cluster.servers_on("a", 1)
    assert cluster.stop() == 0
    until(lambda: len(received) >= 2, 60, "both processes to send their spans")
    spans = b"".join(received)
    for part in (b"compute.carry_out_order", b"carry_out_order receive", b"openstack.request_id", b"evacuator"):
        assert part in spans
