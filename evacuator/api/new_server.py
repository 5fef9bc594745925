"""What a body asks for that creates servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evacuator.api.images import Image, Images
from evacuator.api.schemas.parameters import is_true
from evacuator.context import RequestContext
from evacuator.engine.create import NeededImage, NewInstances
from evacuator.errors import ImageNotFound, Invalid

#: Nobody means more than that in one request.
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class NewServer:
    """The instances wanted, and what only the answer needs."""

    instances: NewInstances
    password: str | None
    wants_reservation_id: bool

    @property
    def names_host(self) -> bool:
        """Whether the caller named a host, or its hypervisor."""
        return bool(self.instances.requested_host or self.instances.requested_node)

    @property
    def forces_host(self) -> bool:
        """Whether the host that the caller named may be disabled."""
        return self.instances.forces_host

    @classmethod
    def from_body(cls, body: Mapping[str, Any], images: Images, caller: RequestContext) -> "NewServer":
        """Read a body that fits its schema; its image has to be one of those that ``caller`` may use.

        :raises Invalid: its parts contradict each other, or ask for what is not served here.
        :raises ImagesUnavailable:
        """
        zone, forced_host, forced_node = _zone(body)
        least, most = _counts(body)
        wanted = NewInstances(
            name=body["name"],
            flavor_id=_flavor(body),
            image=_image(body, images, caller),
            requested_host=forced_host or body.get("host"),
            requested_node=forced_node or body.get("hypervisor_hostname"),
            forces_host=bool(forced_host or forced_node),
            availability_zone=zone,
            metadata=body.get("metadata", {}),
            tags=sorted(set(body.get("tags", []))),
            description=body.get("description"),
            key_name=body.get("key_name"),
            user_data=body.get("user_data"),
            config_drive="True" if is_true(body.get("config_drive")) else "",
            hostname=body.get("hostname"),
            min_count=least,
            max_count=most,
        )
        return cls(wanted, body.get("adminPass"), is_true(body.get("return_reservation_id")))


def _zone(body: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Read "zone", "zone:host", "zone:host:node" or "zone::node" as zone, host and node."""
    given = body.get("availability_zone")
    if given is None or ":" not in given:
        return given, None, None
    _, host, *node = given.split(":")
    if len(node) > 1 or not (host or any(node)):
        raise Invalid(reason=f"Unable to parse availability_zone {given}: expected zone, zone:host or zone:host:node")
    if body.get("host") or body.get("hypervisor_hostname"):
        raise Invalid(reason="A host is named in availability_zone and again in host or hypervisor_hostname.")
    # The host says it all: the server may leave it for any zone.
    return None, host or None, "".join(node) or None


def _counts(body: Mapping[str, Any]) -> tuple[int, int]:
    least = int(body.get("min_count", 1))
    most = int(body.get("max_count", least))
    if least > most:
        raise Invalid(reason="min_count must be <= max_count")
    if not 1 <= least <= most <= MOST_AT_ONCE:
        raise Invalid(reason=f"min_count and max_count must be between 1 and {MOST_AT_ONCE}.")
    return least, most


def _flavor(body: Mapping[str, Any]) -> str:
    """Read an id, or a link that ends in one."""
    return str(body["flavorRef"]).rstrip("/").rpartition("/")[2]


def _image(body: Mapping[str, Any], images: Images, caller: RequestContext) -> NeededImage | None:
    """Read the image to boot from; None for an empty disk."""
    named = {body["imageRef"]} if body.get("imageRef") else set()
    for device in body.get("block_device_mapping_v2", []):
        named.add(_image_of_device(device))
    if body.get("block_device_mapping"):
        raise Invalid(reason="Volumes are not served here: leave block_device_mapping out.")
    if body.get("personality"):
        raise Invalid(reason="Files cannot be put into the server here: leave personality out, use user_data.")
    if len(named) > 1:
        raise Invalid(reason="Block Device Mapping is Invalid: it names another image than imageRef.")
    for image_id in named:
        try:
            return _usable(images.get(caller, image_id))
        except ImageNotFound as error:
            raise Invalid(reason="Can not find requested image") from error
    return None


def _usable(image: Image) -> NeededImage:
    if image["status"] != "active":
        raise Invalid(reason=f"Image {image['id']} is not active.")
    return NeededImage(
        image["id"],
        size=image["size"] or 0,
        least_disk_gb=image["min_disk"] or 0,
        least_memory_mb=image["min_ram"] or 0,
    )


def _image_of_device(device: Mapping[str, Any]) -> str:
    """Read the one kind of device there is: a local disk, made from an image, that the server boots from."""
    kind = (device.get("source_type"), device.get("destination_type", "local"), str(device.get("boot_index", "0")))
    image_id = device.get("uuid")
    if kind != ("image", "local", "0") or not isinstance(image_id, str):
        raise Invalid(reason="Block Device Mapping is Invalid: only a local boot disk made from an image is served.")
    return image_id
