"""A real Barbican on SQLite, which asks a real Keystone who its callers are."""

import base64
import secrets
from pathlib import Path

from tests.cloud.keystone_server import PASSWORD, Keystone
from tests.cloud.service import Service

CONFIGURATION = """
[DEFAULT]
db_auto_create = false
transport_url = fake:/
[database]
connection = sqlite:///{directory}/barbican.sqlite
[queue]
enable = false
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = {kek}
[keystone_authtoken]
auth_url = {keystone}
www_authenticate_uri = {keystone}
auth_type = password
username = barbican
password = {password}
project_name = services
user_domain_id = default
project_domain_id = default
"""


class Barbican(Service):
    """Barbican in a process of its own."""

    script = "barbican_process.py"

    def __init__(self, directory: Path, keystone: Keystone) -> None:
        super().__init__(directory)
        (directory / ".barbican").mkdir()
        kek = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        (directory / ".barbican" / "barbican.conf").write_text(
            CONFIGURATION.format(directory=directory, kek=kek, keystone=keystone.url, password=PASSWORD)
        )
        self._requests = directory / "requests"

    def start(self) -> None:
        """Make it, serve it, and wait for it."""
        self.prepare()
        self.serve()

    def store(self, passphrase: str, token: str, name: str = "the key of a disk") -> str:
        """Store a passphrase as its owner does, and return its id."""
        content = {"payload": passphrase, "payload_content_type": "text/plain"}
        secret = {"name": name, "secret_type": "passphrase", **content}
        stored = self.ask("POST", "/v1/secrets", secret, token)
        return str(stored.json["secret_ref"]).rpartition("/")[2]

    def payload(self, key_id: str, token: str) -> tuple[int, bytes]:
        """Ask for what is in a secret, without anybody's help."""
        told = self.send("GET", f"/v1/secrets/{key_id}/payload", token=token, more={"Accept": "text/plain"})
        return told.status, told.raw

    def close_to(self, key_id: str, owner: str, *readers: str) -> None:
        """Let only these users, by their ids, read a secret: not even the others of its project."""
        rule = {"read": {"users": list(readers), "project-access": False}}
        self.ask("PUT", f"/v1/secrets/{key_id}/acl", rule, owner)

    def payload_reads(self, key_id: str) -> list[int]:
        """Return how each attempt was answered that was ever made to read what is in a secret."""
        asked = [line.split() for line in self._requests.read_text().splitlines()]
        return [int(status) for method, path, status in asked if path.endswith(f"/secrets/{key_id}/payload")]
