"""A real Keystone on SQLite, with two projects and their users."""

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgpack
from cryptography.fernet import Fernet, MultiFernet

PROCESS = Path(__file__).with_name("keystone_process.py")

CONFIGURATION = """
[database]
connection = sqlite:///{directory}/keystone.sqlite
sqlite_synchronous = false
[token]
provider = fernet
expiration = 3600
[fernet_tokens]
key_repository = {directory}/tokens
[fernet_receipts]
key_repository = {directory}/receipts
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_rounds = 4
"""

#: User -> project, role. Every one of them has the password ``PASSWORD``.
PEOPLE = {
    "anna": ("blue", "member"),
    "rita": ("blue", "reader"),
    "mona": ("blue", "manager"),
    "bert": ("red", "member"),
    "evacuator": ("services", "service"),
    "lens": ("services", "reader"),
}
PASSWORD = secrets.token_urlsafe(12)

#: How long a Keystone may take to start on a machine that has better things to do, in seconds.
PATIENCE = 120.0


class Keystone:
    """Keystone in a process of its own, on a free port of loopback."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._admin = ""
        self.projects: dict[str, str] = {}

    def start(self) -> None:
        """Make it, serve it, and fill it."""
        configuration = self._directory / "keystone.conf"
        configuration.write_text(CONFIGURATION.format(directory=self._directory))
        environment = {**os.environ, "OS_KEYSTONE_CONFIG_FILES": str(configuration), "HOME": str(self._directory)}
        log = self._directory / "keystone.log"
        with log.open("ab") as output:
            prepared = subprocess.run(
                [sys.executable, str(PROCESS), "prepare", str(configuration), self.url, PASSWORD],
                env=environment,
                stdout=output,
                stderr=output,
                timeout=PATIENCE,
                check=False,
            )
            assert prepared.returncode == 0, log.read_text()[-3000:]
            self._process = subprocess.Popen(
                [sys.executable, str(PROCESS), "serve", str(self._socket.fileno())],
                env=environment,
                pass_fds=[self._socket.fileno()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        self._wait(log)
        self._admin = self.token("admin", "admin")
        self._add_people()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._socket.close()

    def token(self, user: str, project: str | None = None, **scope: Any) -> str:
        """Ask for a token of a user: for a project, or for another ``scope``, or for none."""
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        password = {"user": {"name": user, "domain": {"id": "default"}, "password": PASSWORD}}
        auth = {"identity": {"methods": ["password"], "password": password}, **({"scope": scope} if scope else {})}
        headers, _ = self._send("POST", "/auth/tokens", {"auth": auth}, "")
        return str(headers["X-Subject-Token"])

    def token_of(self, user: str) -> str:
        """Ask for a token of one of the people, for their project."""
        return self.token(user, PEOPLE[user][0])

    def revoke(self, token: str) -> None:
        """Take a token back."""
        self._send("DELETE", "/auth/tokens", None, self._admin, {"X-Subject-Token": token})

    def publish(self, endpoint: str, kind: str = "compute", name: str = "evacuator") -> None:
        """Let the catalog say where a service is."""
        service = self.api("POST", "/services", {"service": {"type": kind, "name": name}})["service"]["id"]
        said = {"service_id": service, "region_id": "RegionOne", "interface": "public", "url": endpoint}
        self.api("POST", "/endpoints", {"endpoint": said})

    def expired(self, token: str) -> str:
        """Make the same token again, but one that was good until an hour ago."""
        # A repository holds the staged key, 0, and above it the one that signs.
        keys = sorted((self._directory / "tokens").iterdir(), key=lambda path: -int(path.name))
        fernet = MultiFernet([Fernet(key.read_bytes()) for key in keys])
        payload = msgpack.unpackb(fernet.decrypt(token + "=" * (-len(token) % 4)))
        place = max(number for number, part in enumerate(payload) if isinstance(part, float))
        payload[place] = time.time() - 3600
        return fernet.encrypt(msgpack.packb(payload)).decode().rstrip("=")

    def forged(self, token: str) -> str:
        """Make a token that says the same but is signed with another key."""
        keys = sorted((self._directory / "tokens").iterdir(), key=lambda path: -int(path.name))
        payload = MultiFernet([Fernet(key.read_bytes()) for key in keys]).decrypt(token + "=" * (-len(token) % 4))
        return Fernet(base64.urlsafe_b64encode(secrets.token_bytes(32))).encrypt(payload).decode().rstrip("=")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Keystone for something, as its administrator."""
        return self._send(method, path, body, self._admin)[1]

    def _wait(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._send("GET", "", None, "")
            except OSError:
                assert self._process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(0.1)
            else:
                return

    def _add_people(self) -> None:
        roles = {role["name"]: role["id"] for role in self.api("GET", "/roles")["roles"]}
        for name in sorted({project for project, _ in PEOPLE.values()}):
            self.projects[name] = self.api("POST", "/projects", {"project": {"name": name}})["project"]["id"]
        for name, (project, role) in PEOPLE.items():
            user = self.api("POST", "/users", {"user": {"name": name, "password": PASSWORD}})["user"]["id"]
            self.api("PUT", f"/projects/{self.projects[project]}/users/{user}/roles/{roles[role]}")

    def _send(
        self, method: str, path: str, body: Any, token: str, more: dict[str, str] | None = None
    ) -> tuple[dict[str, str], Any]:
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {}), **(more or {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v3{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                raw = response.read()
                return dict(response.headers), json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
