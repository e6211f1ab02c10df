"""How large packets become: the search by itself, and whole links on wires that take less."""

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from avm.link.interface import Address
from avm.link.limits import LinkLimits
from avm.link.path import AGAIN_S, PACKET_BYTES, SIZES, TRIES, PathSize
from tests.link.worlds import Pair, QuicWorld, Weather, pair

SMALLER, LARGEST = SIZES
NEVER = float("inf")
NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)


def search(path: PathSize, takes: int, now_s: float = 0.0) -> list[int]:
    """Tries what is due until nothing is, on a path that takes so much; what was tried."""
    tried = []
    while path.due_s <= now_s:
        size = path.begin_try()
        tried.append(size)
        assert len(tried) < 100, "the search does not end"
        if size <= takes:
            path.arrived(size, now_s)
        else:
            path.went_missing(size, now_s)
    return tried


def test_the_largest_is_tried_first_and_once_where_it_arrives() -> None:
    path = PathSize(LARGEST)
    assert path.size == PACKET_BYTES
    assert search(path, 1_500) == [LARGEST]
    assert path.size == LARGEST and path.due_s == NEVER


def test_what_went_missing_thrice_is_too_large_and_the_next_is_tried() -> None:
    path = PathSize(LARGEST)
    assert search(path, 1_400) == [LARGEST] * TRIES + [SMALLER]
    assert path.size == SMALLER and path.due_s == AGAIN_S
    assert search(path, 1_500, AGAIN_S) == [LARGEST]
    assert path.size == LARGEST


def test_where_nothing_larger_arrives_packets_stay_small_until_the_next_search() -> None:
    path = PathSize(LARGEST)
    assert search(path, 1_300) == [LARGEST] * TRIES + [SMALLER] * TRIES
    assert path.size == PACKET_BYTES and path.due_s == AGAIN_S


def test_no_more_is_tried_than_the_host_allows() -> None:
    assert search(PathSize(PACKET_BYTES), 1_500) == []
    assert search(PathSize(SMALLER), 1_500) == [SMALLER]
    assert search(PathSize(1_400), 1_500) == [1_400]


def test_while_one_is_under_way_no_other_is_tried() -> None:
    path = PathSize(LARGEST)
    path.begin_try()
    assert path.due_s == NEVER


def test_a_path_that_went_quiet_has_small_packets_at_once() -> None:
    path = PathSize(LARGEST)
    search(path, 1_500)
    path.went_quiet()
    assert path.size == PACKET_BYTES and path.due_s == 0.0
    path.went_quiet()
    assert search(path, 1_500) == [LARGEST]


def test_what_comes_of_a_try_of_an_earlier_search_says_nothing() -> None:
    path = PathSize(LARGEST)
    for _ in range(TRIES):
        path.went_missing(path.begin_try(), 0.0)
    path.arrived(LARGEST, 0.0)
    assert path.size == PACKET_BYTES
    for _ in range(TRIES + 1):
        path.went_missing(LARGEST, 0.0)
    assert path.begin_try() == SMALLER


@given(
    takes=st.integers(PACKET_BYTES, 1_500),
    most=st.integers(PACKET_BYTES, LARGEST),
    acts=st.lists(st.integers(0, 3), max_size=40),
)
def test_t04_the_size_is_one_that_arrived_or_the_least_and_every_search_ends(
    takes: int, most: int, acts: list[int]
) -> None:
    path, now_s = PathSize(most), 0.0
    arrived = {PACKET_BYTES}
    for act in acts:
        match act:
            case 0 if path.due_s <= now_s:
                size = path.begin_try()
                assert PACKET_BYTES < size <= most
                if size <= takes:
                    arrived.add(size)
                    path.arrived(size, now_s)
                else:
                    path.went_missing(size, now_s)
            case 1:
                path.went_quiet()
            case 2:
                now_s += AGAIN_S
            case _:
                tried = search(path, takes, now_s)
                assert len(tried) <= TRIES * (len(SIZES) + 1)
                arrived |= {size for size in tried if size <= takes}
        assert path.size in arrived


# Whole links.


def sizes_on(made: Pair) -> set[int]:
    """Sends in both directions, and says how large packets are at both ends."""
    for link in (made.link, made.far_link):
        for _ in range(20):
            link.send_nowait(1, bytes(20_000))
    made.world.run(20)
    assert len(made.far_ear.of(1)) % 20 == len(made.ear.of(1)) % 20 == 0
    return {link.statistics().packet_bytes for link in (made.link, made.far_link)}


def sizes_seen(world: QuicWorld) -> list[int]:
    """The size of every datagram from now on."""
    seen: list[int] = []

    def tap(datagram: bytes, _source: Address, _target: Address) -> None:
        seen.append(len(datagram))

    world.tap = tap
    return seen


@pytest.mark.parametrize(
    ("takes", "size"), [(1_500, LARGEST), (1_451, SMALLER), (1_371, PACKET_BYTES)]
)
def test_t04_packets_are_as_large_as_the_path_takes(takes: int, size: int) -> None:
    world = QuicWorld()
    world.weather = Weather(takes_bytes=takes)
    made = pair(world)
    assert sizes_on(made) == {size}
    assert made.link.statistics().lost_packets == made.far_link.statistics().lost_packets == 0
    seen = sizes_seen(world)
    assert sizes_on(made) == {size} and max(seen) == size


def test_t04_no_packet_is_larger_than_the_host_allows() -> None:
    world = QuicWorld()
    seen = sizes_seen(world)
    made = pair(world, replace(LinkLimits(), packet_bytes=PACKET_BYTES))
    assert sizes_on(made) == {PACKET_BYTES} == {max(seen)}


def test_t04_what_a_path_takes_less_than_before_goes_on_in_smaller_packets() -> None:
    """Nothing says so: large packets are swallowed, small ones and acknowledgements are not."""
    world = QuicWorld(latency_s=0.005)
    made = pair(world)
    assert sizes_on(made) == {LARGEST}
    world.weather = Weather(takes_bytes=1_400)
    assert sizes_on(made) == {SMALLER}
    world.weather = Weather(takes_bytes=1_300)
    assert sizes_on(made) == {PACKET_BYTES}
    assert len(made.far_ear.of(1)) == len(made.ear.of(1)) == 60
    assert made.far_ear.down == made.ear.down == []


def test_t04_small_packets_that_arrive_do_not_hide_that_large_ones_do_not() -> None:
    world = QuicWorld(latency_s=0.005)
    made = pair(world)
    assert sizes_on(made) == {LARGEST}
    world.weather = Weather(takes_bytes=1_300)
    made.link.send_nowait(1, bytes(100_000))
    for number in range(400):
        made.link.send_nowait(2, number.to_bytes(2, "big"))
        made.world.run(0.005)
    assert len(made.far_ear.of(1)) == 21 and len(made.far_ear.of(2)) == 400
    assert made.link.statistics().packet_bytes == PACKET_BYTES


def test_t04_another_path_is_searched_anew() -> None:
    world = QuicWorld()
    made = pair(world)
    assert sizes_on(made) == {LARGEST}
    near = made.near.endpoint.host_text, made.near.endpoint.port
    world.renamed[near] = ("10.9.9.9", 5_000)
    world.weather = Weather(takes_bytes=1_300)
    assert sizes_on(made) == {PACKET_BYTES}
    # The one that moved does not know it.
    assert made.link.statistics().lost_packets > 0 == made.far_link.statistics().lost_packets
    assert made.far_ear.down == made.ear.down == []


# Where three of ten are lost each way a link is given up now and then, as nothing was heard in its time.
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.15), takes=st.integers(1_200, 1_500))
@settings(max_examples=12, deadline=None, phases=NO_SHRINK)
def test_s06_frames_come_whole_whatever_a_bad_path_takes(
    seed: int, loss: float, takes: int
) -> None:
    world = QuicWorld(seed, latency_s=0.005)
    made = pair(world)
    world.weather = Weather(loss, 0.1, 0.01, 0.02, takes)
    for number in range(20):
        made.link.send_nowait(1 + number % 4, bytes([number]) * 8_000)
    for _ in range(60):
        if len(made.far_ear.frames) == 20:
            break
        world.run(5)
    got = sorted(frame for _stream, frame in made.far_ear.frames)
    assert got == [bytes([number]) * 8_000 for number in range(20)]
    world.weather = Weather(takes_bytes=takes)
    world.run(60)
    assert made.link.statistics().packet_bytes <= max(PACKET_BYTES, takes)
