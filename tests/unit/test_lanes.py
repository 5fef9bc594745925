import threading
import time

import pytest

from evacuator.lanes import AllHang, Lanes, TimedOut


@pytest.fixture
def lanes():
    lanes = Lanes("test", most=2)
    yield lanes
    lanes.close()


@pytest.fixture
def stuck():
    """Work that does not come back before the test ends."""
    ending = threading.Event()
    yield ending.wait
    ending.set()


def test_what_the_work_returns_is_returned_and_what_it_raises_is_raised(lanes):
    assert lanes.call(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        lanes.call(lambda: 1 // 0, 5)


def test_work_that_takes_too_long_is_not_waited_for(lanes, stuck):
    begun = time.monotonic()

    with pytest.raises(TimedOut):
        lanes.call(stuck, 0.05)
    assert time.monotonic() - begun < 2


def test_work_that_hangs_is_in_nobodys_way_until_all_of_it_hangs(lanes, stuck):
    with pytest.raises(TimedOut):
        lanes.call(stuck, 0.01)
    assert lanes.call(lambda: "through", 5) == "through"
    with pytest.raises(TimedOut):
        lanes.call(stuck, 0.01)

    with pytest.raises(AllHang):
        lanes.call(lambda: "not begun", 5)


def test_work_that_comes_back_late_makes_room_again(lanes):
    ending = threading.Event()
    for _ in range(2):
        with pytest.raises(TimedOut):
            lanes.call(ending.wait, 0.01)
    ending.set()

    deadline = time.monotonic() + 5
    while True:
        try:
            assert lanes.call(lambda: "again", 1) == "again"
            break
        except AllHang:
            assert time.monotonic() < deadline


def test_one_thread_is_enough_for_calls_one_after_the_other(lanes):
    threads = {lanes.call(threading.get_ident, 5) for _ in range(20)}

    assert len(threads) == 1


def test_closing_lets_the_threads_end():
    lanes = Lanes("closing")
    thread = lanes.call(threading.current_thread, 5)

    lanes.close()

    thread.join(5)
    assert not thread.is_alive()


def test_a_thread_that_could_not_be_started_is_not_counted(lanes, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            with pytest.raises(AllHang, match="can't start new thread"):
                lanes.call(lambda: "not begun", 5)

    assert lanes.call(lambda: "through", 5) == "through"
