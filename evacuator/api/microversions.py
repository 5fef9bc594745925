"""Everything that depends on the microversion, in one table.

A handler asks ``request.behaviour`` for what a caller of that version was promised, by name; nothing else compares
versions. Each fact is decided once for each version and then is a plain attribute.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar, overload

from evacuator.api.schemas import (
    aggregates,
    evacuate,
    flavors,
    hypervisors,
    images,
    instance_actions,
    lock,
    migrations,
    power,
    servers,
    services,
)

T = TypeVar("T")


class Version(NamedTuple):
    """A microversion; compares as its two numbers."""

    major: int
    minor: int

    @classmethod
    def of(cls, text: str) -> "Version":
        """Read "2.95"."""
        major, minor = text.split(".")
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


MINIMUM = Version(2, 1)
MAXIMUM = Version(2, 95)


class ByVersion(Generic[T]):
    """A fact that depends on the version. ``changes`` are the versions at which it becomes another."""

    def __init__(self, decide: Callable[[Version], T], changes: tuple[Version, ...]) -> None:
        self.decide = decide
        self.changes = tuple(version for version in changes if MINIMUM < version <= MAXIMUM)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, behaviours: None, owner: type[Any]) -> "ByVersion[T]": ...

    @overload
    def __get__(self, behaviours: "Behaviours", owner: type[Any]) -> T: ...

    def __get__(self, behaviours: "Behaviours | None", owner: type[Any]) -> "ByVersion[T] | T":
        if behaviours is None:
            return self
        value = self.decide(behaviours.version)
        vars(behaviours)[self.name] = value  # from now on this is what attribute access finds
        return value


def between(first: str, last: str) -> ByVersion[bool]:
    """True from ``first`` to ``last``, both included."""
    low, high = Version.of(first), Version.of(last)
    return ByVersion(lambda version: low <= version <= high, (low, Version(high.major, high.minor + 1)))


def since(first: str) -> ByVersion[bool]:
    """True from ``first`` on."""
    return between(first, str(MAXIMUM))


def until(last: str) -> ByVersion[bool]:
    """True up to and including ``last``."""
    return between(str(MINIMUM), last)


def choice(rows: Mapping[str, T]) -> ByVersion[T]:
    """The value of the last row whose version is not newer."""
    table = [(Version.of(first), value) for first, value in rows.items()]

    def decide(version: Version) -> T:
        return next(value for first, value in reversed(table) if first <= version)

    return ByVersion(decide, tuple(first for first, _ in table))


def absent(
    new: Mapping[str, tuple[str, ...]], gone: Mapping[str, tuple[str, ...]] | None = None
) -> ByVersion[frozenset[str]]:
    """The keys of a response that this version does not have.

    ``new``: version -> keys that appear with it. ``gone``: version -> keys that it no longer has.
    """
    appear = [(Version.of(first), keys) for first, keys in new.items()]
    vanish = [(Version.of(first), keys) for first, keys in (gone or {}).items()]

    def decide(version: Version) -> frozenset[str]:
        not_yet = {key for first, keys in appear if version < first for key in keys}
        no_longer = {key for first, keys in vanish if version >= first for key in keys}
        return frozenset(not_yet | no_longer)

    return ByVersion(decide, tuple(first for first, _ in appear + vanish))


class Behaviours:
    """What one microversion means. Get one from ``behaviours``."""

    def __init__(self, version: Version) -> None:
        self.version = version

    # -- evacuate

    evacuate_schema = choice(
        {
            "2.1": evacuate.V2_1,
            "2.14": evacuate.V2_14,
            "2.29": evacuate.V2_29,
            "2.68": evacuate.V2_68,
            "2.95": evacuate.V2_95,
        }
    )
    returns_admin_password = until("2.13")
    says_whether_storage_is_shared = until("2.13")
    forces_host_by_default = until("2.28")
    stops_at_destination = since("2.95")

    # -- servers

    create_schema = choice(
        {
            "2.1": servers.CREATE_2_1,
            "2.19": servers.CREATE_2_19,
            "2.37": servers.CREATE_2_37,
            "2.52": servers.CREATE_2_52,
            "2.57": servers.CREATE_2_57,
            "2.63": servers.CREATE_2_63,
            "2.74": servers.CREATE_2_74,
            "2.90": servers.CREATE_2_90,
            "2.94": servers.CREATE_2_94,
        }
    )
    servers_query = choice(
        {
            "2.1": servers.QUERY_2_1,
            "2.26": servers.QUERY_2_26,
            "2.66": servers.QUERY_2_66,
            "2.73": servers.QUERY_2_73,
            "2.75": servers.QUERY_2_75,
        }
    )
    server_absent = absent(
        new={
            "2.3": (
                "OS-EXT-SRV-ATTR:hostname",
                "OS-EXT-SRV-ATTR:kernel_id",
                "OS-EXT-SRV-ATTR:launch_index",
                "OS-EXT-SRV-ATTR:ramdisk_id",
                "OS-EXT-SRV-ATTR:reservation_id",
                "OS-EXT-SRV-ATTR:root_device_name",
                "OS-EXT-SRV-ATTR:user_data",
            ),
            "2.9": ("locked",),
            "2.16": ("host_status",),
            "2.19": ("description",),
            "2.26": ("tags",),
            "2.63": ("trusted_image_certificates",),
            "2.71": ("server_groups",),
            "2.73": ("locked_reason",),
        }
    )
    embeds_flavor = since("2.47")
    shows_hostname_to_everybody = since("2.90")
    refuses_invalid_status = since("2.38")
    filters_by_tags = since("2.26")
    filters_by_changes_before = since("2.66")
    filters_by_locked = since("2.73")
    members_filter_by_state = since("2.83")
    takes_lock_reason = since("2.73")
    lock_schema = choice({"2.1": lock.V2_1, "2.73": lock.V2_73})
    start_schema = choice({"2.1": power.START_2_1})
    stop_schema = choice({"2.1": power.STOP_2_1})
    reboot_schema = choice({"2.1": power.REBOOT_2_1})
    reset_state_schema = choice({"2.1": power.RESET_STATE_2_1})
    unlock_schema = choice({"2.1": lock.UNLOCK_2_1})

    # -- services

    services_query = choice({"2.1": services.QUERY_2_1, "2.75": services.QUERY_2_75})
    names_services_by_uuid = since("2.53")
    names_hypervisors_by_number = until("2.52")
    service_absent = absent({"2.11": ("forced_down",)})
    forces_services_down = since("2.11")
    service_update_schema = choice(
        {"2.1": services.UPDATE_2_1, "2.11": services.UPDATE_2_11, "2.53": services.UPDATE_2_53}
    )

    # -- hypervisors

    hypervisors_query = choice(
        {
            "2.1": hypervisors.QUERY_2_1,
            "2.33": hypervisors.QUERY_2_33,
            "2.53": hypervisors.QUERY_2_53,
            "2.75": hypervisors.QUERY_2_75,
        }
    )
    hypervisor_query = choice(
        {"2.1": hypervisors.SHOW_2_1, "2.53": hypervisors.SHOW_2_53, "2.75": hypervisors.SHOW_2_75}
    )
    hypervisor_absent = absent(
        new={"2.88": ("uptime",)},
        gone={
            "2.88": (
                "vcpus",
                "memory_mb",
                "local_gb",
                "vcpus_used",
                "memory_mb_used",
                "local_gb_used",
                "free_ram_mb",
                "free_disk_gb",
                "current_workload",
                "running_vms",
                "disk_available_least",
                "cpu_info",
            ),
        },
    )
    shows_cpu_as_object = since("2.28")
    pages_hypervisors = since("2.33")
    shows_no_servers_as_list = since("2.75")
    sums_up_hypervisors = until("2.87")

    # -- migrations

    migrations_query = choice(
        {
            "2.1": migrations.QUERY_2_1,
            "2.59": migrations.QUERY_2_59,
            "2.66": migrations.QUERY_2_66,
            "2.80": migrations.QUERY_2_80,
        }
    )
    migration_absent = absent({"2.23": ("migration_type",), "2.59": ("uuid",), "2.80": ("user_id", "project_id")})
    lists_server_migrations = since("2.23")
    filters_migrations_by_who_asked = since("2.80")
    pages_migrations = since("2.59")

    # -- instance actions

    actions_query = choice(
        {"2.1": instance_actions.QUERY_2_1, "2.58": instance_actions.QUERY_2_58, "2.66": instance_actions.QUERY_2_66}
    )
    action_absent = absent({"2.58": ("updated_at",)})
    event_absent = absent({"2.62": ("host", "hostId"), "2.84": ("details",)})
    pages_actions = since("2.58")
    shows_actions_of_deleted = since("2.21")
    shows_events_to_members = since("2.51")

    # -- flavors

    flavors_query = choice({"2.1": flavors.QUERY_2_1, "2.75": flavors.QUERY_2_75})
    flavor_create_schema = choice({"2.1": flavors.CREATE_2_1, "2.55": flavors.CREATE_2_55})
    flavor_update_schema = choice({"2.1": flavors.UPDATE_2_55})
    extra_specs_schema = choice({"2.1": flavors.EXTRA_SPECS_2_1})
    extra_spec_schema = choice({"2.1": flavors.EXTRA_SPEC_2_1})
    describes_flavors = since("2.55")
    flavor_absent = absent({"2.55": ("description",), "2.61": ("extra_specs",)})
    shows_no_swap_as_zero = since("2.75")

    # -- aggregates

    aggregate_create_schema = choice({"2.1": aggregates.CREATE_2_1})
    aggregate_update_schema = choice({"2.1": aggregates.UPDATE_2_1})
    aggregate_action_schema = choice({"2.1": aggregates.ACTION_2_1})
    aggregate_absent = absent({"2.41": ("uuid",)})

    # -- images

    images_query = choice({"2.1": images.QUERY_2_1})


@cache
def behaviours(version: Version) -> Behaviours:
    """Return the one object for ``version``."""
    return Behaviours(version)
