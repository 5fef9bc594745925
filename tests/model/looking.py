"""Looking at power: the row is read, the guest is seen, and what was seen is written.

Only in worlds that tell what the instance is shown as. Nobody orders anything there, so that a guest which was left off
stays off.
"""

from evacuator.evacuation.states import VmState, final_state
from evacuator.evacuation.transitions import Status
from tests.model.worlds import Look, changed

#: The evacuations that brought the instance to where it is.
ENDED = frozenset({Status.DONE, Status.COMPLETED})


def looks(world, at):
    """Let a host that has nothing else in hand see that its guest is not what it is shown as."""
    if world.shown is None or world.owner != at or world.lock is not None or world.order is not None or world.deleted:
        return
    found = VmState.ACTIVE if world.hosts[at].guest == "on" else VmState.STOPPED
    if found != world.shown:
        look = Look(as_read=world.shown, found=found)
        yield f"host {at} sees that its guest is {found} and shown as {world.shown}", world.with_host(at, worker=look)


def looked(rules, world, at):
    """Give what a host does about what it saw."""
    look = world.hosts[at].worker
    then = world.with_host(at, worker=None)
    if not rules.looking_drives_nothing:
        yield _drive(then, at, look)
        return
    free = world.lock is None and world.order is None and not world.deleted
    as_read = free and world.owner == at and world.shown == look.as_read
    if as_read or not rules.looks_are_compared:
        yield f"host {at} records that the instance is {look.found}", changed(then, shown=look.found)
    else:
        yield f"host {at} finds that its look is void", then


def _drive(world, at, look):
    if look.as_read == VmState.STOPPED:
        return f"host {at} powers its guest off, as it was shown", world.with_host(at, guest="off")
    on = world.with_host(at, guest="on")
    if any(record.stops for record in world.records):
        on = changed(on, broken="I2: a guest was powered on that was promised to stay off, by a look from before")
    elif world.owner != at and at not in world.unfenced:
        on = changed(on, broken=f"I1: host {at} powered the guest on, host {world.owner} may run it")
    return f"host {at} powers its guest on, as it was shown", on


def ends_off(world):
    """Whether the next evacuation is to leave the guest off: it promises so, or the instance is stopped."""
    promised = world.requests[0]
    if world.shown is None:
        return promised
    return final_state(world.shown, None, stops_at_destination=promised) == VmState.STOPPED


def shown_after(world, record):
    """Give what the instance is shown as when this evacuation of it is done."""
    if world.shown is None:
        return None
    return VmState.STOPPED if record.stops else VmState.ACTIVE


def was_left_off(world):
    """Whether an evacuation left the guest off, and it is told what has been shown since: nobody asked to start it."""
    return world.shown is not None and any(record.stops and record.status in ENDED for record in world.records)
