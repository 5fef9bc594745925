"""A real Glance on SQLite that keeps its images in files, beside a real Keystone."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import files
from pathlib import Path
from typing import Any

from tests.clients.keystone_server import PASSWORD, PATIENCE, Keystone

PROCESS = Path(__file__).with_name("glance_process.py")

CONFIGURATION = """
[DEFAULT]
enabled_backends = local:file
enabled_import_methods = []
[database]
connection = sqlite:///{directory}/glance.sqlite
[glance_store]
default_backend = local
[local]
filesystem_store_datadir = {directory}/images
[os_glance_staging_store]
filesystem_store_datadir = {directory}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {directory}/tasks
[paste_deploy]
flavor = keystone
config_file = {pipelines}
[oslo_concurrency]
lock_path = {directory}
[keystone_authtoken]
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
username = evacuator
password = {password}
project_name = services
user_domain_id = default
project_domain_id = default
"""


class Glance:
    """Glance in a process of its own, on a free port of loopback; the catalog says where it is."""

    def __init__(self, directory: Path, keystone: Keystone) -> None:
        self._directory = directory
        self._keystone = keystone
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it, serve it, and say where it is."""
        self._configure()
        with self._run("prepare", str(self._directory / "glance-api.conf")) as prepared:
            assert prepared.wait(PATIENCE) == 0, self._log().read_text()[-3000:]
        self.serve()
        self._keystone.publish(self.url, kind="image", name="glance")

    def serve(self) -> None:
        """Serve what there is."""
        self._process = self._run("serve", str(self._socket.fileno()))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.send("GET", "/", "")
            except OSError:
                assert self._process.poll() is None, self._log().read_text()[-3000:]
                assert time.monotonic() < deadline, self._log().read_text()[-3000:]
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

    def add(self, token: str, name: str, content: bytes | None = None, **facts: Any) -> str:
        """Make an image, without ``content`` one that waits for it, and return its id."""
        told = {"name": name, "disk_format": "raw", "container_format": "bare", **facts}
        made = json.loads(self.send("POST", "/v2/images", token, json.dumps(told).encode()))
        if content is not None:
            self.send("PUT", f"/v2/images/{made['id']}/file", token, content, "application/octet-stream")
        return str(made["id"])

    def send(
        self, method: str, path: str, token: str, body: bytes | None = None, kind: str = "application/json"
    ) -> bytes:
        """Ask it for something."""
        headers = {"Content-Type": kind, "X-Auth-Token": token}
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            if error.code == 300:  # its list of versions
                return error.read()
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def _configure(self) -> None:
        # It says where it is installed, which is not beside its code.
        (pipelines,) = [file for file in files("glance") or () if file.name == "glance-api-paste.ini"]
        for folder in ("images", "staging", "tasks"):
            (self._directory / folder).mkdir()
        (self._directory / "glance-api.conf").write_text(
            CONFIGURATION.format(
                directory=self._directory,
                pipelines=Path(str(pipelines.locate())).resolve(),
                keystone=self._keystone.url,
                password=PASSWORD,
            )
        )

    def _run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "OS_GLANCE_CONFIG_DIR": str(self._directory), "HOME": str(self._directory)}
        with self._log().open("ab") as output:
            return subprocess.Popen(
                [sys.executable, str(PROCESS), *arguments],
                env=environment,
                pass_fds=[self._socket.fileno()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )

    def _log(self) -> Path:
        return self._directory / "glance.log"
