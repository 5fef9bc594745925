"""Virtual time, and tasks that take turns.

A task is a greenlet. It gives up its turn at every boundary it crosses (see ``boundaries``), when it sleeps and when it
waits; nothing else ever interrupts it, so that a run is a sequence of turns and can be told again.
"""

import itertools
from contextlib import contextmanager

import greenlet

#: When every world begins: 2030-01-01 00:00 UTC, in seconds since 1970.
DAWN = 1893456000.0


class Died(BaseException):
    """The process in which this is raised does not exist any more."""


class Task:
    """Something that a process is doing."""

    def __init__(self, process, name, work):
        self.process = process
        self.name = name
        self.wake_at = None
        self.waits_for = None
        self.done = False
        self._work = work
        self._greenlet = greenlet.greenlet(self._run, parent=process.hub.greenlet)

    def _run(self):
        try:
            self._work()
        except Died:
            pass
        finally:
            self.done = True

    def may_go_on(self, now):
        if self.done or self.process.frozen:
            return False
        if self.waits_for is not None and self.waits_for():
            return True
        if self.wake_at is not None:
            return self.wake_at <= now
        return self.waits_for is None

    def go_on(self):
        self.wake_at = self.waits_for = None
        self._greenlet.switch()

    def die(self):
        """End it where it is; what it holds in memory is gone with its process."""
        if not self.done:
            if self._greenlet:
                self._greenlet.throw(Died)
            self.done = True


class Timer:
    """A periodic task of a process; the next interval begins when a run has ended."""

    def __init__(self, process, name, interval, work, jitter):
        self.process = process
        self.name = name
        self.due = process.hub.now + interval * (1 + jitter * process.hub.unevenness())
        self._interval = interval
        self._work = work
        self._running = None

    def go_off(self):
        self.due = None
        self._running = self.process.spawn(self.name, self._run)

    def _run(self):
        try:
            self._work()
        finally:
            self.due = self.process.hub.now + self._interval

    def stop(self):
        self.process.timers.discard(self)

    def join(self, timeout):
        pass


class Process:
    """What lives and dies as one: tasks, timers, and the memory behind them."""

    def __init__(self, hub, name):
        self.hub = hub
        self.name = name
        self.alive = True
        self.frozen = False
        self.timers = Ordered()
        hub.processes.add(self)

    def spawn(self, name, work):
        """Have ``work`` done, beginning at the next turn."""
        task = Task(self, name, work)
        self.hub.tasks.append(task)
        return task

    def every(self, name, interval, work, jitter=0.0):
        """Have ``work`` done again and again."""
        timer = Timer(self, name, interval, work, jitter)
        self.timers.add(timer)
        return timer

    def cross(self, when, what):
        """Come to a boundary: whoever watches looks, what waits for this moment strikes, and others have their turn.

        :raises Died: this was the process's last moment.
        """
        if not self.alive:
            raise Died
        self.hub.crossing = (self, when, what)
        self._give_way()

    def sleep(self, seconds):
        """Let time pass."""
        self.hub.current.wake_at = self.hub.now + seconds
        self._give_way()

    def wait_for(self, condition, timeout=-1.0):
        """Wait until ``condition`` holds, ``timeout`` seconds at most; tell whether it does."""
        deadline = None if timeout < 0 else self.hub.now + timeout
        while not condition():
            if deadline is not None and deadline <= self.hub.now:
                return False
            task = self.hub.current
            task.waits_for, task.wake_at = condition, deadline
            self._give_way()
        return True

    def _give_way(self):
        # Whoever is not a task (the test itself, looking) has nobody to give way to.
        if self.hub.current is not None:
            self.hub.greenlet.switch()
        if not self.alive:
            raise Died

    def die(self):
        """Vanish in the middle of whatever it does."""
        self.alive = False
        self.timers.clear()
        self.hub.processes.discard(self)
        self.hub.bury_the_dead()


class Ordered(dict):
    """A set that remembers the order in which things came."""

    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)


class Locks:
    """Locks by name whose holders give way instead of blocking the one thread there is."""

    def __init__(self, process):
        self._process = process
        self._held = set()

    @contextmanager
    def hold(self, name, timeout=-1.0):
        held = self._process.wait_for(lambda: name not in self._held, timeout)
        if held:
            self._held.add(name)
        try:
            yield held
        finally:
            if held:
                self._held.discard(name)


class Hub:
    """Who is next, and what time it is.

    ``choose`` picks one of several tasks that may go on; the first by default, so that turns are taken in order.
    ``watchers`` are called at each crossing with (process, when, what).
    """

    def __init__(self, choose=lambda tasks: 0):
        self.now = DAWN
        self.greenlet = greenlet.getcurrent()
        self.processes = Ordered()
        self.tasks = []
        self.current = None
        self.crossing = None
        #: How many turns were had.
        self.turns = 0
        self.watchers = []
        self._choose = choose
        self._uneven = itertools.cycle((0.0, 0.5, -0.5, 0.25, -0.25))

    def unevenness(self):
        """Return what stands in for randomness where timers are spread: between -1 and 1, always the same series."""
        return next(self._uneven)

    def run(self, turns=None):
        """Give turns until nobody has anything left to do at this moment, or until ``turns`` have been had."""
        for turn in itertools.count():
            self.bury_the_dead()
            ready = [task for task in self.tasks if task.may_go_on(self.now)]
            if not ready or turn == turns:
                return bool(ready)
            if turn > 20_000:
                raise AssertionError(f"these never come to rest: {[task.name for task in ready]}")
            self._give_turn(ready[self._choose(ready)])
        raise AssertionError("unreachable")

    def _give_turn(self, task):
        # Round robin: whoever had a turn goes to the end.
        self.tasks.remove(task)
        self.tasks.append(task)
        self.current = task
        self.turns += 1
        try:
            task.go_on()
        finally:
            self.current = None
        # Only now: production code answers for its errors, and must not answer for those of whoever watches it.
        crossing, self.crossing = self.crossing, None
        if crossing is not None:
            for watcher in self.watchers:
                watcher(*crossing)

    def pass_time(self, seconds, until=lambda: False):
        """Let time pass from one event to the next; stop early once ``until`` holds."""
        end = self.now + seconds
        self.run()
        while not until():
            event = self._next_event()
            if event is None or event > end:
                self.now = end
                return
            self.now = max(self.now, event)
            self._go_off()
            self.run()

    def _next_event(self):
        moments = [task.wake_at for task in self.tasks if task.wake_at is not None and not task.process.frozen]
        moments += [timer.due for timer in self._timers() if timer.due is not None]
        return min(moments, default=None)

    def _go_off(self):
        for timer in self._timers():
            if timer.due is not None and timer.due <= self.now:
                timer.go_off()

    def _timers(self):
        return [timer for process in self.processes if not process.frozen for timer in process.timers]

    def bury_the_dead(self):
        """Forget tasks that are done, and end those whose process died; never from within a task."""
        if self.current is not None:
            return
        for task in self.tasks:
            if not task.process.alive:
                task.die()
        self.tasks = [task for task in self.tasks if not task.done]
