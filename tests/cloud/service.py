"""A service in a process of its own, on a free port of loopback."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

#: How long a service may take to start on a machine that has better things to do, in seconds.
PATIENCE = 120.0


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.raw) if self.raw else None


class Service:
    """Runs a script beside this file: ``prepare ...`` to its end, then ``serve FD`` until it is told to stop.

    The socket is bound here, so that nobody else can have its port. ``environment``: what the script finds beside what
    everybody does.
    """

    script: ClassVar[str]
    #: Where there is an answer for everybody.
    root: ClassVar[str] = "/"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.environment: dict[str, str] = {"HOME": str(directory)}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, *arguments: str) -> None:
        """Have made what it needs."""
        with self.log.open("ab") as output:
            prepared = subprocess.run(
                [*self._command("prepare"), *arguments],
                env=os.environ | self.environment,
                stdout=output,
                stderr=output,
                timeout=PATIENCE,
                check=False,
            )
        assert prepared.returncode == 0, self.last_words()

    def serve(self) -> None:
        """Serve what there is; it answers when this returns."""
        descriptor = self._socket.fileno()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command("serve"), str(descriptor)],
                env=os.environ | self.environment,
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.send("GET", self.root, timeout=5)
            except OSError:
                assert self._process.poll() is None, self.last_words()
                assert time.monotonic() < deadline, self.last_words()
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """Let nobody answer. What connects is left waiting."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def stop(self) -> None:
        """End it."""
        self.kill()
        self._socket.close()

    def ask(
        self, method: str, path: str, body: Any = None, token: str = "", more: dict[str, str] | None = None
    ) -> Reply:
        """Ask it for something that it must do."""
        reply = self.send(method, path, body, token, more)
        assert reply.status < HTTPStatus.BAD_REQUEST, f"{method} {path}: {reply.status} {reply.raw.decode()}"
        return reply

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "",
        more: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Reply:
        """Ask it for something, and return what it answers, whatever that is. ``body``: JSON, or bytes as they are."""
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {}), **(more or {})}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Reply(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), error.read())

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-3000:]

    def _command(self, verb: str) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name(self.script)), verb]
