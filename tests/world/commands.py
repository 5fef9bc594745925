"""What can be said to a world, one line each, and what is expected of it.

hosts are named a, b, c ...; instances as they were created

create web on a            evacuate web [2.94|2.95] [to b]      start|stop|reboot|delete|reset web
encrypt web                its disk needs a key, which is given to who has the owner's token
token owner|stranger|none  what is shown with each request from now on
host a power off|on        the mains: guests and manager die; this is what "fence" means
host a network off|on      database and broker are out of reach, guests run on
host a freeze|thaw         the manager stops in its tracks, guests run on
compute a crash|restart    the manager alone; guests run on
compute a another          a second one beside it, which was frozen, say
compute a version 1        from its next restart it is an older release
compute a busy|free        it beats, but no worker has time for what there is to do
api crash|restart|thaw     api another: beside the one before
force-down a, force-up a
broker drop|duplicate|delay|reorder N, broker off|on
database fail|deadlock|lose N, database off|on        lose: it commits, and nobody hears so
database slow SECONDS       so long until it looks, and again after a commit until that is heard; 0: as fast as ever
driver a fail OPERATION N [refuse|timeout|lost|missing|locked|full] [of web]
process b crash|freeze before|after STEP [NTH]        when it comes there, as it must; STEP as in the story of crossings
delay SECONDS
heal, settle

expect web ACTIVE|STOPPED|ERROR|BUILDING on b         expect web is gone
expect migration 1 done [on b]                        expect refused 409: words that the fault contains
expect web runs on b                                  expect web runs nowhere
expect a up|down                                      expect fault of web: words that it contains
expect 1 managers on a
expect web runs on a and b                            two copies: a host was declared dead and not fenced
"""

import re

from evacuator.evacuation.states import VmState
from tests.world.shelf import OWNER, STRANGER

NAME = r"([\w.-]+)"
NUMBER = r"(\d+)"


class Unexpected(AssertionError):
    """What a story expects is not so."""


def obey(world, line, turns=None):
    """Carry out one line, and whatever follows from it at the same moment, or its first ``turns`` turns.

    :raises ValueError: it is not a command.
    :raises Unexpected: it expects something that is not so.
    """
    line = line.strip()
    for pattern, act in COMMANDS.items():
        match = re.fullmatch(pattern, line)
        if match:
            expects = line.startswith("expect")
            if not expects:
                world.story.tell(f"> {line}")
            act(world, *match.groups())
            world.hub.run(turns)
            world.learn_names()
            if not expects:
                world.watch.judge()
            return
    raise ValueError(f"not a command: {line!r}")


def tell(world, story):
    """Carry out a story, line by line; empty lines and comments are for the reader. ``A & B``: both at once."""
    for line in story.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            *first, last = line.split(" & ")
            for command in first:
                obey(world, command, turns=0)
            obey(world, last)


def _evacuate(world, name, microversion, host):
    world.evacuate(name, microversion or "2.94", host)


def _switch(world, host, position):
    (world.power_on if position == "on" else world.power_off)(host)


def _token(world, whose):
    world.token = {"owner": OWNER, "stranger": STRANGER, "none": None}[whose]


def _network(world, host, position):
    (world.cut_off.discard if position == "on" else world.cut_off.add)(host)


def _freeze(world, name, how):
    for process in world.named(name):
        process.frozen = how == "freeze"


def _compute(world, host, how):
    if how == "crash":
        if world.computes[host]:
            world.crash(world.computes[host])
    else:
        {"restart": world.compute_restart, "another": world.compute_another}[how](host)


def _version(world, host, version):
    world.versions[host] = int(version)


def _busy(world, host, how):
    (world.busy.add if how == "busy" else world.busy.discard)(host)


def _api(world, how):
    if how == "crash":
        if world.api:
            world.crash(world.api)
    else:
        {"restart": world.api_restart, "another": world.api_another}[how]()


def _force(world, direction, host):
    world.force_down(host, down=direction == "down")


def _broker(world, position):
    world.bus.away = position == "off"


def _database(world, position):
    world.database_faults.away = position == "off"


def _slow(world, seconds):
    world.database_faults.seconds = float(seconds)


def _driver(world, host, operation, times, kind, name):
    world.driver_faults[host].add(operation, int(times), kind or "refuse", world.uuid_of(name) if name else None)


def _process(world, name, action, when, step, nth):
    world.strike(name, when, step, action, int(nth or 1))


def _expect_state(world, name, state, host):
    instance = world.instance(name)
    found = ("gone" if instance.deleted else instance.vm_state.upper(), instance.host)
    _compare(f"{name} is {state} on {host}", found, (state, host))


def _expect_gone(world, name):
    _compare(f"{name} is gone", world.instance(name).deleted, True)


def _expect_record(world, number, status, host):
    record = world.records()[int(number) - 1]
    _compare(f"migration {number} is {status}", record.status, status)
    if host:
        _compare(f"migration {number} goes to {host}", record.dest_compute, host)


def _expect_records(world, number):
    _compare(f"{number} migrations", len(world.records()), int(number))


def _expect_managers(world, number, host):
    _compare(f"{number} managers on {host}", len(world.named(host)), int(number))


def _expect_refused(world, code, words):
    what, outcome = world.outcomes[-1]
    if not outcome.startswith(f"refused: {code} ") or words not in outcome:
        raise Unexpected(f"expected: {what} is refused with {code} and {words!r}; found {outcome!r}")


def _expect_running(world, name, where):
    found = sorted(host for host, uuid in world.running() if uuid == world.instances[name])
    _compare(f"{name} runs {where}", found, [] if where == "nowhere" else where.removeprefix("on ").split(" and "))


def _expect_host(world, host, state):
    _compare(f"{host} is {state}", world.heard(host).up, state == "up")


def _expect_fault(world, name, words):
    fault = (world.instance(name).fault or {}).get("message", "")
    if words not in fault:
        raise Unexpected(f"the fault of {name} does not say {words!r}: {fault!r}\n{world.story}")


def _compare(what, found, wanted):
    if found != wanted:
        raise Unexpected(f"expected: {what}; found {found!r}, wanted {wanted!r}")


STATES = "|".join(state.upper() for state in VmState)

COMMANDS = {
    rf"create {NAME} on {NAME}": lambda world, name, host: world.create(name, host),
    rf"evacuate {NAME}(?: (2\.94|2\.95))?(?: to {NAME})?": _evacuate,
    rf"start {NAME}": lambda world, name: world.start(name),
    rf"stop {NAME}": lambda world, name: world.stop(name),
    rf"reboot {NAME}": lambda world, name: world.reboot(name),
    rf"delete {NAME}": lambda world, name: world.delete(name),
    rf"reset {NAME}": lambda world, name: world.reset(name),
    rf"encrypt {NAME}": lambda world, name: world.encrypt(name),
    r"token (owner|stranger|none)": _token,
    rf"host {NAME} power (off|on)": _switch,
    rf"host {NAME} network (off|on)": _network,
    rf"host {NAME} (freeze|thaw)": _freeze,
    rf"compute {NAME} (crash|restart|another)": _compute,
    rf"compute {NAME} version {NUMBER}": _version,
    rf"compute {NAME} (busy|free)": _busy,
    r"api (crash|restart|another)": _api,
    r"(api) (thaw)": _freeze,
    rf"force-(down|up) {NAME}": _force,
    rf"broker (drop|duplicate|delay|reorder) {NUMBER}": lambda world, kind, times: world.bus.trick(kind, int(times)),
    r"broker (off|on)": _broker,
    rf"database (fail|deadlock|lose) {NUMBER}": lambda world, kind, times: world.database_faults.add(kind, int(times)),
    r"database (off|on)": _database,
    r"database slow ([\d.]+)": _slow,
    rf"driver {NAME} fail (\w+) {NUMBER}(?: (\w+))?(?: of {NAME})?": _driver,
    rf"process {NAME} (crash|freeze) (before|after) ([\w. ]+?)(?: {NUMBER})?": _process,
    r"delay ([\d.]+)": lambda world, seconds: world.delay(float(seconds)),
    r"heal": lambda world: world.heal(),
    r"settle": lambda world: world.settle(),
    rf"expect {NAME} ({STATES}) on {NAME}": _expect_state,
    rf"expect {NAME} is gone": _expect_gone,
    rf"expect migration {NUMBER} ([\w-]+)(?: on {NAME})?": _expect_record,
    rf"expect {NUMBER} migrations": _expect_records,
    rf"expect {NUMBER} managers on {NAME}": _expect_managers,
    rf"expect refused {NUMBER}: (.*)": _expect_refused,
    rf"expect {NAME} runs (nowhere|on .*)": _expect_running,
    rf"expect {NAME} (up|down)": _expect_host,
    rf"expect fault of {NAME}: (.*)": _expect_fault,
}
