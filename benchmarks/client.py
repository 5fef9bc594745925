"""Clients that ask at once, each on a connection that it keeps."""

import http.client
import json
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

HEADERS = {"Content-Type": "application/json", "X-Auth-Token": "admin", "OpenStack-API-Version": "compute 2.95"}


class Connection:
    """One client. A connection that the server closed meanwhile is opened again."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=120)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        data = None if body is None else json.dumps(body).encode()
        try:
            return self._ask(method, path, data)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            return self._ask(method, path, data)

    def _ask(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, f"/v2.1{path}", data, HEADERS)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


Asked = tuple[str, str, Any]


def all_at_once(url: str, asked: Iterable[Asked], clients: int) -> tuple[list[float], list[tuple[int, bytes]]]:
    """Have ``clients`` clients send (method, path, body) one after another; return seconds and answers."""
    todo: queue.SimpleQueue[Asked] = queue.SimpleQueue()
    for each in asked:
        todo.put(each)
    seconds: list[float] = []
    answers: list[tuple[int, bytes]] = []

    def work() -> None:
        connection = Connection(url)
        while True:
            try:
                method, path, body = todo.get_nowait()
            except queue.Empty:
                connection.close()
                return
            begun = time.perf_counter()
            answer = connection.ask(method, path, body)
            seconds.append(time.perf_counter() - begun)
            answers.append(answer)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, answers


def timed(url: str, path: str, times: int) -> list[float]:
    """Ask for ``path`` again and again on one connection; return seconds."""
    connection = Connection(url)
    found = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        status, _body = connection.ask("GET", path)
        found.append(time.perf_counter() - begun)
        if status != 200:
            raise RuntimeError(f"GET {path} was answered {status}")
    connection.close()
    return found[1:]
