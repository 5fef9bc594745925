"""Servers."""

from dataclasses import dataclass
from hashlib import sha224
from typing import Any

from evacuator.api.links import Links
from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond, to_second
from evacuator.api.views.status import status_of
from evacuator.db.models import Instance
from evacuator.db.pages import HostState, Server

WITH_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})
#: A server that is off has one if it was to be started and could not be.
WITH_FAULT = frozenset({"ERROR", "DELETED", "SHUTOFF"})


@dataclass(frozen=True)
class ServerView:
    """Shows servers to one caller. ``sees_host``: on which host they are; ``sees_host_status``: how that one is."""

    behaviour: Behaviours
    links: Links
    sees_host: bool
    sees_host_status: bool

    def brief(self, instance: Instance) -> dict[str, Any]:
        """Show a server as a list does."""
        return {
            "id": instance.uuid,
            "name": instance.display_name,
            "links": self.links.both("servers", instance.uuid),
        }

    def alone(self, server: Server, host: HostState | None) -> dict[str, Any]:
        """Show all of a server that was asked for by its id."""
        return self._fit({**self._everything(server, host), "server_groups": []})

    def listed(self, server: Server, host: HostState | None) -> dict[str, Any]:
        """Show all of a server in a list."""
        return self._fit(self._everything(server, host))

    def _fit(self, shown: dict[str, Any]) -> dict[str, Any]:
        absent = self.behaviour.server_absent
        return {key: value for key, value in shown.items() if key not in absent}

    def _everything(self, server: Server, host: HostState | None) -> dict[str, Any]:
        instance = server.instance
        status = status_of(instance.vm_state, instance.task_state)
        shown = self.brief(instance) | {
            "status": status,
            "tenant_id": instance.project_id,
            "user_id": instance.user_id,
            "created": to_second(instance.created_at),
            "updated": to_second(instance.updated_at or instance.created_at),
            "hostId": host_id(instance.project_id, instance.host),
            "accessIPv4": "",
            "accessIPv6": "",
            "addresses": {},
            "metadata": instance.instance_metadata,
            "image": self._image(instance),
            "flavor": self._flavor(instance),
            "key_name": instance.key_name,
            "config_drive": instance.config_drive,
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": server.zone or "",
            "OS-EXT-STS:task_state": instance.task_state,
            "OS-EXT-STS:vm_state": instance.vm_state,
            "OS-EXT-STS:power_state": instance.power_state,
            "OS-SRV-USG:launched_at": to_microsecond(instance.launched_at),
            "OS-SRV-USG:terminated_at": to_microsecond(instance.terminated_at),
            "os-extended-volumes:volumes_attached": [],
            "locked": instance.locked,
            "locked_reason": instance.locked_reason,
            "description": instance.display_description,
            "tags": sorted(instance.tags),
            "trusted_image_certificates": None,
        }
        if status in WITH_PROGRESS:
            shown["progress"] = 0
        if status in WITH_FAULT and instance.fault:
            shown["fault"] = self._fault(instance)
        if self.sees_host:
            shown |= _extended_attributes(server)
        if self.behaviour.shows_hostname_to_everybody:
            shown["OS-EXT-SRV-ATTR:hostname"] = instance.hostname
        if self.sees_host_status:
            shown["host_status"] = host_status(host)
        return shown

    def _image(self, instance: Instance) -> dict[str, Any] | str:
        if not instance.image_ref:
            return ""
        return {"id": instance.image_ref, "links": [self.links.bookmark("images", instance.image_ref)]}

    def _flavor(self, instance: Instance) -> dict[str, Any]:
        flavor = instance.flavor
        if self.behaviour.embeds_flavor:
            return {key: value for key, value in flavor.items() if key != "id"}
        return {"id": flavor["id"], "links": [self.links.bookmark("flavors", flavor["id"])]}

    def _fault(self, instance: Instance) -> dict[str, Any]:
        fault = instance.fault or {}
        shown = {
            "code": fault["code"],
            "created": to_second(instance.fault_at or instance.updated_at),
            "message": fault["message"] if self.sees_host else fault.get("without_hosts") or fault["message"],
        }
        # What is inside is the administrator's to read.
        if self.sees_host:
            shown["details"] = fault.get("details") or ""
        return shown


def _extended_attributes(server: Server) -> dict[str, Any]:
    instance = server.instance
    return {
        "OS-EXT-SRV-ATTR:host": instance.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.hypervisor_hostname or instance.host,
        "OS-EXT-SRV-ATTR:instance_name": instance.instance_name,
        "OS-EXT-SRV-ATTR:hostname": instance.hostname,
        "OS-EXT-SRV-ATTR:kernel_id": "",
        "OS-EXT-SRV-ATTR:ramdisk_id": "",
        "OS-EXT-SRV-ATTR:launch_index": instance.launch_index,
        "OS-EXT-SRV-ATTR:reservation_id": instance.reservation_id,
        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
        "OS-EXT-SRV-ATTR:user_data": instance.user_data,
    }


def host_id(project_id: str, host: str | None) -> str:
    """Tell apart the hosts of a project's servers without naming them."""
    return sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def host_status(host: HostState | None) -> str:
    """Say how the host of a server is."""
    if host is None:
        return ""
    if host.service.forced_down:
        return "DOWN"
    if host.service.disabled:
        return "MAINTENANCE"
    return "UP" if host.up else "UNKNOWN"
