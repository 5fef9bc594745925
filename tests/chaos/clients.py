"""People and programs that use the cloud while it is being maltreated."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from uuid import uuid4

from tests.acceptance.site import IMAGE, Answer
from tests.chaos.fences import Fences
from tests.services.cluster import Cluster

TIMEOUT = 20.0
VERSIONS = ("2.14", "2.29", "2.67", "2.94", "2.95", "2.95", "2.95")

TWICE = "the same evacuation asked for twice at once"
OPERATORS = "two operators on one host at once"
DELETE = "delete during an evacuation"
RESET = "reset of the state during an evacuation"

#: So many servers of a host two operators have in their lists.
SHARED = 5

#: What people do to evacuations, each with the share of them; until it has happened, to each one.
MISCHIEF = {TWICE: 0.1, OPERATORS: 0.05, DELETE: 0.02, RESET: 0.02}


class Unanswered(Exception):
    """Nobody answered, so that what was asked may have happened or not."""


@dataclass(frozen=True)
class Asked:
    """An evacuation that was asked for. ``status``: of the answer, None where there was none."""

    server: str
    version: str
    request_id: str
    status: int | None


@dataclass
class Ledger:
    """What the clients saw. ``mischief``: how often each of it happened; ``since``: seconds since 1970.

    ``troubles``: answers that none of them could make anything of.
    """

    asked: list[Asked] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    mischief: Counter[str] = field(default_factory=Counter)
    since: float = field(default_factory=time.time)
    servers: set[str] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def accepted(self) -> list[Asked]:
        """The evacuations that were answered with 200."""
        return [asked for asked in self.asked if asked.status == 200]


class Client(threading.Thread):
    """One of those who evacuate, start, stop, make and delete, over and over."""

    def __init__(self, cluster: Cluster, fences: Fences, ledger: Ledger, seed: str, stopping: threading.Event) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self._cluster = cluster
        self._fences = fences
        self._ledger = ledger
        self._random = random.Random(seed)
        self._stopping = stopping

    def run(self) -> None:
        """Do something again and again."""
        while not self._stopping.wait(self._random.uniform(0, 0.05)):
            try:
                self._do_something()
            except Unanswered:
                self._count("no answer")
                # Whoever asks again at once takes the machine from those who start again.
                self._stopping.wait(0.2)
            except Exception as error:  # noqa: BLE001 - else it would be missed, and all that it still had to do
                with self._ledger.guard:
                    self._ledger.troubles.append(f"{self.name} came to {error!r}")

    def _do_something(self) -> None:
        fenced = self._fences.hosts
        if not fenced:
            self._work_elsewhere()
            self._stopping.wait(0.2)
            return
        host = self._random.choice(fenced)
        listed = self.call("GET", f"/servers/detail?host={host}&all_tenants=1&limit=40", version="2.79")
        servers = (listed.body or {}).get("servers", []) if listed.status == 200 else []
        idle = [server for server in servers if server["OS-EXT-STS:task_state"] is None]
        if not idle or self._random.random() < 0.05:
            self._work_elsewhere()
            return
        if self._is_time_for(OPERATORS):
            self._evacuate_twice(idle)
        else:
            self._evacuate(self._random.choice(idle))

    def _evacuate(self, server: dict[str, Any]) -> None:
        source = server["OS-EXT-SRV-ATTR:host"]
        version = self._random.choice(VERSIONS)
        others = [host for host in self._cluster.computes if host != source]
        body: dict[str, Any] = {
            "evacuate": {"host": self._random.choice(others)} if self._random.random() < 0.2 else {}
        }
        with self._fences.counted_on(source) as is_off:
            if not is_off:
                return
            asks = 2 if self._is_time_for(TWICE) else 1
            statuses = self._ask_at_once(asks, server["id"], version, body)
        if asks > 1 and None not in statuses:
            self._happened(TWICE)
        if 200 in statuses:
            self._interfere(server["id"])

    def _evacuate_twice(self, servers: list[dict[str, Any]]) -> None:
        """Have two operators evacuate the same servers, each in an order and at a version of his own."""
        lists = [self._random.sample(servers, min(SHARED, len(servers)))]
        lists.append(lists[0][::-1])
        with ThreadPoolExecutor(len(lists)) as threads:
            both = list(threads.map(self._evacuate_all, lists, self._random.choices(VERSIONS, k=len(lists))))
        if all(any(status is not None for status in statuses) for statuses in both):
            self._happened(OPERATORS)

    def _evacuate_all(self, servers: list[dict[str, Any]], version: str) -> list[int | None]:
        statuses = []
        for server in servers:
            source = server["OS-EXT-SRV-ATTR:host"]
            with self._fences.counted_on(source) as is_off:
                # The other one may have moved it by now, to a host that is only silent.
                if is_off and self._is_still_on(source, server["id"]):
                    statuses.append(self._ask(server["id"], version, {"evacuate": {}}))
        return statuses

    def _is_still_on(self, host: str, server: str) -> bool:
        shown = self.call("GET", f"/servers/{server}", version="2.79")
        return shown.status == 200 and bool(shown.body["server"]["OS-EXT-SRV-ATTR:host"] == host)

    def _interfere(self, server: str) -> None:
        """Now and then do something to an instance that is being evacuated."""
        if self._is_time_for(DELETE):
            if self._tolerate(DELETE, "DELETE", f"/servers/{server}") == 204:
                self._happened(DELETE)
            with self._ledger.guard:
                self._ledger.servers.discard(server)
        elif self._is_time_for(RESET):
            body = {"os-resetState": {"state": "error"}}
            if self._tolerate(RESET, "POST", f"/servers/{server}/action", body) == 202:
                self._happened(RESET)

    def _is_time_for(self, what: str) -> bool:
        return self._random.random() < MISCHIEF[what] or not self._ledger.mischief[what]

    def _happened(self, what: str) -> None:
        with self._ledger.guard:
            self._ledger.mischief[what] += 1

    def _ask_at_once(self, times: int, server: str, version: str, body: Any) -> list[int | None]:
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(lambda _: self._ask(server, version, body), range(times)))

    def _ask(self, server: str, version: str, body: Any) -> int | None:
        request_id = f"req-{uuid4()}"
        try:
            answer = self.call("POST", f"/servers/{server}/action", body, version, request_id)
            status: int | None = answer.status
            request_id = answer.headers.get("X-Openstack-Request-Id", request_id)
        except Unanswered:
            status = None
        self._count(f"evacuate: {status or 'no answer'}")
        with self._ledger.guard:
            self._ledger.asked.append(Asked(server, version, request_id, status))
        return status

    def _work_elsewhere(self) -> None:
        """Start, stop, or replace a server on a host that is not fenced."""
        with self._ledger.guard:
            servers = sorted(self._ledger.servers)
        if not servers:
            return
        server = self._random.choice(servers)
        shown = self.call("GET", f"/servers/{server}", version="2.79")
        if shown.status == 404:
            with self._ledger.guard:
                self._ledger.servers.discard(server)
            self._make()
            return
        if shown.status != 200 or shown.body["server"]["OS-EXT-STS:task_state"] is not None:
            return
        order = {"ACTIVE": "os-stop", "SHUTOFF": "os-start", "ERROR": "os-start"}.get(shown.body["server"]["status"])
        if order:
            self._tolerate(order, "POST", f"/servers/{server}/action", {order: None})

    def _make(self) -> None:
        server = {"name": "another", "flavorRef": "1", "imageRef": IMAGE}
        answer = self.call("POST", "/servers", {"server": server}, "2.1")
        self._count(f"create: {answer.status}")
        if answer.status == 202:
            with self._ledger.guard:
                self._ledger.servers.add(answer.body["server"]["id"])

    def _tolerate(self, what: str, method: str, path: str, body: Any = None) -> int:
        answer = self.call(method, path, body, "2.95")
        self._count(f"{what}: {answer.status}")
        return answer.status

    def _count(self, what: str) -> None:
        with self._ledger.guard:
            self._ledger.answers[what] += 1

    def call(
        self, method: str, path: str, body: Any = None, version: str = "2.95", request_id: str | None = None
    ) -> Answer:
        """Ask any API process; every status is an answer.

        :raises Unanswered: there was none.
        """
        headers = {
            "Content-Type": "application/json",
            "X-Auth-Token": "admin",
            "OpenStack-API-Version": f"compute {version}",
        }
        if request_id:
            headers["X-OpenStack-Request-ID"] = request_id
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(f"{self._cluster.url}/v2.1{path}", data, headers, method=method)
            with _open(request) as response:
                return _answer(response)
        except (OSError, HTTPException, ZeroDivisionError) as error:  # the last: no API process is left to ask
            raise Unanswered from error


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as answer:
        return answer


def _answer(response: Any) -> Answer:
    raw = response.read()
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    return Answer(response.status, body, dict(response.headers))


def eventually(call: Callable[[], bool], stopping: threading.Event, seconds: float = 30) -> bool:
    """Try until it works, or until it is time to stop."""
    for _ in range(int(seconds / 0.3)):
        try:
            if call():
                return True
        except (OSError, HTTPException, AssertionError, ZeroDivisionError):
            pass
        if stopping.wait(0.3):
            return False
    return False
