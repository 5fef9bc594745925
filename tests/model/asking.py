"""What is asked beside evacuations: to start the guest, to reset the state, to delete the instance.

A reboot is not told apart from a start: it needs the same proof, and ends with the same power-on.
"""

from evacuator.evacuation.transitions import UNFINISHED, Step
from tests.model.worlds import Errand, Order, changed


def questions(rules, world):
    """Give the next thing that is asked, where it is accepted: (what, world) pairs."""
    if world.asked and not world.deleted:
        what, *later = world.asked
        yield from QUESTIONS[what](rules, changed(world, asked=tuple(later)))


def _start(rules, world):
    free = world.lock is None or not rules.orders_need_no_evacuation
    down = not world.hosts[world.owner].up or world.unheard
    if world.order is not None or not free or (down and rules.orders_need_a_host_that_is_up):
        return
    order = Order(len(world.asked), len(world.records))
    whom = f"host {world.owner}, which is down," if down else f"host {world.owner}"
    yield f"the owner orders {whom} to start the guest", changed(world, order=order)


def _reset(rules, world):
    if world.lock is not None:
        number = world.lock
        freed = changed(world, lock=None, order=None)
        if rules.reset_ends_the_evacuation:
            freed = freed.with_record(number, Step.FAIL)
        yield f"an operator resets the state during evacuation {number}", freed


def _delete(rules, world):
    """Of an instance whose host is down, which is gone at once; a living host has an order like others."""
    if world.hosts[world.owner].up and not world.unheard:
        return
    gone = changed(world, deleted=True, order=None)
    if world.lock is not None and rules.delete_ends_the_evacuation:
        gone = changed(gone.with_record(world.lock, Step.FAIL), lock=None)
    if rules.deleted_is_cleaned:
        gone = gone.with_host(world.owner, dirty=True)
    yield f"the owner deletes the instance, whose host {world.owner} is down", gone


QUESTIONS = {"start": _start, "reset": _reset, "delete": _delete}


def takes_order(rules, world, at):
    """Let a host that has nothing else in hand take the order for it, if there is one."""
    if world.order is not None and world.owner == at:
        errand = Errand(world.order, "prove" if rules.orders_are_proven else "power")
        yield f"host {at} takes the order in hand", world.with_host(at, worker=errand)


def errand(rules, world, at):
    """Give the next step of a host's work on an order."""
    host = world.hosts[at]
    doing = host.worker
    if doing.step == "prove":
        yield _prove(rules, world, at, doing)
    elif doing.step == "finish":
        current = world.order == doing.order
        ended = changed(world, order=None) if current else world
        yield f"host {at} records that the order is carried out", ended.with_host(at, worker=None)
    elif host.stuck:
        return
    elif doing.slept and rules.fresh_proof and rules.orders_are_proven:
        yield f"host {at} slept: it proves again", world.with_host(at, worker=changed(doing, step="prove", slept=False))
    else:
        on = world.with_host(at, guest="on", worker=changed(doing, step="finish"))
        yield f"host {at} powers the guest on, as was ordered", changed(on, broken=_wrong(world, at, doing))


def _prove(rules, world, at, doing):
    free = world.lock is None or not rules.orders_need_no_evacuation
    if world.order == doing.order and world.owner == at and free and not world.deleted:
        proven = changed(doing, step="power", slept=False)
        return f"host {at} proves that the order is its own", world.with_host(at, worker=proven)
    return f"host {at} finds that the order is void", world.with_host(at, worker=None)


def _wrong(world, at, doing):
    if any(record.stops for record in world.records[doing.order.after :]):
        return "I2: a guest was powered on that was promised to stay off, by an order from before"
    if world.owner != at and at not in world.unfenced:
        return f"I1: host {at} powered the guest on, host {world.owner} may run it"
    return world.broken


def asked_again(rules, world):
    """An API process runs a request again whose first run was committed without its hearing so."""
    if world.unanswered is None:
        return
    again = changed(world, unanswered=None)
    if rules.repeated_request_finds_its_record:
        yield f"the request runs again, and finds evacuation {world.unanswered}", again
    elif world.records[world.unanswered].status in UNFINISHED:
        wrong = "I6: a request was refused because of its own evacuation: an answer was lost, and the result is another"
        yield "the request runs again, and is refused: an evacuation is under way", changed(again, broken=wrong)
