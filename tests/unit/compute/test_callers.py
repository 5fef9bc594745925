"""Whose token there is when an encrypted guest is started: that of who asked, for as long as it is worked on."""

import time
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import update

from evacuator.compute.callers import Callers
from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.context import RequestContext
from evacuator.db import instances, schema
from evacuator.db.models import Instance
from evacuator.db.session import open_database
from evacuator.engine.create import NewInstances, create_instances
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.power import start_instance, stop_instance
from evacuator.evacuation.states import VmState
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings
from tests.world.shelf import OWNER, STRANGER, Shelf

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"


def context(token=OWNER, request_id=None):
    return RequestContext(
        user_id="anna", project_id="blue", auth_token=token, request_id=request_id, is_admin=True, overwrite=False
    )


class Queue:
    """Workers that work when they are told to."""

    def __init__(self):
        self.waiting = []

    def submit(self, work, /):
        self.waiting.append(work)

    def work(self):
        while self.waiting:
            self.waiting.pop(0)()


class Lost:
    """Messages that never come."""

    def can_send_target_state(self):
        return True

    def rebuild_instance(self, *_what):
        pass

    def carry_out_order(self, *_what):
        pass


class Keys:
    keeps_keys = True

    def __init__(self, shelf):
        self._shelf = shelf

    def fetch(self, caller, key_id):
        return self._shelf.give("a", caller, key_id)


@pytest.fixture
def host(tmp_path):
    """A host with a stopped server whose disk is encrypted, and a manager that works when it is told to."""
    database = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite")
    schema.upgrade(database)
    shelf, queue = Shelf(), Queue()
    engine = Engine(database, Lost(), Rules(caller_timeout=0), keys=Keys(shelf))
    manager = ComputeManager(
        Host("a", engine, SimulatedDriver("a", tmp_path / FOLDER, SimulatedSettings()), time.monotonic),
        queue,
        str(uuid.uuid4()),
    )
    manager.start()
    assert manager.beat()
    manager.shelf, manager.queue, manager.engine = shelf, queue, engine
    (made,) = create_instances(engine, context(), NewInstances("vault", "1"))
    manager.uuid = made.uuid
    manager.sweep()
    queue.work()
    stop_instance(engine, context(), made.uuid, None, override_lock=True)
    manager.sweep()
    queue.work()
    encrypted = update(Instance).where(Instance.uuid == made.uuid).values(key_ids=[KEY_ID])
    database.write(lambda transaction: transaction.execute(encrypted))
    yield manager
    database.close()


def ordered(host):
    """Have anna order the start; return who she is then. The message that brings it is the test's."""
    anna = context()
    start_instance(host.engine, anna, host.uuid, None, override_lock=True)
    host.shelf.fetched.clear()
    return anna


def state(host):
    found = host.engine.database.read(lambda session: instances.get(session, host.uuid))
    return found.vm_state, found.task_state


def test_the_key_is_fetched_with_the_token_that_the_message_brought(host):
    anna = ordered(host)
    host.wake_order(host.uuid, anna.request_id, anna)
    host.queue.work()
    assert state(host) == (VmState.ACTIVE, None)
    assert host.shelf.fetched == [("a", OWNER, KEY_ID)]


def test_a_message_that_comes_after_the_sweep_and_before_the_work_is_in_time(host):
    anna = ordered(host)
    host.sweep()
    host.wake_order(host.uuid, anna.request_id, anna)
    assert len(host.queue.waiting) == 1
    host.queue.work()
    assert state(host) == (VmState.ACTIVE, None)


def test_without_a_message_nothing_is_fetched_and_the_order_fails(host):
    ordered(host)
    host.sweep()
    host.queue.work()
    assert state(host) == (VmState.STOPPED, None)
    assert host.shelf.fetched == []


@pytest.mark.parametrize("token", [OWNER, STRANGER])
def test_another_requests_token_is_nobodys_here(host, token):
    anna = ordered(host)
    host.wake_order(host.uuid, anna.request_id, context(token))
    host.queue.work()
    assert state(host) == (VmState.STOPPED, None)
    assert host.shelf.fetched == []


def test_once_the_work_is_done_nobodys_token_is_kept(host):
    anna = ordered(host)
    for _ in range(2):
        host.wake_order(host.uuid, anna.request_id, anna)
    assert host.host.callers.of(host.uuid, anna.request_id) is anna
    host.queue.work()
    assert host.host.callers.of(host.uuid, anna.request_id) is None
    assert host.host.callers._contexts == host._in_hand == {}


def test_a_start_that_another_life_had_made_is_recorded_without_a_key(host):
    anna = ordered(host)
    keyless = replace_guest(host)
    host.host.driver.power_on(keyless, "another life")
    host.sweep()
    host.queue.work()
    assert state(host) == (VmState.ACTIVE, None)
    assert host.shelf.fetched == []
    assert anna.request_id


def replace_guest(host):
    """Have the guest be one that starts without a key, as if it had got it; return its id."""
    machine = host.host.driver._machine
    file = machine.read(host.uuid)
    machine.write(replace(file, guest=replace(file.guest, key_ids=())))
    return host.uuid


def test_callers_are_told_apart_by_instance_and_request():
    callers, anna, bert = Callers(), context(request_id="req-1"), context(STRANGER, "req-2")
    callers.remember(anna, "one")
    callers.remember(bert, "two")
    assert callers.of("one", "req-1") is anna
    assert callers.of("two", "req-1") is callers.of("one", "req-2") is None
    callers.forget(bert, "one")
    callers.forget(anna, "one")
    assert callers.of("one", "req-1") is None
    assert callers.of("two", "req-2") is bert
