"""Messages over a real oslo.messaging transport, in-process."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging import conffixture

from evacuator import metrics
from evacuator.context import RequestContext
from evacuator.db.models import Instance, Migration
from evacuator.evacuation.states import VmState
from evacuator.rpc import server, transport
from evacuator.rpc.client import ComputeClient
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.rush import Rush

AN_INSTANCE = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"
A_MIGRATION = "7a3b8c1e-95f6-4b36-8f3f-0a9a3c0e1d22"


@dataclass
class Listener:
    """Writes down by what it was woken."""

    woken: list[tuple[object, ...]] = field(default_factory=list)
    callers: list[RequestContext | None] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def wake_rebuild(
        self, migration_id: int, instance_uuid: str, attempt: int | None, caller: RequestContext | None = None
    ) -> None:
        self.woken.append(("rebuild", migration_id, instance_uuid, attempt))
        self.callers.append(caller)
        self.heard.set()

    def wake_order(self, instance_uuid: str, order_id: str, caller: RequestContext | None = None) -> None:
        self.woken.append(("order", instance_uuid, order_id))
        self.callers.append(caller)
        self.heard.set()


@pytest.fixture
def opened() -> Iterator[transport.Transport]:
    fixture = conffixture.ConfFixture(cfg.CONF)
    with fixture:
        fixture.transport_url = "fake://"
        made = transport.open_transport(cfg.CONF)
        yield made
        made.cleanup()


@pytest.fixture
def listener(opened: transport.Transport) -> Iterator[Listener]:
    woken = Listener()
    stop = server.listen(opened, "b", woken)
    yield woken
    stop()


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    made = Outbox()
    yield made
    made.close()


LOADED_AND_THEN_FORKED = """
import os
from evacuator.rpc.outbox import Outbox
outbox = Outbox()
reading, writing = os.pipe()
if os.fork() == 0:
    outbox.put(lambda: os.write(writing, b"sent"))
    outbox.close()
    os._exit(0)
os.close(writing)
print(os.read(reading, 9))
"""


def test_a_server_that_loads_the_application_and_forks_sends_from_where_it_answers() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED_AND_THEN_FORKED], capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout.strip() == "b'sent'"


def a_record() -> Migration:
    return Migration(
        id=7,
        uuid=A_MIGRATION,
        instance_uuid=AN_INSTANCE,
        status="accepted",
        source_compute="a",
        dest_compute="b",
        attempt=3,
        final_state=VmState.STOPPED,
    )


def an_instance() -> Instance:
    return Instance(uuid=AN_INSTANCE, host="a", vm_state=VmState.ACTIVE, vcpus=1, memory_mb=512, disk_gb=1)


def cast(opened: transport.Transport, outbox: Outbox, service_version: int, pin: str | None = None) -> None:
    client = ComputeClient(opened, outbox, pin)
    client.rebuild_instance(RequestContext.of_service("test"), a_record(), an_instance(), service_version)


def test_a_new_compute_is_told_the_migration_and_the_attempt(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    cast(opened, outbox, service_version=2)
    assert listener.heard.wait(5)
    assert listener.woken == [("rebuild", 7, AN_INSTANCE, 3)]


def test_an_old_compute_is_told_the_migration_without_the_attempt(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    cast(opened, outbox, service_version=1)
    assert listener.heard.wait(5)
    assert listener.woken == [("rebuild", 7, AN_INSTANCE, None)]


def test_a_compute_that_reported_no_version_is_spoken_to_as_to_the_oldest(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    cast(opened, outbox, service_version=0)
    assert listener.heard.wait(5)
    assert listener.woken == [("rebuild", 7, AN_INSTANCE, None)]


def test_a_pin_holds_back_what_a_new_compute_would_understand(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    cast(opened, outbox, service_version=2, pin="1.0")
    assert listener.heard.wait(5)
    assert listener.woken == [("rebuild", 7, AN_INSTANCE, None)]


@pytest.mark.parametrize(("pin", "can"), [(None, True), ("1.1", True), ("1.0", False)])
def test_the_pin_decides_whether_a_target_state_can_be_sent(
    opened: transport.Transport, outbox: Outbox, pin: str | None, can: bool
) -> None:
    assert ComputeClient(opened, outbox, pin).can_send_target_state() is can


def test_an_order_names_the_instance_and_the_request(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    client = ComputeClient(opened, outbox)
    client.carry_out_order(RequestContext.of_service("test"), "b", AN_INSTANCE, "req-1")
    assert listener.heard.wait(5)
    assert listener.woken == [("order", AN_INSTANCE, "req-1")]


def test_whoever_is_woken_is_told_who_asked_and_with_which_token(
    opened: transport.Transport, listener: Listener, outbox: Outbox
) -> None:
    client = ComputeClient(opened, outbox)
    anna = RequestContext(user_id="anna", project_id="blue", auth_token="hers", request_id="req-1", overwrite=False)
    client.carry_out_order(anna, "b", AN_INSTANCE, "req-1")
    assert listener.heard.wait(5)
    listener.heard.clear()
    client.rebuild_instance(anna, a_record(), an_instance(), 2)
    assert listener.heard.wait(5)
    told = [(each.user_id, each.project_id, each.auth_token, each.request_id) for each in listener.callers if each]
    assert told == [("anna", "blue", "hers", "req-1")] * 2


def test_a_wake_up_that_cannot_be_sent_does_not_stop_the_next() -> None:
    outbox, sent = Outbox(), threading.Event()

    def unsendable() -> None:
        raise ConnectionError("the broker is away")

    outbox.put(unsendable)
    outbox.put(sent.set)
    assert sent.wait(5)
    outbox.close()


def lost_wake_ups() -> float:
    return metrics.REGISTRY.get_sample_value("evacuator_wakeups_lost_total") or 0.0


def test_a_wake_up_that_cannot_be_sent_is_counted_as_lost(
    opened: transport.Transport, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_kwargs: object) -> None:
        raise oslo_messaging.MessageDeliveryFailure("the broker is away")

    before = lost_wake_ups()
    monkeypatch.setattr(opened, "_send", away)
    cast(opened, outbox, service_version=2)
    outbox.close()
    assert lost_wake_ups() == before + 1


def test_a_message_that_finds_the_outbox_full_or_cannot_be_sent_is_told_to_who_counts_it() -> None:
    hold, taken, lost = threading.Event(), threading.Event(), []
    outbox = Outbox(most=1)

    def unsendable() -> None:
        taken.set()
        hold.wait()
        raise ConnectionError("the broker is away")

    outbox.put(unsendable, lambda: lost.append("sent in vain"))
    assert taken.wait(5)
    outbox.put(lambda: None, lambda: lost.append("arrived"))
    outbox.put(lambda: None, lambda: lost.append("had no room"))
    hold.set()
    outbox.close()
    assert lost == ["had no room", "sent in vain"]


def test_a_message_for_which_no_thread_can_be_had_is_lost_and_the_next_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outbox, lost, sent = Outbox(), [], threading.Event()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        outbox.put(lambda: None, lambda: lost.append("no thread"))
    assert lost == ["no thread"]

    outbox.put(sent.set)
    assert sent.wait(5)
    outbox.close()


def test_a_message_waits_while_requests_are_answered() -> None:
    rush, sent = Rush(), threading.Event()
    outbox = Outbox(rush=rush, patience=60)
    with rush.answering():
        with rush.answering():
            outbox.put(sent.set)
        assert not sent.wait(0.1)
    assert sent.wait(5)
    outbox.close()


def test_a_message_waits_no_longer_than_it_has_patience_however_many_wait_before_it() -> None:
    rush, sent = Rush(), []
    outbox = Outbox(rush=rush, patience=0.2)
    with rush.answering():
        begun = time.monotonic()
        for _ in range(50):
            outbox.put(lambda: sent.append(time.monotonic() - begun))
        outbox.close()
    assert len(sent) == 50
    assert 0.2 <= min(sent) <= max(sent) < 2


def test_a_full_outbox_drops_and_never_waits() -> None:
    hold, sent = threading.Event(), []
    outbox = Outbox(most=1)
    outbox.put(hold.wait)
    for number in range(100):
        outbox.put(lambda number=number: sent.append(number))  # type: ignore[misc]
    hold.set()
    outbox.close()
    assert len(sent) < 100


def test_a_broker_that_cannot_be_listened_to_is_tried_again_and_nobody_waits(
    opened: transport.Transport, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = oslo_messaging.get_rpc_server, []

    class Unwilling:
        def start(self) -> None:
            raise oslo_messaging.MessagingException

    def make(*args: Any, **kwargs: Any) -> Any:
        tried.append(args)
        return Unwilling() if len(tried) == 1 else real(*args, **kwargs)

    monkeypatch.setattr(oslo_messaging, "get_rpc_server", make)
    woken = Listener()
    stop = server.listen(opened, "b", woken, retry_seconds=0.01)
    try:
        cast(opened, outbox, service_version=2)
        assert woken.heard.wait(5)
    finally:
        stop()
    assert len(tried) == 2


def test_messages_and_notifications_wait_in_queues_that_are_told_apart() -> None:
    gate, taken = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        taken.release()
        gate.wait(10)

    outboxes = {"outbox": Outbox(), "notifications": Outbox(name="notifications")}
    for length, outbox in enumerate(outboxes.values(), start=1):
        for _ in range(length + 1):
            outbox.put(wait)
        taken.acquire()  # by its thread, so that one less waits
    page = metrics.page().decode()
    gate.set()
    for outbox in outboxes.values():
        outbox.close()
    assert 'evacuator_queue_length{queue="outbox"} 1.0' in page
    assert 'evacuator_queue_length{queue="notifications"} 2.0' in page
