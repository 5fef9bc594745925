"""The checks are checked: managers that are wrong on purpose, each caught by the invariant that is meant for it."""

import re
import sys
from functools import wraps

import pytest
from hypothesis import HealthCheck, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import update

from evacuator.compute.cleaning import Cleaner
from evacuator.compute.host import guest_of
from evacuator.compute.manager import ComputeManager
from evacuator.compute.rebuild import Rebuilder
from evacuator.db import migrations, services
from evacuator.db.models import Allocation, Service
from evacuator.engine import finish, own
from evacuator.engine.record import move
from evacuator.evacuation.transitions import Step
from evacuator.versions import SERVICE_VERSION
from evacuator.virt.driver import DiskSource
from evacuator.virt.simulated import SimulatedDriver
from tests.world.boundaries import WatchedDatabase
from tests.world.commands import tell
from tests.world.schedules import HOSTS, Schedule, names, turns
from tests.world.watch import Broken
from tests.world.world import a_world

A_THOUSAND = 1000

#: hypothesis counts no run that was rejected; who searches counts them all.
SEARCH = settings(
    max_examples=A_THOUSAND,
    stateful_step_count=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

#: Where each search begins. hypothesis would begin elsewhere with each change of this file.
BEGINNING = 2

DEATH = "create web on a\ndelay 70\nhost a power off\nforce-down a\n"


class Wrong(Rebuilder):
    """A destination that does one thing wrong."""

    def _define(self, assignment):
        self._host.driver.define(guest_of(assignment.instance), DiskSource.EXISTING, assignment.cause)


class StartsThenStops(Wrong):
    """What Nova does for 2.95."""

    def _carry_out(self, assignment):
        self._define(assignment)
        own.own_instance(self._host.engine, self._host.name, assignment)
        self._host.driver.power_on(assignment.instance.uuid, assignment.cause)
        self._host.driver.power_off(assignment.instance.uuid, assignment.cause)
        finish.finish_stopped(self._host.engine, self._host.name, assignment, DiskSource.EXISTING)


class StartsBeforeItOwns(Wrong):
    """Power first: what makes two copies, when another has taken over."""

    def _carry_out(self, assignment):
        self._define(assignment)
        self._host.driver.power_on(assignment.instance.uuid, assignment.cause)
        own.own_instance(self._host.engine, self._host.name, assignment)
        finish.finish_running(self._host.engine, self._host.name, assignment, DiskSource.EXISTING)


class RebuildsTwice(ComputeManager):
    """Does the first message right; one that comes again makes the guest anew, since the instance is this host's."""

    def __init__(self, host, workers, incarnation):
        super().__init__(host, workers, incarnation)
        self._begun = set()

    def wake_rebuild(self, migration_id, instance_uuid, attempt, caller=None):
        def work():
            came_again = migration_id in self._begun
            self._begun.add(migration_id)
            self._rebuilder.rebuild(migration_id, instance_uuid, attempt)
            if came_again:
                self._rebuild_again(migration_id, instance_uuid)

        # Nothing is ever in hand: each message has its own work.
        self._take_in_hand(object(), work, instance_uuid, caller)

    def _rebuild_again(self, migration_id, instance_uuid):
        engine, name, driver = self.host.engine, self.host.name, self.host.driver
        with self.host.locks.hold(instance_uuid):
            record, instance, _ = engine.database.read(
                lambda session: migrations.get_for(session, migration_id, name),
            )
            if record.status == "done" and record.dest_compute == instance.host == name and not instance.deleted:
                cause = f"migration {record.id} attempt {record.attempt}"
                driver.destroy(instance_uuid, cause, disks=False)
                driver.define(guest_of(instance), DiskSource.EXISTING, cause)
                driver.power_on(instance_uuid, cause)


class DeletesTheDiskFirst(Wrong):
    """Cleans up before anything is done."""

    def _carry_out(self, assignment):
        self._define(assignment)
        self._host.driver.destroy(assignment.instance.uuid, assignment.cause, disks=True)
        super()._carry_out(assignment)


class StartsOnTwoHosts(Rebuilder):
    """Starts it here, as it must, and on one more host that is up, which nobody sees it do: only evidence tells."""

    def _carry_out(self, assignment):
        super()._carry_out(assignment)
        host, record = self._host, assignment.record
        heard = host.engine.database.read(
            lambda session: services.listing(session, host.engine.rules.service_down_time)
        )
        others = [each.service.host for each in heard if each.up and each.service.host != host.name]
        if others and record.status == "done" and assignment.ends_running:
            there = unseen(host.driver, others[-1])
            there.define(guest_of(assignment.instance), DiskSource.EXISTING, assignment.cause)
            there.power_on(assignment.instance.uuid, assignment.cause)


def unseen(driver, host):
    """Return a grip on the hypervisor of another host that has no boundary in front of it."""
    mine = driver._driver
    return SimulatedDriver(host, mine._machine.folder.parent, mine._settings, mine._clock)


class ObeysEachMessage(Wrong):
    """Carries out what a message says although it is done: one that comes twice restarts the guest."""

    def rebuild(self, migration_id, instance_uuid, attempt):
        record = self._host.engine.database.read(lambda session: migrations.get(session, migration_id))
        if record.status == "done" and record.dest_compute == self._host.name:
            self._host.driver.reboot(instance_uuid, f"migration {migration_id} attempt {record.attempt}")
        super().rebuild(migration_id, instance_uuid, attempt)


class KeepsTheClaim(Cleaner):
    """Completes the record at the source and forgets to give back what it claims there."""

    def clean(self):
        for guest in self._host.driver.inventory():
            self._settle(guest)

        def complete(transaction):
            for record in migrations.done_away_from(transaction, self._host.name):
                move(transaction, record, Step.CLEAN, "a mistake")

        self._host.engine.database.write(complete)
        return True


class StartsAllItFinds(Cleaner):
    """Comes back as a host with autostart would, and says that it is clean."""

    def clean(self):
        for guest in self._host.driver.inventory():
            self._host.driver.power_on(guest.uuid, "autostart")
        return True


class ForgetsToCount(Wrong):
    """Removes a claim and leaves the totals as they were."""

    def _carry_out(self, assignment):
        super()._carry_out(assignment)
        self._host.engine.database.write(
            lambda transaction: transaction.query(Allocation).filter_by(host=self._host.name).delete()
        )


class LeavesItAccepted(ComputeManager):
    """Takes no evacuation in hand, neither its own nor what others leave lying."""

    def wake_rebuild(self, migration_id, instance_uuid, attempt, caller=None):
        pass

    def settle(self):
        pass


class ForgetsTheGate(WatchedDatabase):
    """What an API writes by that takes every compute for one of this release."""

    def write(self, work):
        @wraps(work)
        def ungated(transaction):
            versions = dict(transaction.query(Service.host, Service.version).all())
            self._set(transaction, dict.fromkeys(versions, SERVICE_VERSION))
            written = work(transaction)
            self._set(transaction, versions)
            return written

        return super().write(ungated)

    def _set(self, transaction, versions):
        for host, version in versions.items():
            transaction.execute(update(Service).where(Service.host == host).values(version=version))


def with_rebuilder(rebuilder):
    class Manager(ComputeManager):
        def __init__(self, host, workers, incarnation):
            super().__init__(host, workers, incarnation)
            self._rebuilder = rebuilder(host, self._cleaner)

    return Manager


def with_cleaner(cleaner):
    class Manager(ComputeManager):
        def __init__(self, host, workers, incarnation):
            super().__init__(host, workers, incarnation)
            self._cleaner = self._heartbeat._cleaner = cleaner(host)

    return Manager


#: Of each that is wrong: with what a world is made, a story in which all is well so far, how it goes on, and what has
#: to object to it then.
STORIES = {
    "StartsThenStops": ({"manager": with_rebuilder(StartsThenStops)}, "", "evacuate web 2.95", r"^silence-broken"),
    "StartsBeforeItOwns": ({"manager": with_rebuilder(StartsBeforeItOwns)}, "", "evacuate web 2.94", r"^I1"),
    "RebuildsTwice": (
        {"manager": RebuildsTwice},
        "broker duplicate 1",
        "evacuate web 2.94",
        r"^I6: web was defined on b once more by migration 1 attempt 2",
    ),
    "DeletesTheDiskFirst": ({"manager": with_rebuilder(DeletesTheDiskFirst)}, "", "evacuate web 2.94", r"^I4"),
    "StartsOnTwoHosts": (
        {"manager": with_rebuilder(StartsOnTwoHosts)},
        "",
        "evacuate web 2.94",
        r"^two-copies: .* It runs on hosts b and c;[\s\S]*\ntwo-copies-ran: .* It ran on hosts b and c at once",
    ),
    "ForgetsToCount": ({"manager": with_rebuilder(ForgetsToCount)}, "", "evacuate web 2.94", r"^I5"),
    "LeavesItAccepted": ({"manager": LeavesItAccepted}, "evacuate web 2.94", "delay 2800", r"^record-stuck"),
    "KeepsTheClaim": (
        {"manager": with_cleaner(KeepsTheClaim)},
        "evacuate web 2.94",
        "host a power on\ndelay 40",
        r"^claim-unexplained",
    ),
    "StartsAllItFinds": (
        {"manager": with_cleaner(StartsAllItFinds)},
        "broker drop 1\nevacuate web 2.94\nexpect migration 1 accepted",
        "host a power on",
        r"^I1: a runs web",
    ),
    "ForgetsTheGate": (
        {"api_database": ForgetsTheGate},
        "compute c version 1\ncompute c restart",
        "evacuate web 2.95",
        r"^I7: migration 1 was accepted at 2\.95 in spite of \[\('c', 1\)\]",
    ),
    "ObeysEachMessage": (
        {"manager": with_rebuilder(ObeysEachMessage)},
        "broker delay 1\nevacuate web 2.94\ndelay 15\nexpect web ACTIVE on b",
        "delay 10",
        r"^I6: web was powered on on b once more",
    ),
}


@pytest.mark.parametrize(("options", "well", "wrong", "objection"), STORIES.values(), ids=STORIES)
def test_whoever_is_wrong_is_caught(options, well, wrong, objection):
    with a_world(**options) as world:
        tell(world, DEATH + well)
        with pytest.raises(Broken, match=objection):
            tell(world, wrong)


@pytest.mark.parametrize(("_options", "well", "wrong", "_objection"), STORIES.values(), ids=STORIES)
def test_whoever_is_right_is_let_pass(_options, well, wrong, _objection):
    with a_world() as world:
        tell(world, f"{DEATH}{well}\n{wrong}")


class LateMessages(Schedule):
    """Schedules in which messages are often so late that another has done what they ask for: elsewhere that is rare."""

    @rule(
        name=names,
        version=st.sampled_from(("2.94", "2.95")),
        late=st.integers(1, 3),
        seconds=st.sampled_from((1, 15, 35)),
        turns=turns,
    )
    def lose_its_message(self, name, version, late, seconds, turns):
        self.lose_its_host(name, "host {h} power off", version, [f"broker delay {late}"], turns)
        self.go_on(f"delay {seconds}", turns)


#: What has to object first in random schedules, and in which if not in all of them.
INVARIANTS = {
    "StartsThenStops": "silence-broken",
    "StartsBeforeItOwns": "I1",
    "RebuildsTwice": "I6",
    "DeletesTheDiskFirst": "I4",
    "StartsOnTwoHosts": "two-copies",
    "ForgetsToCount": "I5",
    "LeavesItAccepted": "I3",
    "KeepsTheClaim": "claim-unexplained",
    "StartsAllItFinds": "I1",
    "ForgetsTheGate": "I7",
    "ObeysEachMessage": "I6",
}
OF_THEIR_OWN = {"ObeysEachMessage": LateMessages}


class Caught(BaseException):
    """Ends a search at once: hypothesis makes nothing of it."""


class NotCaught(BaseException):
    """Ends it too: there were as many runs as there may be."""


def first_objection(error):
    """Return what broke first, if anything did: once one invariant is broken, others may be at the end."""
    first = None
    while error is not None:
        first = error if isinstance(error, Broken) else first
        error = error.__context__
    return first


def runs_until_caught(options, invariant, most=A_THOUSAND, schedules=Schedule):
    """Return how many worlds were made until one in which this invariant was the first to object.

    A schedule in which another one objects first counts as a run like any other.

    :raises NotCaught: it did not in ``most`` of them.
    """
    runs = 0

    class Wrongly(schedules):
        @staticmethod
        def make_world(**others):
            nonlocal runs
            if runs == most:
                raise NotCaught
            runs += 1
            return a_world(HOSTS, **options, **others)

        def teardown(self):
            try:
                super().teardown()
            finally:
                broken = first_objection(sys.exc_info()[1])
                if broken is not None:
                    if re.search(rf"^{invariant}:", str(broken), re.MULTILINE):
                        raise Caught
                    reject()

    try:
        run_state_machine_as_test(seed(BEGINNING)(Wrongly), settings=SEARCH)
    except Caught:
        return runs
    raise NotCaught


@pytest.mark.parametrize("wrong", INVARIANTS)
def test_random_schedules_catch_whoever_is_wrong_in_under_a_thousand_runs(wrong):
    schedules = OF_THEIR_OWN.get(wrong, Schedule)
    assert runs_until_caught(STORIES[wrong][0], INVARIANTS[wrong], schedules=schedules) < A_THOUSAND


def test_a_search_ends_when_nobody_is_wrong():
    with pytest.raises(NotCaught):
        runs_until_caught({}, "I1", most=5)


def test_a_search_counts_the_runs_in_which_another_invariant_objects():
    with pytest.raises(NotCaught):
        runs_until_caught(STORIES["StartsBeforeItOwns"][0], "I5", most=5)
