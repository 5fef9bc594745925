"""Every error that is raised on purpose, in the words of the domain.

An error carries facts as keyword arguments; ``message`` makes a sentence of them, and where there is a way out the
sentence names it. What each means to an HTTP client is said in one table, in ``evacuator.api.faults``.
"""

from typing import Any, ClassVar


class EvacuatorError(Exception):
    """The root of what is raised on purpose."""

    message: ClassVar[str] = "Something went wrong."
    #: The same for those who may not know which hosts there are, where ``message`` names one.
    message_without_hosts: ClassVar[str | None] = None

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.message.format(**facts))

    def sentence(self, *, names_hosts: bool) -> str:
        """Say what happened to somebody who may, or may not, know which hosts there are."""
        if names_hosts or self.message_without_hosts is None:
            return str(self)
        return self.message_without_hosts.format(**self.facts)


class Invalid(EvacuatorError):
    """The request cannot be carried out as it is written."""

    message = "{reason}"


class Conflict(EvacuatorError):
    """The request does not fit the state that things are in."""

    message = "{reason}"


class NotFound(EvacuatorError):
    """What the request names does not exist, or not for this caller."""

    message = "{reason}"


# -- what is named does not exist


class InstanceNotFound(NotFound):
    """No instance of this id in the caller's sight."""

    message = "Instance {uuid} could not be found."


class ComputeHostNotFound(NotFound):
    """No compute service, or no compute node, of this name."""

    message = "Compute host {host} not found."


class ServiceNotFound(NotFound):
    """No service of this id."""

    message = "Service {service_id} could not be found."


class HostNotMapped(NotFound):
    """No compute service on a host of this name (the older form of the services API)."""

    message = "Host '{host}' is not mapped to any cell"


class FlavorNotFound(NotFound):
    """No flavor of this id."""

    message = "Flavor {flavor_id} could not be found."


class ExtraSpecNotFound(NotFound):
    """The flavor has no extra spec of this name."""

    message = "Flavor {flavor_id} has no extra specs with key {key}."


class ImageNotFound(NotFound):
    """No image of this id."""

    message = "Image {image_id} could not be found."


class ActionNotFound(NotFound):
    """The instance has no action with this request id."""

    message = "Action {request_id} not found"


class AggregateNotFound(NotFound):
    """No aggregate of this number."""

    message = "Aggregate {aggregate_id} could not be found."


class HostNotInAggregate(NotFound):
    """The aggregate does not have this host."""

    message = "Aggregate {aggregate_id} has no host {host}."


# -- the state of things does not allow it


class InstanceInvalidState(Conflict):
    """The instance is in a state from which this action does not start."""

    message = "Cannot '{action}' instance {uuid} while it is in {attribute} {state}"


class InstanceIsBeingDeleted(Conflict):
    """Somebody deletes the instance; its host has not done it yet."""

    message = (
        "Cannot 'evacuate' instance {uuid} while it is in task_state deleting. If its host is down, delete it again: "
        "it is then gone at once. To keep it, reset its state first, if you may."
    )


class InstanceNotReady(Conflict):
    """The instance has never run."""

    message = "Instance {uuid} is in an invalid state for '{action}'"


class InstanceLocked(Conflict):
    """The instance is locked and the caller may not override that."""

    message = "Instance {uuid} is locked"


class EvacuationInProgress(Conflict):
    """An unfinished evacuation holds the instance and its destination is alive."""

    message = (
        "Cannot '{action}' instance {uuid} while its evacuation is in progress: migration {migration_id} to host "
        "{destination} is {status} since {since} UTC. Wait for it to end, or end it with os-resetState."
    )
    message_without_hosts = (
        "Cannot '{action}' instance {uuid} while its evacuation is in progress: migration {migration_id} is {status} "
        "since {since} UTC. Wait for it to end."
    )


class HostIsDown(Conflict):
    """A power order for an instance whose host would not hear it."""

    message = (
        "Cannot '{action}' instance {uuid}: its host is down: evacuate it. Host {host} has not been heard lately or "
        "is forced down, so nothing was ordered."
    )
    message_without_hosts = (
        "Cannot '{action}' instance {uuid}: its host is down: evacuate it. Only an administrator can do that; nothing "
        "was ordered."
    )


class InstanceChanged(Conflict):
    """The instance was changed by somebody else between the check and the write."""

    message = "Instance {uuid} was changed by another request at the same moment. Look at it again, then retry."


class UnsupportedRpcVersion(Conflict):
    """The RPC pin is too old to carry a target state."""

    message = (
        "Unsupported RPC version for {method}. Required >= {required}. The pin [upgrade_levels] compute = {pin} "
        "holds it back: raise or remove it, or use a microversion below 2.95."
    )


class AggregateExists(Conflict):
    """Another aggregate has this name."""

    message = "Aggregate {name} already exists."


class HostInAggregate(Conflict):
    """The host is in the aggregate already."""

    message = "Aggregate {aggregate_id} already has host {host}."


class HostsInOtherZones(Conflict):
    """A host can be in one zone only."""

    message = (
        "Cannot {action} aggregate {aggregate_id}. Reason: One or more hosts already in availability zone(s) {zones}. "
        "Take the hosts out of the aggregates of those zones first."
    )


class ZoneHasInstances(Conflict):
    """Hosts with instances do not change their zone."""

    message = (
        "Cannot {action} aggregate {aggregate_id}. Reason: One or more hosts contain instances in this zone. Evacuate "
        "or delete them first."
    )


class FlavorExists(Conflict):
    """Another flavor has this name or id."""

    message = "Flavor with {attribute} {value} already exists."


class AggregateNotEmpty(Invalid):
    """The aggregate still has hosts."""

    message = "Cannot delete aggregate {aggregate_id}. Reason: Host aggregate is not empty. Remove its hosts first."


class HostUpRefused(Invalid):
    """Evacuations away from the host are done but not cleaned up on it."""

    message = (
        "Unable to force up host {host} as `done` evacuation migration records remain associated with the host. "
        "Ensure the compute service has been restarted, allowing these records to move to `completed` before "
        "retrying this request."
    )


class ServiceInUse(Conflict):
    """The service cannot be forgotten yet."""

    message = "Unable to delete compute service of host {host}: it {what}."


class FlavorTooSmall(Invalid):
    """The image needs more than the flavor has."""

    message = "Flavor's {what} is too small for requested image: it has {has}, the image needs {needs}."


class ZoneNotAvailable(Invalid):
    """No host that may be used is in the availability zone."""

    message = "The requested availability zone is not available"


# -- the evacuation cannot be accepted


class SourceInUse(Invalid):
    """The source is not proven dead."""

    message = "Compute service of {host} is still in use. {evidence}"


class SameHost(Invalid):
    """The requested destination is the source."""

    message = "The target host can't be the same one."


class ForceWithoutHost(Invalid):
    """``force`` without a host to force."""

    message = "Can't force to a non-provided destination"


class PasswordOnSharedStorage(Invalid):
    """A new password for a disk that is kept."""

    message = "admin password can't be changed on existing disk"


class ComputesTooOld(Invalid):
    """Some compute service would not honour the promise of 2.95."""

    message = (
        "Microversion 2.95 stops the instance on its destination, which needs compute service version {required} on "
        "every host; the oldest here has version {found} ({hosts}). Upgrade and restart the compute services named, "
        "or delete those that are gone for good; until then use microversion 2.94 or older."
    )


# -- nothing that a caller did


class TransitionRefused(EvacuatorError):
    """A step that the table of transitions does not have: a fault in this program."""

    message = "An evacuation that is {status} has no step '{step}'."


class Overtaken(EvacuatorError):
    """A conditional write found its row changed: somebody else was there first, so this work is not ours any more."""

    message = "{what} was changed by somebody else: {where}"


class RoomTaken(EvacuatorError):
    """The room that was to be claimed on a host was claimed by others meanwhile: look for another one."""

    message = "Host {host} was filled by others at the same moment."


class RequestTooOld(EvacuatorError):
    """The process that had the request in hand, or before it in its queue, stood still."""

    message = (
        "This request may have been sent {age:.0f} s ago: the process that has it was not able to go on with it since. "
        "Nothing was written. Look at what was asked for meanwhile; then ask again."
    )


class DatabaseUnavailable(EvacuatorError):
    """The database did not answer, however often it was asked; what was to be written may have been."""

    message = (
        "The database does not answer ({reason}). Whether what was asked for was carried out is not known: look, then "
        "retry."
    )
    message_without_hosts = (
        "The database does not answer. Whether the request was carried out is not known: look, then retry."
    )


class DatabaseRefuses(DatabaseUnavailable):
    """The database answers that it will not: it is full or locked, lets nobody in, or is not what it should be."""

    message = "The database refuses ({reason}). Nothing was written; set it right, then retry."
    message_without_hosts = "The database refuses to work. Nothing was written: retry later."


class ImagesUnavailable(EvacuatorError):
    """Where images come from does not answer."""

    message = "{reason}"


class NotConfigured(EvacuatorError):
    """The configuration does not allow to start."""

    message = "{reason}"


class StateDirectoryInUse(EvacuatorError):
    """Another process holds the state directory."""

    message = "{path} is in use by another evacuator process. Stop that one, or choose another --state-dir."


# -- the keys of encrypted disks


class KeyUnavailable(EvacuatorError):
    """A key that opens a disk of an instance cannot be had, so that the instance is not started."""

    message = "{reason}"


class KeyForbidden(KeyUnavailable):
    """Who asks may not read the key."""

    message = (
        "Secret {key_id} opens a disk of this server, and whoever asked for the start may not read it. Whoever may, as "
        "a rule the server's owner, has to start the server."
    )


class KeyTokenRefused(KeyForbidden):
    """The key manager does not accept the token of who asks."""

    message = (
        "Secret {key_id} opens a disk of this server, and the key manager does not accept the token of whoever asked "
        "for the start: ask again with a new one."
    )


class KeyNotFound(KeyUnavailable):
    """The key manager knows no such key."""

    message = (
        "The key manager has no secret {key_id}, which opens a disk of this server. If the disk has another key by "
        "now, name that one in the guest's definition, and have an administrator adopt the guest again."
    )


class KeyUnusable(KeyUnavailable):
    """There is such a secret, but nothing in it that could open a disk."""

    message = "Secret {key_id}, which should open a disk of this server, {what}."


class KeyManagerSilent(KeyUnavailable):
    """The key manager does not answer, or not as one."""

    message = "The key manager, which has the key to a disk of this server, cannot be asked ({reason}): try later."
    message_without_hosts = "The key manager, which has the key to a disk of this server, cannot be asked: try later."


class NoKeyManager(KeyUnavailable):
    """Nobody was named that could be asked."""

    message = (
        "A disk of this server is encrypted, and no key manager is configured. An administrator has to name one: "
        "key_source in section [encryption], for the API and on the hosts."
    )


class NoTokenForKey(KeyUnavailable):
    """The key manager lets in only who has a token, and callers here have none."""

    message = (
        "A disk of this server is encrypted, and its key is given only to who shows a token of Keystone, which callers "
        "have only with [api] auth_strategy = keystone."
    )


class CallerGone(KeyUnavailable):
    """Whoever asked for the start is not at hand, and with them the right to read the key."""

    message = (
        "A disk of this server is encrypted, and the message that brings the token of whoever asked for the start was "
        "lost, or the start was interrupted: ask again."
    )


# -- the hypervisor


class DriverError(EvacuatorError):
    """The hypervisor refused, for certain: what was asked for did not happen."""

    message = "{reason}"


class DiskMissing(DriverError):
    """The instance's disk is not where the destination looks for it."""

    message = (
        "The disk of instance {uuid} is not on host {host} ({path}). Mount the shared storage there, or evacuate to a "
        "host that has it."
    )


class DiskInUse(DriverError):
    """Somebody else writes to the instance's disk."""

    message = (
        "disk still in use on another host: fence it first. The disk of instance {uuid} is locked by another process, "
        "so host {host} did not start it ({reason})."
    )


class SharedStorageMismatch(DriverError):
    """What the caller says of the storage is not what the destination sees."""

    message = "Invalid state of instance files on shared storage. {reason}"


class FilesOutOfReach(DriverError):
    """Something is to be done to files on a host that is driven from another machine."""

    message = (
        "The disk of instance {uuid} on host {host} is on storage of that host, which cannot be reached from here: run "
        "`evacuator compute` there."
    )


class DiskNotLost(SharedStorageMismatch):
    """A disk that was to be made anew, since it was lost with its host, is there."""

    message = (
        "Invalid state of instance files on shared storage. The disk of instance {uuid} was to be made anew on host "
        "{host}, but {path} is there already, so nothing was made. If the hosts share their storage, give them the "
        "same storage_id; if they do not, move that file away; then evacuate again."
    )


class GuestNotFound(DriverError):
    """The hypervisor knows no such guest."""

    message = "Host {host} has no guest {uuid}."


class HypervisorUnknown(EvacuatorError):
    """The hypervisor did not answer (in time): whether the operation happened is not known."""

    message = "The hypervisor of host {host} did not answer: {reason}"
