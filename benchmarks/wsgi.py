"""What a WSGI server costs by itself: a small application behind each, asked by eight clients on connections they keep.

python -m benchmarks.wsgi [waitress|cheroot|granian ...]
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import client, readings

BODY = b"{}"
PORT = 18774
REQUESTS = 4000


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the request's body and answer with a few bytes."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


def serve_waitress() -> None:
    """Serve with eight threads, as ``evacuator`` does."""
    import waitress  # noqa: PLC0415 - one server in each process

    waitress.serve(application, host="127.0.0.1", port=PORT, threads=8, ident=None)


def serve_cheroot() -> None:
    """Serve with eight threads."""
    from cheroot import wsgi  # noqa: PLC0415

    wsgi.Server(("127.0.0.1", PORT), application, numthreads=8, max=8).start()


def serve_granian() -> None:
    """Serve with one worker process and eight threads that block."""
    from granian import Granian  # noqa: PLC0415
    from granian.constants import Interfaces  # noqa: PLC0415

    server = Granian(
        "benchmarks.wsgi:application",
        address="127.0.0.1",
        port=PORT,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=8,
    )
    server.serve()


SERVERS = {"waitress": serve_waitress, "cheroot": serve_cheroot, "granian": serve_granian}


def measure(name: str) -> dict[str, float]:
    """Ask one of them."""
    command = [sys.executable, "-m", "benchmarks.wsgi", "serve", name]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(100):
            time.sleep(0.1)
            try:
                client.timed(url, "/", 1)
                break
            except OSError:
                continue
        before, begun = readings.read(process.pid), time.perf_counter()
        seconds, _answers = client.all_at_once(url, [("POST", "/", {"evacuate": {}})] * REQUESTS, 8)
        wall, after = time.perf_counter() - begun, readings.read(process.pid)
    finally:
        process.terminate()
        process.wait()
    return {
        "requests_per_s": round(REQUESTS / wall),
        "cpu_ms_per_request": round((after.cpu - before.cpu) * 1000 / REQUESTS, 3),
        "peak_mib": round(after.peak_mib, 1),
    } | readings.latency(seconds)


def main() -> None:
    """Serve, or measure those that are named."""
    if sys.argv[1:2] == ["serve"]:
        SERVERS[sys.argv[2]]()
        return
    for name in sys.argv[1:] or SERVERS:
        print(name, measure(name), flush=True)


if __name__ == "__main__":
    main()
