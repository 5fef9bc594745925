"""What libvirt's refusals mean to the person who has to do something about them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from evacuator import errors

Making = Callable[[str, str, str], errors.DriverError]


def _sentence(text: str) -> Making:
    def make(host: str, uuid: str, reason: str) -> errors.DriverError:
        return errors.DriverError(reason=text.format(host=host, uuid=uuid, reason=reason))

    return make


def _disk_in_use(host: str, uuid: str, reason: str) -> errors.DriverError:
    return errors.DiskInUse(host=host, uuid=uuid, reason=reason)


def _disk_missing(host: str, uuid: str, reason: str) -> errors.DriverError:
    return errors.DiskMissing(host=host, uuid=uuid, path=reason)


#: Searched in this order in what libvirt says; the first that is found.
_MEANINGS: Sequence[tuple[str, Making]] = (
    (
        r"Failed to get .*lock|Is another process using the image|Failed to acquire lock|Lockspace resource .* locked",
        _disk_in_use,
    ),
    (
        r"(open|storage|backing) file .*Permission denied|Could not open '.*': Permission denied",
        _sentence("QEMU on host {host} may not open a disk of instance {uuid}: look at its permissions ({reason})."),
    ),
    (
        r"Cannot access (storage|backing) file|(open|stat|access) .*: No such file or directory",
        _disk_missing,
    ),
    (
        r"already exists with uuid|already defined with uuid",
        _sentence(
            "Host {host} has another guest of the name of instance {uuid}, so it was not defined there. Rename or "
            "remove that one ({reason})."
        ),
    ),
    (
        r"Network not found|network '.*' is not active",
        _sentence("Instance {uuid} needs a network that host {host} does not have or has not started ({reason})."),
    ),
    (
        r"bridge|[Cc]annot get interface|Unable to (create|add) .*tap|interface .*No such device",
        _sentence("Instance {uuid} needs a bridge or network interface that host {host} does not have ({reason})."),
    ),
    (
        r"machine type|preferred machine",
        _sentence("Instance {uuid} needs a machine type that QEMU on host {host} does not know ({reason})."),
    ),
    (
        r"Unknown CPU model|guest CPU|CPU is incompatible|CPU model|CPU mode|CPU features",
        _sentence("Instance {uuid} needs a CPU that host {host} does not have ({reason})."),
    ),
    (
        r"virt type|/dev/kvm|domain type",
        _sentence("Host {host} cannot virtualise as instance {uuid} wants it ({reason})."),
    ),
    (
        r"[Cc]annot allocate memory|cannot set up guest memory",
        _sentence("Host {host} had not enough memory to start instance {uuid} ({reason})."),
    ),
    (
        r"Invalid password",
        _sentence(
            "The disk of instance {uuid} is encrypted, and the key that host {host} was given does not open it "
            "({reason})."
        ),
    ),
    (
        r"Secret not found|does not have a value",
        _sentence("The disk of instance {uuid} is encrypted and host {host} has not its key ({reason})."),
    ),
)

#: QEMU died before it could say why: its last words sometimes come too late for libvirt to pass on.
_WORDLESS = re.compile(r"(unexpectedly closed the monitor|process exited while connecting to monitor)\W*$")


def code_of(error: "libvirt.libvirtError") -> int:
    """Return libvirt's number for what went wrong."""
    code: Any = error.get_error_code()
    return int(code)


def gave_no_reason(error: "libvirt.libvirtError") -> bool:
    """Whether QEMU ended without a word, so that another try would tell more."""
    return _WORDLESS.search(str(error)) is not None


def meaning(error: "libvirt.libvirtError", host: str, uuid: str) -> errors.DriverError:
    """Return what a refusal means."""
    said = " ".join(str(error).split()).rstrip(".")
    for pattern, make in _MEANINGS:
        if re.search(pattern, said):
            return make(host, uuid, said)
    return errors.DriverError(reason=f"The hypervisor of host {host} refused instance {uuid}: {said}.")
