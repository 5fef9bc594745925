"""What the world is told: Nova's versioned notifications, after the commit, off anybody's path, or not at all."""

import dataclasses
import json
import re
import threading

import oslo_messaging
import pytest
import webtest
from oslo_config import cfg
from oslo_messaging import conffixture

from evacuator.api.app import make_app
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.cmd import wiring
from evacuator.compute.orders import EVENTS
from evacuator.conf import opts
from evacuator.context import RequestContext
from evacuator.db import instances
from evacuator.engine import claim, fail, finish, orders, takeover
from evacuator.engine.engine import Silence
from evacuator.errors import DriverError, Overtaken
from evacuator.evacuation.events import Event
from evacuator.evacuation.states import PowerState, VmState
from evacuator.rpc.notifier import BusNotifier, open_notifications
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.payloads import payload_of, publisher_of
from tests.acceptance.site import Site

MANAGER = RequestContext.of_service("nova-compute")


class Ear:
    """Remembers what it is told."""

    listens = True

    def __init__(self):
        self.told = []

    def send(self, event):
        self.told.append(event)

    def names(self):
        return [event.name for event in self.told]


@pytest.fixture
def heard(outage):
    """The outage, with somebody who listens."""
    outage.ear = Ear()
    site = outage.site
    site.engine = outage.engine = dataclasses.replace(site.engine, notifier=outage.ear)
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    site.app = webtest.TestApp(make_app(site.engine, ApiSettings(), BuiltInImages(), Policy(get_enforcer(conf))))
    return outage


def claimed(heard):
    record = heard.site.sql("SELECT id, dest_compute FROM migrations ORDER BY id DESC")[0]
    return record.dest_compute, claim.claim_evacuation(heard.engine, record.dest_compute, record.id, None, 2)


def data(event):
    return payload_of(event)["nova_object.data"]


def test_an_evacuation_is_told_from_its_acceptance_to_its_end(heard):
    accepted = heard.ask()
    host, assignment = claimed(heard)
    finish.finish_stopped(heard.engine, host, assignment, "existing")
    assert heard.ear.names() == ["instance.evacuate", "instance.rebuild.start", "instance.rebuild.end"]
    asked, started, ended = map(data, heard.ear.told)
    for told in (asked, started, ended):
        assert told["uuid"] == heard.server
        assert told["request_id"] == accepted.headers["x-openstack-request-id"]
        assert (told["action_initiator_user"], told["action_initiator_project"]) == ("admin", "admin")
        assert told["fault"] is None
    assert (asked["host"], asked["state"], asked["task_state"], asked["power_state"]) == (
        "dead",
        "active",
        "rebuilding",
        "running",
    )
    assert [told["node"] for told in (asked, ended)] == ["dead.example.org", f"{host}.example.org"]
    assert (started["host"], started["task_state"]) == ("dead", "rebuilding")
    assert (ended["host"], ended["state"], ended["task_state"], ended["power_state"]) == (
        host,
        "stopped",
        None,
        "shutdown",
    )
    assert [publisher_of(event, "here") for event in heard.ear.told] == [
        "nova-api:here",
        f"nova-compute:{host}",
        f"nova-compute:{host}",
    ]


def test_no_host_is_told_as_nova_does(heard):
    heard.site.sql("UPDATE services SET disabled = true")
    heard.ask()
    assert heard.ear.names() == ["instance.evacuate", "compute_task.rebuild_server.error"]
    event = heard.ear.told[-1]
    assert publisher_of(event, "here") == "nova-conductor:here"
    payload = payload_of(event)
    assert (payload["nova_object.name"], payload["nova_object.version"]) == ("ComputeTaskPayload", "1.0")
    told = payload["nova_object.data"]
    assert (told["instance_uuid"], told["state"]) == (heard.server, "error")
    reason = told["reason"]["nova_object.data"]
    assert reason["exception"] == "NoValidHost"
    assert reason["exception_message"].startswith("No valid host was found. There are not enough hosts available.")


def test_a_failure_is_told_with_its_reason(heard):
    heard.ask()
    host, assignment = claimed(heard)
    fail.fail_at_source(heard.engine, assignment, "The disk is not there.")
    assert heard.ear.names()[-1] == "instance.rebuild.error"
    told = data(heard.ear.told[-1])
    assert (told["state"], told["host"]) == ("error", "dead")
    assert told["fault"]["nova_object.data"]["exception_message"] == "The disk is not there."
    assert publisher_of(heard.ear.told[-1], "here") == f"nova-compute:{host}"


def test_a_destination_that_dies_is_told_when_the_evacuation_ends_by_it(heard):
    heard.ask({"host": "one"})
    claimed(heard)
    heard.site.force_down("one")
    heard.site.later(1)
    record = heard.site.sql("SELECT id FROM migrations")[0]
    assert takeover.settle_orphan(heard.engine, MANAGER, record.id)
    assert heard.ear.names() == ["instance.evacuate", "instance.rebuild.start", "instance.rebuild.error"]


def test_an_evacuation_that_goes_to_another_host_is_not_told_as_failed(heard):
    heard.ask()
    left, _ = claimed(heard)
    heard.site.force_down(left)
    record = heard.site.sql("SELECT id FROM migrations")[0]
    assert takeover.settle_orphan(heard.engine, MANAGER, record.id)
    host, _ = claimed(heard)
    assert host != left
    assert heard.ear.names() == ["instance.evacuate", "instance.rebuild.start", "instance.rebuild.start"]


@pytest.mark.parametrize("how", ["delete", "reset"])
def test_an_evacuation_that_is_ended_from_outside_is_told_as_failed(heard, how):
    heard.ask()
    if how == "delete":
        assert heard.site.delete(f"/servers/{heard.server}").status_int == 204
    else:
        assert heard.site.act(heard.server, {"os-resetState": {"state": "active"}}).status_int == 202
    assert heard.ear.names() == ["instance.evacuate", "instance.rebuild.error"]


def test_a_request_that_is_refused_is_not_told(heard):
    assert heard.ask({"host": "dead"}).status_int == 400
    assert heard.ask({"host": "nowhere"}).status_int == 404
    assert heard.ear.told == []


def test_a_write_that_comes_too_late_is_not_told(heard):
    heard.ask()
    host, assignment = claimed(heard)
    heard.site.act(heard.server, {"os-resetState": {"state": "active"}})
    before = heard.ear.names()
    with pytest.raises(Overtaken):
        finish.finish_stopped(heard.engine, host, assignment, "existing")
    assert heard.ear.names() == before


def ordered(heard, server, body):
    answer = heard.site.act(server, body, token="anna:admin")
    assert answer.status_int == 202
    order_id = answer.headers["x-openstack-request-id"]
    orders.begin_order(heard.engine, "one", server, order_id, EVENTS)
    return order_id


@pytest.mark.parametrize(
    ("vm_state", "body", "part", "name"),
    [
        ("stopped", {"os-start": None}, "compute_start_instance", "instance.power_on"),
        ("active", {"os-stop": None}, "compute_stop_instance", "instance.power_off"),
        ("active", {"reboot": {"type": "SOFT"}}, "compute_reboot_instance", "instance.reboot"),
    ],
)
def test_a_power_action_is_told_when_it_begins_and_when_it_ends(heard, vm_state, body, part, name):
    server = heard.site.add_server(host="one", vm_state=vm_state)
    order_id = ordered(heard, server, body)
    states = {"vm_state": VmState.ACTIVE, "power_state": PowerState.RUNNING}
    orders.complete_order(heard.engine, "one", server, order_id, part, states, launched=False)
    assert heard.ear.names() == [f"{name}.start", f"{name}.end"]
    started, ended = map(data, heard.ear.told)
    assert started["state"] == vm_state
    assert started["task_state"] is not None
    assert (ended["state"], ended["task_state"], ended["power_state"]) == ("active", None, "running")
    assert (ended["action_initiator_user"], ended["request_id"]) == ("anna", order_id)


def test_a_power_action_that_fails_is_told_where_nova_has_a_name_for_it(heard):
    for body, part, told in (
        ({"os-stop": None}, "compute_stop_instance", ["instance.power_off.start"]),
        ({"reboot": {"type": "HARD"}}, "compute_reboot_instance", ["instance.reboot.start", "instance.reboot.error"]),
    ):
        heard.ear.told.clear()
        server = heard.site.add_server(host="one")
        order_id = ordered(heard, server, body)
        orders.fail_order(
            heard.engine, "one", server, order_id, part, DriverError(reason="It would not."), becomes_error=False
        )
        assert heard.ear.names() == told


def test_where_nobody_listens_nothing_is_read_to_be_told(outage, monkeypatch):
    monkeypatch.setattr(instances, "columns", None)
    assert isinstance(outage.site.engine.notifier, Silence)
    assert outage.ask().status_int == 200


# -- on the wire


@pytest.fixture
def conf():
    fixture = conffixture.ConfFixture(cfg.CONF, transport_url="fake:/")
    fixture.setUp()
    opts.register_all(cfg.CONF)
    cfg.CONF([], project="evacuator", default_config_files=[])
    yield cfg.CONF
    cfg.CONF.reset()
    cfg.CONF.clear()
    fixture.cleanUp()


def row(**values):
    return {
        "uuid": "u", "display_name": "web", "display_description": None, "hostname": "web", "host": "a", "node": "a",
        "availability_zone": "nova", "project_id": "p", "user_id": "o", "reservation_id": "r", "vm_state": "active",
        "task_state": None, "power_state": 1, "locked": False, "locked_reason": None, "image_ref": None,
        "key_name": None, "metadata": {}, "created_at": None, "updated_at": None, "launched_at": None,
        "terminated_at": None, "deleted": False,
        "flavor": {
            "id": "1", "original_name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0,
            "extra_specs": {},
        },
    } | values  # fmt: skip


def event(name, reason=None):
    return Event(name, "a", row(), "req-1", "anna", "p", reason)


class Listener:
    """An endpoint of a real listener."""

    def __init__(self):
        self.heard = []
        self.enough = threading.Event()

    def info(self, context, publisher_id, event_type, payload, metadata):
        self._hear("INFO", context, publisher_id, event_type, payload)

    def error(self, context, publisher_id, event_type, payload, metadata):
        self._hear("ERROR", context, publisher_id, event_type, payload)

    def _hear(self, priority, context, publisher_id, event_type, payload):
        self.heard.append((priority, context, publisher_id, event_type, payload))
        if len(self.heard) == 2:
            self.enough.set()


def test_a_listener_hears_them_on_the_topic_of_nova_and_never_a_token(conf):
    listener = Listener()
    transport = open_notifications(conf)
    server = oslo_messaging.get_notification_listener(
        transport, [oslo_messaging.Target(topic="versioned_notifications")], [listener]
    )
    server.start()
    outbox = Outbox(loss="A notification is lost")
    try:
        teller = BusNotifier(transport, outbox, ["versioned_notifications"], "here")
        teller.send(event("instance.rebuild.start"))
        teller.send(event("instance.rebuild.error", "It would not."))
        assert listener.enough.wait(10)
    finally:
        outbox.close()
        server.stop()
        server.wait()
        transport.cleanup()
    # Each priority has a queue of its own, so that the order between them says nothing.
    heard = {told[3]: told for told in listener.heard}
    assert heard["instance.rebuild.start"][:3] == ("INFO", {}, "nova-compute:a")
    assert heard["instance.rebuild.error"][:3] == ("ERROR", {}, "nova-compute:a")
    payload = heard["instance.rebuild.start"][4]
    assert payload["nova_object.name"] == "InstanceActionRebuildPayload"
    assert payload["nova_object.data"]["flavor"]["nova_object.data"]["name"] == "m1.tiny"


def test_they_are_off_unless_they_are_wanted(conf):
    assert isinstance(wiring.notifier_of(conf)[0], Silence)
    conf.set_override("enabled", True, group="notifications")
    teller, let_go = wiring.notifier_of(conf)
    assert teller.listens
    let_go()


def test_a_broker_that_is_away_keeps_nobody_waiting_and_fails_nothing(caplog):
    closed = threading.Event()

    class Away:
        def prepare(self, **_):
            closed.wait(10)
            raise OSError("no broker")

    outbox = Outbox(most=2, loss="A notification is lost")
    teller = BusNotifier.__new__(BusNotifier)
    teller._notifier, teller._outbox, teller._here = Away(), outbox, "here"
    for _ in range(10):
        teller.send(event("instance.evacuate"))
    closed.set()
    outbox.close()
    assert "A notification is lost: too many messages wait for the broker." in caplog.text
    assert "A notification is lost: no broker" in caplog.text


# -- the whole


CONFIGURATION = """
[notifications]
enabled = true
[oslo_messaging_notifications]
driver = log
"""


def test_a_site_tells_an_evacuation_and_the_start_that_follows(tmp_path):
    site = Site(tmp_path / "site", hosts="a,b", more=CONFIGURATION)
    try:
        site.start()
        server = site.create("a")
        site.settled(server)
        site.mains("a", "off")
        site.force_down("a")
        assert site.action(server, {"evacuate": {}}).status == 200
        site.settled(server)
        assert site.action(server, {"os-start": None}).status == 202
        site.settled(server)
        assert site.stop() == 0
    finally:
        site.kill()
    log = site.state_dir.with_suffix(".log").read_text()
    told = [json.loads(line) for line in re.findall(r"oslo\.messaging\.notification\S+ .*?({.*})", log)]
    assert [message["event_type"] for message in told] == [
        "instance.evacuate",
        "instance.rebuild.start",
        "instance.rebuild.end",
        "instance.power_on.start",
        "instance.power_on.end",
    ]
    assert {message["priority"] for message in told} == {"INFO"}
    assert told[2]["payload"]["nova_object.data"]["state"] == "stopped"
