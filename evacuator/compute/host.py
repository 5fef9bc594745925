"""A compute host as its own manager sees it: what every part of the manager works with."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from evacuator.compute.callers import Callers
from evacuator.context import RequestContext
from evacuator.db.models import Instance
from evacuator.engine.engine import Engine
from evacuator.engine.keys import fetch_keys, needs_keys
from evacuator.keys.manager import Key
from evacuator.versions import SERVICE_VERSION
from evacuator.virt.driver import Driver, Guest

T = TypeVar("T")


class InstanceLocks:
    """One lock per instance, made when it is needed and gone when nobody holds it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, uuid: str, timeout: float = -1) -> Iterator[bool]:
        """Hold the lock of an instance; yields False, without it, when ``timeout`` seconds did not get it."""
        with self._guard:
            lock, users = self._locks.get(uuid, (threading.Lock(), 0))
            self._locks[uuid] = (lock, users + 1)
        held = lock.acquire(timeout=timeout)
        try:
            yield held
        finally:
            if held:
                lock.release()
            with self._guard:
                lock, users = self._locks[uuid]
                if users == 1:
                    del self._locks[uuid]
                else:
                    self._locks[uuid] = (lock, users - 1)


@dataclass(frozen=True)
class Host:
    """One host and its collaborators.

    ``clock`` counts the seconds that a suspended machine slept too; only differences of it mean anything.
    """

    name: str
    engine: Engine
    driver: Driver
    clock: Callable[[], float]
    version: int = SERVICE_VERSION
    rebuild_from_image: bool = False
    context: RequestContext = field(default_factory=lambda: RequestContext.of_service("nova-compute"))
    locks: InstanceLocks = field(default_factory=InstanceLocks)
    callers: Callers = field(default_factory=Callers)

    def proven(self, prove: Callable[[], T]) -> T:
        """Have ``prove`` commit, again until its commit is fresh, and return what it did: before every power-on.

        A process that was frozen between the commit and the power-on may have lost the instance meanwhile; more than
        half of the down time is too old to act upon. What takes a guest away goes by the same.
        """
        while True:
            begun = self.clock()
            proof = prove()
            if self.clock() - begun <= self.engine.rules.service_down_time / 2:
                return proof

    def keys_of(self, instance: Instance, request_id: str, prove: Callable[[], object]) -> tuple[Key, ...]:
        """Fetch the keys that a start of an instance needs, with the rights of whoever asked for it in a request.

        ``prove`` commits that the start is still this host's to make: who was frozen may have been overtaken by an
        evacuation that promised to ask for no key. Fetching takes a while: the proof that the start follows, which has
        to be fresh, comes after it.

        :raises KeyUnavailable: there is one that cannot be had.
        :raises Overtaken: by ``prove``.
        """
        if needs_keys(self.engine, instance):
            self.proven(prove)
        return fetch_keys(self.engine, self.callers.of(instance.uuid, request_id), instance)


def guest_of(instance: Instance) -> Guest:
    """Return what the hypervisor must know of an instance."""
    return Guest(
        uuid=instance.uuid,
        name=instance.instance_name,
        vcpus=instance.vcpus,
        memory_mb=instance.memory_mb,
        disk_gb=instance.disk_gb,
        image_ref=instance.image_ref,
        project_id=instance.project_id,
        definition=instance.definition,
        key_ids=tuple(instance.key_ids or ()),
    )
