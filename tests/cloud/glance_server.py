"""A real Glance on SQLite that keeps its images in files, beside a real Keystone."""

from importlib.metadata import files
from pathlib import Path
from typing import Any

from tests.cloud.keystone_server import PASSWORD, Keystone
from tests.cloud.service import Service

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


class Glance(Service):
    """Glance in a process of its own; the catalog says where it is."""

    script = "glance_process.py"

    def __init__(self, directory: Path, keystone: Keystone) -> None:
        super().__init__(directory)
        self._keystone = keystone
        self.environment = {"OS_GLANCE_CONFIG_DIR": str(directory), "HOME": str(directory)}

    def start(self) -> None:
        """Make it, serve it, and say where it is."""
        self._configure()
        self.prepare(str(self.directory / "glance-api.conf"))
        self.serve()
        self._keystone.publish(self.url, kind="image", name="glance")

    def add(self, token: str, name: str, content: bytes | None = None, **facts: Any) -> str:
        """Make an image, without ``content`` one that waits for it, and return its id."""
        told = {"name": name, "disk_format": "raw", "container_format": "bare", **facts}
        made = self.ask("POST", "/v2/images", told, token=token).json
        if content is not None:
            kind = {"Content-Type": "application/octet-stream"}
            self.ask("PUT", f"/v2/images/{made['id']}/file", content, token=token, more=kind)
        return str(made["id"])

    def _configure(self) -> None:
        # It says where it is installed, which is not beside its code.
        (pipelines,) = [file for file in files("glance") or () if file.name == "glance-api-paste.ini"]
        for folder in ("images", "staging", "tasks"):
            (self.directory / folder).mkdir()
        (self.directory / "glance-api.conf").write_text(
            CONFIGURATION.format(
                directory=self.directory,
                pipelines=Path(str(pipelines.locate())).resolve(),
                keystone=self._keystone.url,
                password=PASSWORD,
            )
        )
