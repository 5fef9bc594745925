import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacuator.evacuation.destination import Candidate, Need, Room, obstacle, rank

ROOMY = Room(16, 16384, 160)
TINY = Room(1, 512, 1)


def a_host(name="b", **values):
    return Candidate(
        **{"host": name, "up": True, "disabled": False, "service_version": 2, "free": ROOMY, "instances": 0} | values
    )


NEED = Need(TINY, service_version=2, excluded=frozenset({"a"}))


def test_a_host_that_is_up_and_has_room_is_no_obstacle():
    assert obstacle(NEED, a_host()) is None


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (a_host("a"), "is the source or still holds an older copy"),
        (a_host(holds_copy=True), "is the source or still holds an older copy"),
        (a_host(up=False), "is down"),
        (a_host(disabled=True), "is disabled"),
        (a_host(service_version=1), "runs compute service version 1, 2 is needed"),
        (a_host(free=Room(0, 512, 1)), "has 0 vCPUs free, 1 are needed"),
        (a_host(free=Room(1, 511, 1)), "has 511 MiB of memory free, 512 are needed"),
        (a_host(free=Room(1, 512, 0)), "has 0 GiB of disk free, 1 are needed"),
    ],
)
def test_an_obstacle_is_named_in_words(host, reason):
    assert obstacle(NEED, host) == reason
    assert rank(NEED, [host]) == []


def test_a_host_that_is_filled_to_the_last_by_it_can_take_it():
    assert obstacle(NEED, a_host(free=TINY)) is None


def test_only_the_requested_host_is_taken_even_if_others_are_better():
    need = Need(TINY, requested="c")
    assert obstacle(need, a_host("b")) == "is not the requested host"
    assert [host.host for host in rank(need, [a_host("b"), a_host("c", free=TINY)])] == ["c"]


def test_a_requested_host_that_is_down_is_not_replaced_by_another():
    assert rank(Need(TINY, requested="c"), [a_host("b"), a_host("c", up=False)]) == []


def test_an_operator_may_force_a_disabled_host_but_not_a_dead_or_a_full_one():
    forced = Need(TINY, requested="b", disabled_allowed=True)
    assert obstacle(forced, a_host(disabled=True)) is None
    assert obstacle(forced, a_host(disabled=True, up=False)) == "is down"
    assert obstacle(forced, a_host(disabled=True, free=Room(0, 0, 0))) is not None


def test_most_free_memory_comes_first_then_fewest_instances_then_the_name():
    hosts = [
        a_host("d", instances=1),
        a_host("c"),
        a_host("b"),
        a_host("e", free=Room(16, 32768, 160), instances=9),
    ]
    assert [host.host for host in rank(NEED, hosts)] == ["e", "b", "c", "d"]


rooms = st.builds(Room, *(st.integers(0, 4),) * 3)
candidates = st.builds(
    Candidate,
    host=st.sampled_from("abcdefgh"),
    up=st.booleans(),
    disabled=st.booleans(),
    service_version=st.integers(0, 3),
    free=rooms,
    instances=st.integers(0, 3),
    holds_copy=st.booleans(),
)
needs = st.builds(
    Need,
    room=rooms,
    service_version=st.integers(0, 3),
    excluded=st.frozensets(st.sampled_from("abcdefgh")),
    requested=st.none() | st.sampled_from("abcdefgh"),
    disabled_allowed=st.booleans(),
)


@given(needs, st.lists(candidates, unique_by=lambda host: host.host))
def test_who_is_ranked_can_take_it_and_who_is_not_has_an_obstacle(need, hosts):
    ranked = rank(need, hosts)
    assert {host.host for host in ranked} == {host.host for host in hosts if obstacle(need, host) is None}
    for host in ranked:
        assert host.up
        assert host.host not in need.excluded
        assert not host.holds_copy
        assert host.host == (need.requested or host.host)
        assert host.service_version >= need.service_version
        assert host.free.vcpus >= need.room.vcpus
        assert host.free.memory_mb >= need.room.memory_mb
        assert host.free.disk_gb >= need.room.disk_gb
        assert need.disabled_allowed or not host.disabled


@given(needs, st.lists(candidates, unique_by=lambda host: host.host), st.randoms())
def test_the_order_in_which_hosts_were_read_decides_nothing(need, hosts, random):
    shuffled = random.sample(hosts, len(hosts))
    assert rank(need, shuffled) == rank(need, hosts)
