"""Machines whose clocks are wrong."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from evacuator.virt.simulated import Machine, read_journal
from tests.services.servers import missing

#: Makes the time of day of a process another one; the clocks that only count stay.
SHIFT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *s = getenv("CLOCK_SHIFT"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    if (!r && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += shift();
    return r;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""

HOUR = 3600

#: Who switches a host off or on does so by the clock of the harness.
BY_THE_HARNESS = "mains off"


class Clocks:
    """Makes the library that shifts clocks, in a folder; the test that asks is left out where there is no compiler."""

    def __init__(self, folder: Path) -> None:
        source, self._library = folder / "shift.c", folder / "shift.so"
        source.write_text(SHIFT)
        try:
            subprocess.run(
                ["cc", "-shared", "-fPIC", "-o", self._library, source, "-ldl"], check=True, capture_output=True
            )
        except FileNotFoundError:
            missing("no C compiler, which the shifted clock is made with")
        # A library that cannot be loaded is left out with a warning, and everything would run by the right time.
        tells = [sys.executable, "-c", "import time; print(time.time())"]
        told = subprocess.run(tells, env=self.ahead(HOUR), check=True, capture_output=True, text=True)
        assert abs(float(told.stdout) - HOUR - time.time()) < HOUR / 6, told

    def ahead(self, seconds: int) -> dict[str, str]:
        """Return what a process needs in its environment for a time of day that is ``seconds`` later."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT": str(seconds)}


def put_right(root: Path, host: str, ahead: int) -> None:
    """Have the journal of a host whose clock was so many seconds ahead bear the times at which things happened.

    Only at rest: what the host does from here on bears the wrong time again.
    """
    machine = Machine(root, host)
    with machine.locked():
        machine.read_all()  # what guests' files still owe the journal bears the wrong time, too
        entries = [
            entry if entry.cause == BY_THE_HARNESS else replace(entry, at=entry.at - ahead)
            for entry in read_journal(root, host)
        ]
        right = machine.folder / "journal.new"
        right.write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in entries))
        right.replace(machine.folder / "journal.jsonl")
