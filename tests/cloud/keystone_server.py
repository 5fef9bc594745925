"""A real Keystone on SQLite, with two projects and their users."""

import base64
import secrets
import time
from pathlib import Path
from typing import Any

import msgpack
from cryptography.fernet import Fernet, MultiFernet

from tests.cloud.service import Service

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

#: What Evacuator has to be told of it.
AUTHENTICATION = """
[api]
auth_strategy = keystone
[keystone_authtoken]
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = evacuator
password = {password}
project_name = services
user_domain_id = default
project_domain_id = default
"""

#: User -> project, role. Every one of them has the password ``PASSWORD``.
PEOPLE = {
    "anna": ("blue", "member"),
    "otto": ("blue", "member"),
    "rita": ("blue", "reader"),
    "mona": ("blue", "manager"),
    "bert": ("red", "member"),
    "evacuator": ("services", "service"),
    "lens": ("services", "reader"),
    "barbican": ("services", "service"),
}
PASSWORD = secrets.token_hex(12)


class Keystone(Service):
    """Keystone in a process of its own."""

    script = "keystone_process.py"
    root = "/v3"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._admin = ""
        self.projects: dict[str, str] = {}
        self.users: dict[str, str] = {}

    def start(self) -> None:
        """Make it, serve it, and fill it."""
        configuration = self.directory / "keystone.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory))
        self.environment["OS_KEYSTONE_CONFIG_FILES"] = str(configuration)
        self.prepare(str(configuration), self.url, PASSWORD)
        self.serve()
        self._admin = self.token("admin", "admin")
        self._add_people()

    def token(self, user: str, project: str | None = None, **scope: Any) -> str:
        """Ask for a token of a user: for a project, or for another ``scope``, or for none."""
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        password = {"user": {"name": user, "domain": {"id": "default"}, "password": PASSWORD}}
        auth = {"identity": {"methods": ["password"], "password": password}, **({"scope": scope} if scope else {})}
        return str(self.ask("POST", "/v3/auth/tokens", {"auth": auth}).headers["X-Subject-Token"])

    def token_of(self, user: str) -> str:
        """Ask for a token of one of the people, for their project."""
        return self.token(user, PEOPLE[user][0])

    def revoke(self, token: str) -> None:
        """Take a token back."""
        self.ask("DELETE", "/v3/auth/tokens", None, self._admin, {"X-Subject-Token": token})

    def publish(self, endpoint: str, kind: str = "compute", name: str = "evacuator") -> None:
        """Let the catalog say where a service is."""
        service = self.api("POST", "/services", {"service": {"type": kind, "name": name}})["service"]["id"]
        said = {"service_id": service, "region_id": "RegionOne", "interface": "public", "url": endpoint}
        self.api("POST", "/endpoints", {"endpoint": said})

    def expired(self, token: str) -> str:
        """Make the same token again, but one that was good until an hour ago."""
        # A repository holds the staged key, 0, and above it the one that signs.
        keys = sorted((self.directory / "tokens").iterdir(), key=lambda path: -int(path.name))
        fernet = MultiFernet([Fernet(key.read_bytes()) for key in keys])
        payload = msgpack.unpackb(fernet.decrypt(token + "=" * (-len(token) % 4)))
        place = max(number for number, part in enumerate(payload) if isinstance(part, float))
        payload[place] = time.time() - 3600
        return fernet.encrypt(msgpack.packb(payload)).decode().rstrip("=")

    def forged(self, token: str) -> str:
        """Make a token that says the same but is signed with another key."""
        keys = sorted((self.directory / "tokens").iterdir(), key=lambda path: -int(path.name))
        payload = MultiFernet([Fernet(key.read_bytes()) for key in keys]).decrypt(token + "=" * (-len(token) % 4))
        return Fernet(base64.urlsafe_b64encode(secrets.token_bytes(32))).encrypt(payload).decode().rstrip("=")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Keystone for something, as its administrator."""
        return self.ask(method, f"/v3{path}", body, self._admin).json

    def _add_people(self) -> None:
        roles = {role["name"]: role["id"] for role in self.api("GET", "/roles")["roles"]}
        for name in sorted({project for project, _ in PEOPLE.values()}):
            self.projects[name] = self.api("POST", "/projects", {"project": {"name": name}})["project"]["id"]
        for name, (project, role) in PEOPLE.items():
            user = self.api("POST", "/users", {"user": {"name": name, "password": PASSWORD}})["user"]["id"]
            self.users[name] = user
            self.api("PUT", f"/projects/{self.projects[project]}/users/{user}/roles/{roles[role]}")
