"""The checks are checked: managers that are wrong on purpose, each caught by the invariant that is meant for it."""

import re
import sys
from functools import wraps

import pytest
from hypothesis import HealthCheck, reject, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import update

from evacuator.compute.cleaning import Cleaner
from evacuator.compute.host import guest_of
from evacuator.compute.manager import ComputeManager
from evacuator.compute.rebuild import Rebuilder
from evacuator.db import instances, migrations
from evacuator.db.models import Allocation, Service
from evacuator.engine import claim, finish, own
from evacuator.engine.record import move
from evacuator.evacuation.transitions import Step
from evacuator.versions import SERVICE_VERSION
from evacuator.virt.driver import DiskSource
from tests.world.boundaries import WatchedDatabase
from tests.world.commands import tell
from tests.world.schedules import HOSTS, Schedule
from tests.world.watch import Broken
from tests.world.world import a_world

A_THOUSAND = settings(
    max_examples=1000,
    stateful_step_count=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

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


class RebuildsTwice(Wrong):
    """Whoever is asked begins, whether or not it is its own to begin: each message makes a copy."""

    def rebuild(self, migration_id, instance_uuid, attempt):
        def look(session):
            record = migrations.get(session, migration_id)
            return claim.Assignment(record, instances.get(session, instance_uuid), owned=False, shares_storage=True)

        assignment = self._host.engine.database.read(look)
        self._define(assignment)
        self._host.driver.power_on(instance_uuid, assignment.cause)
        super().rebuild(migration_id, instance_uuid, attempt)


class DeletesTheDiskFirst(Wrong):
    """Cleans up before anything is done."""

    def _carry_out(self, assignment):
        self._define(assignment)
        self._host.driver.destroy(assignment.instance.uuid, assignment.cause, disks=True)
        super()._carry_out(assignment)


class StartsOnTwoHosts(Wrong):
    """Starts it here, and leaves it with the host that it came from."""

    def _carry_out(self, assignment):
        self._define(assignment)
        own.own_instance(self._host.engine, self._host.name, assignment)
        self._host.driver.power_on(assignment.instance.uuid, assignment.cause)

        def give_back(transaction):
            values = {"host": assignment.record.source_compute, "evacuation_id": None, "task_state": None}
            instances.change(transaction, assignment.instance.uuid, {}, values)
            move(transaction, assignment.record, Step.FAIL, "a mistake")

        self._host.engine.database.write(give_back)


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


class WithKeptClaims(ComputeManager):
    def __init__(self, host, workers, incarnation):
        super().__init__(host, workers, incarnation)
        self._cleaner = self._heartbeat._cleaner = KeepsTheClaim(host)


WRONG = [
    (StartsThenStops, "2.95", "silence-broken"),
    (StartsBeforeItOwns, "2.94", "I1"),
    (RebuildsTwice, "2.94", "I1"),
    (DeletesTheDiskFirst, "2.94", "I4"),
    (StartsOnTwoHosts, "2.94", "I1"),
    (ForgetsToCount, "2.94", "I5"),
]


@pytest.mark.parametrize(("rebuilder", "microversion", "invariant"), WRONG, ids=[wrong[0].__name__ for wrong in WRONG])
def test_a_manager_that_is_wrong_is_caught(rebuilder, microversion, invariant):
    with a_world(manager=with_rebuilder(rebuilder)) as world:
        tell(world, DEATH)
        with pytest.raises(Broken, match=f"^{invariant}"):
            tell(world, f"evacuate web {microversion}")


def test_managers_that_leave_it_accepted_for_ever_are_caught():
    with a_world(manager=LeavesItAccepted) as world:
        tell(world, DEATH + "evacuate web 2.94")
        with pytest.raises(Broken, match=r"^record-stuck"):
            tell(world, "delay 2800")


def test_a_source_that_forgets_to_give_back_its_claim_is_caught():
    with a_world(manager=WithKeptClaims) as world, pytest.raises(Broken, match=r"^claim-unexplained"):
        tell(world, DEATH + "evacuate web 2.94\nhost a power on\ndelay 40")


def test_an_api_that_forgets_the_gate_is_caught():
    with a_world(api_database=ForgetsTheGate) as world:
        tell(world, DEATH + "compute c version 1\ncompute c restart")
        with pytest.raises(Broken, match=r"^I7: migration 1 was accepted at 2\.95 in spite of \[\('c', 1\)\]"):
            tell(world, "evacuate web 2.95")


def test_a_destination_that_obeys_each_message_is_caught():
    with a_world(manager=with_rebuilder(ObeysEachMessage)) as world:
        tell(world, DEATH + "broker delay 1\nevacuate web 2.94\ndelay 15\nexpect web ACTIVE on b")
        with pytest.raises(Broken, match=r"^I6: web was powered on on b once more"):
            tell(world, "delay 10")


#: With what a world is made, and the name of the invariant that has to object. A message that comes late and finds done
#: what it asks for is too rare among others to wait for: that story is told above.
WORLDS = {
    wrong.__name__: ({"manager": with_rebuilder(wrong)}, invariant) for wrong, _microversion, invariant in WRONG
} | {
    "LeavesItAccepted": ({"manager": LeavesItAccepted}, "I3"),
    "KeepsTheClaim": ({"manager": WithKeptClaims}, "claim-unexplained"),
    "ForgetsTheGate": ({"api_database": ForgetsTheGate}, "I7"),
}


class Caught(BaseException):
    """Ends a search at once: hypothesis makes nothing of it."""


def first_objection(error):
    """Return what broke first, if anything did: once one invariant is broken, others may be at the end."""
    first = None
    while error is not None:
        first = error if isinstance(error, Broken) else first
        error = error.__context__
    return first


@pytest.mark.parametrize("wrong", WORLDS)
def test_random_schedules_catch_a_wrong_manager_within_a_thousand(wrong):
    """By the invariant that is meant: a schedule in which another one objects first counts as nothing."""
    options, invariant = WORLDS[wrong]

    class Wrongly(Schedule):
        make_world = staticmethod(lambda **others: a_world(HOSTS, **options, **others))

        def teardown(self):
            try:
                super().teardown()
            finally:
                broken = first_objection(sys.exc_info()[1])
                if broken is not None:
                    if re.search(rf"^{invariant}:", str(broken), re.MULTILINE):
                        raise Caught
                    reject()

    with pytest.raises(Caught):
        run_state_machine_as_test(Wrongly, settings=A_THOUSAND)
