"""Random stories: any command at any moment, any process in any order of turns.

hypothesis draws them and makes a failing one short: what it prints is a story that ``tests.world.commands`` knows.
"""

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from evacuator.virt.simulated import FaultKind
from tests.world.commands import obey, tell
from tests.world.world import World, a_world

HOSTS = ("a", "b", "c", "d")
NAMES = ("web", "db")
#: Every boundary at which something is done; a test holds them against those that a world comes to.
STEPS = (
    "accept_evacuation", "cast rebuild_instance", "claim_evacuation", "define", "own_instance", "power_on", "finish",
    "settle_orphan", "fail", "complete_cleaned", "begin_order", "prove_order", "destroy", "power_off", "complete_order",
    "beat", "register_service", "change_service", "create_instances", "delete_instance", "bury_destroyed", "order",
    "cast carry_out_order", "reboot", "reset_state", "record_power_state", "take_keys_back",
)  # fmt: skip
BEGINNING = "create web on a\ncreate db on b\ndelay 70"

hosts = st.sampled_from(HOSTS)
names = st.sampled_from(NAMES)
few = st.integers(1, 3)


def line(template, **parts):
    return st.builds(template.format, **parts)


ORDERS = (
    line("evacuate {s} {v}", s=names, v=st.sampled_from(("2.94", "2.95"))),
    line("evacuate {s} {v} to {h}", s=names, v=st.sampled_from(("2.94", "2.95")), h=hosts),
    line("{o} {s}", o=st.sampled_from(("start", "stop", "reboot", "reset")), s=names),
)
RARELY = (line("delete {s}", s=names), line("create another on {h}", h=hosts))
OPERATORS = (
    line("force-{d} {h}", d=st.sampled_from(("down", "up", "up")), h=hosts),
    line("host {h} power {p}", h=hosts, p=st.sampled_from(("off", "on", "on"))),
    line("host {h} network {p}", h=hosts, p=st.sampled_from(("off", "on", "on"))),
    line("host {h} {f}", h=hosts, f=st.sampled_from(("freeze", "thaw"))),
    line("compute {h} {c}", h=hosts, c=st.sampled_from(("crash", "restart", "another"))),
    line("compute {h} {c}", h=hosts, c=st.sampled_from(("busy", "free", "free"))),
    line("api {c}", c=st.sampled_from(("crash", "restart", "restart"))),
)
FAULTS = (
    line("broker {k} {n}", k=st.sampled_from(("drop", "duplicate", "delay", "reorder")), n=few),
    line("broker {p}", p=st.sampled_from(("off", "on", "on"))),
    # An older release, or this one again: among the faults, since an evacuation at 2.95 must not meet it.
    line("compute {h} version {v} & compute {h} restart", h=hosts, v=st.sampled_from((1, 2, 2))),
    line("database {k} {n}", k=st.sampled_from(("fail", "deadlock", "lose")), n=few),
    line("database {p}", p=st.sampled_from(("off", "on", "on"))),
    line(
        "driver {h} fail {o} {n} {k}",
        h=hosts,
        o=st.sampled_from(("define", "power_on", "power_off", "destroy", "inventory", "find", "facts")),
        n=few,
        k=st.sampled_from([kind.value for kind in FaultKind if kind not in (FaultKind.MISSING, FaultKind.LOCKED)]),
    ),
    line(
        "process {h} {a} {w} {s}",
        h=st.sampled_from(("api", "any", "any")),
        a=st.sampled_from(("crash", "freeze")),
        w=st.sampled_from(("before", "after")),
        s=st.sampled_from(STEPS),
    ),
)
TIME = line("delay {t}", t=st.sampled_from((1, 15, 35, 70, 130)))

commands = st.one_of(*ORDERS, *OPERATORS, *FAULTS, st.one_of(*RARELY, TIME), TIME, TIME)

#: How the host of an instance comes to be declared dead. Only the first is fenced.
DEATHS = ("host {h} power off", "host {h} freeze", "host {h} network off", "compute {h} crash", None)

#: How far the others get before the next command comes: to the end, mostly.
turns = st.sampled_from((None, None, None, 1, 2, 4, 7, 12))


class Schedule(RuleBasedStateMachine):
    """A world in which anything may happen; at the end it is healed, and everything has to be well."""

    make_world = staticmethod(lambda **options: a_world(HOSTS, **options))

    @initialize(order=st.integers(0, 2**16))
    def begin(self, order):
        # 0: turns are taken in order. Anything else is one way to shuffle them.
        choose = random.Random(order).randrange if order else lambda _most: 0
        self.making = self.make_world(choose=lambda ready: choose(len(ready)), may_miss=True)
        self.world: World = self.making.__enter__()
        tell(self.world, BEGINNING)

    @rule(
        name=names,
        death=st.sampled_from(DEATHS),
        version=st.sampled_from(("2.94", "2.95")),
        faults=st.lists(st.one_of(*FAULTS), max_size=2),
        turns=turns,
    )
    def lose_its_host(self, name, death, version, faults, turns):
        """The one story that this is about, amid all the others."""
        host = self.world.instance(name).host
        obey(self.world, "database on")
        obey(self.world, "api restart")
        if death:
            obey(self.world, death.format(h=host))
        obey(self.world, f"force-down {host}")
        for fault in faults:
            self.go_on(fault, None)
        obey(self.world, f"evacuate {name} {version}", turns)

    @rule(host=hosts)
    def find_it_again(self, host):
        """What was lost comes back: else there would soon be no host left."""
        for way in ("host {h} network on", "host {h} thaw", "host {h} power on", "delay 15", "force-up {h}"):
            obey(self.world, way.format(h=host))

    @rule(command=commands, turns=turns)
    def go_on(self, command, turns):
        for each in command.split(" & "):
            obey(self.world, each, turns)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
        except AssertionError as broken:
            raise type(broken)(f"{broken}\n{self.world.story}") from broken
        finally:
            self.making.__exit__(None, None, None)
