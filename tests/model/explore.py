"""Explore a model whole: every state that can be, and the shortest way to one that must not be."""

import gc
from collections import defaultdict, deque
from contextlib import contextmanager


class Explored:
    """What was found: how many states, and the first violation with the way to it."""

    def __init__(self, states, violation, way):
        self.states = states
        self.violation = violation
        self.way = way

    def __str__(self):
        steps = [f"{number:3}. {step}" for number, step in enumerate(self.way, start=1)]
        return "\n".join([*steps, f"  => {self.violation or 'nothing is violated'}"])


def explore(model, start):
    """Look at every state that can follow ``start``; stop at the first violation, by the shortest way to it.

    At the end: from every state in which something is unfinished, some way without a further fault ends it.
    """
    with _nothing_collected():
        return _explore(model, start)


@contextmanager
def _nothing_collected():
    """Worlds refer to no world, so that there is no garbage to look for: a quarter of the time went into that."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _explore(model, start):
    came_from = {start: None}
    without_faults = defaultdict(list)
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        violation = model.violation(world)
        if violation:
            return Explored(len(came_from), violation, way_to(world, came_from))
        for step, then in model.steps(world):
            if then.left == world.left:
                without_faults[then].append(world)
            if then not in came_from:
                came_from[then] = (world, step)
                waiting.append(then)
    return _all_end(came_from, without_faults)


def _all_end(came_from, without_faults):
    ended = deque(world for world in came_from if world.unfinished is None)
    can_end = set(ended)
    while ended:
        for before in without_faults[ended.popleft()]:
            if before not in can_end:
                can_end.add(before)
                ended.append(before)
    stuck = next((world for world in came_from if world not in can_end), None)
    if stuck is None:
        return Explored(len(came_from), None, [])
    return Explored(len(came_from), f"I3: the {stuck.unfinished} never ends", way_to(stuck, came_from))


def way_to(world, came_from):
    way = []
    while came_from[world] is not None:
        world, step = came_from[world]
        way.append(step)
    return way[::-1]
