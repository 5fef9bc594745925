import time

from evacuator.cmd.wiring import boot_clock


def test_the_clock_that_proofs_are_dated_by_counts_what_the_machine_slept(monkeypatch):
    """A machine that was started 500 seconds ago and slept for 400 of them."""
    clocks = {time.CLOCK_BOOTTIME: 500.0, time.CLOCK_MONOTONIC: 100.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert boot_clock() == 500
