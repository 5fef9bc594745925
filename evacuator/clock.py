"""The clock by which a process knows how long it was away."""

import time


def boot_clock() -> float:
    """Seconds since the machine started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
