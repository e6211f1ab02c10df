"""QUIC links on a bad wire, from a seed and in virtual time."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from avm.link.connection import CreditedConnection
from avm.link.interface import Link
from avm.link.limits import DATA_STREAMS
from tests.link.worlds import Pair, QuicWorld, Weather, pair

# A wire's seed says nothing of how bad it is: smaller ones are no simpler, and each takes a second.
NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)
INSTALMENT = 64 * 1024


def hand_over(made: Pair, frames: list[tuple[int, bytes]]) -> None:
    """Send frames as room comes, until all have been sent."""
    waiting = list(frames)
    for _ in range(2_000):
        while waiting and made.link.room(waiting[0][0]) >= len(waiting[0][1]):
            made.link.send_nowait(*waiting.pop(0))
        if not waiting:
            return
        made.world.run(0.05)
    raise AssertionError("the frames do not leave")


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.2),
    double=st.floats(0, 0.3),
    corrupt=st.floats(0, 0.05),
    jitter=st.floats(0, 0.05),
)
@settings(max_examples=12, deadline=None, phases=NO_SHRINK)
def test_s06_frames_come_whole_and_in_order_whatever_the_wire_does(
    seed: int, loss: float, double: float, corrupt: float, jitter: float
) -> None:
    world = QuicWorld(seed, latency_s=0.005)
    made = pair(world)
    world.weather = Weather(loss, double, corrupt, jitter)
    sent = [(1 + n % DATA_STREAMS, bytes([n]) * (1 + 97 * n)) for n in range(60)]
    hand_over(made, sent)
    for n in range(10):
        made.far_link.send_nowait(1, bytes([n]) * 700)
    for _ in range(100):
        if len(made.far_ear.frames) == len(sent) and len(made.ear.frames) == 10:
            break
        assert made.link.is_up and made.far_link.is_up
        world.run(5)
    for stream in range(1, 1 + DATA_STREAMS):
        assert made.far_ear.of(stream) == [frame for on, frame in sent if on == stream]
    assert made.ear.of(1) == [bytes([n]) * 700 for n in range(10)]


def test_t04_a_timer_that_is_due_and_changes_nothing_waits_for_the_next_tick() -> None:
    """An acknowledgement that was due at the very moment was held back by pacing, over and over."""
    world = QuicWorld(1_496_034_925, latency_s=0.005)
    made = pair(world)
    world.weather = Weather(0.3, 0.3, 0.0, 0.05)
    hand_over(made, [(1 + n % DATA_STREAMS, bytes([n]) * (1 + 97 * n)) for n in range(60)])
    for n in range(10):
        made.far_link.send_nowait(1, bytes([n]) * 700)
    world.run(60)
    assert world.passes < 20_000, world.passes


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None, phases=NO_SHRINK)
def test_t04_links_come_up_on_a_wire_that_loses_a_fifth(seed: int) -> None:
    world = QuicWorld(seed, latency_s=0.005)
    world.weather = Weather(loss=0.2, double=0.1, jitter_s=0.01)
    made = pair(world, run_s=9.5)
    assert made.link.is_up and made.far_link.is_up


def bulk_beside_small(megabytes: int) -> list[float]:
    """Send so much in instalments at a tenth lost, and small frames beside; how long those took."""
    world = QuicWorld(7, latency_s=0.005)
    made = pair(world)
    world.weather = Weather(loss=0.1)
    left = megabytes * 1_000_000 // INSTALMENT
    took_s: list[float] = []
    begun: dict[bytes, float] = {}

    def heard(_link: Link, stream: int, frame: bytes) -> None:
        if stream == 2:
            took_s.append(world.at.now_s - begun[frame])

    made.far_ear.on_frame = heard
    count, sent = left, 0
    while len(made.far_ear.of(1)) < count:
        while left and made.link.room(1) >= INSTALMENT:
            made.link.send_nowait(1, bytes(INSTALMENT))
            left -= 1
        small = sent.to_bytes(8, "big")
        begun[small] = world.at.now_s
        made.link.send_nowait(2, small)
        sent += 1
        world.run(0.25)
        assert world.at.now_s < 5_000, "the bulk does not come through"
    world.run(5)
    assert len(took_s) == sent
    return sorted(took_s)


def test_s06_bulk_comes_through_at_a_tenth_lost_and_small_frames_beside_it_stay_fast() -> None:
    took_s = bulk_beside_small(1)
    assert took_s[len(took_s) // 2] < 0.1


@pytest.mark.slow
def test_s06_ten_megabytes_come_through_at_a_tenth_lost_and_small_frames_stay_fast() -> None:
    took_s = bulk_beside_small(10)
    assert took_s[len(took_s) // 2] < 0.1


def test_t04_a_link_survives_that_its_dialer_comes_from_another_port() -> None:
    world = QuicWorld()
    made = pair(world)
    near = made.near.endpoint.host_text, made.near.endpoint.port
    for number in range(1, 6):
        world.renamed[near] = ("10.9.9.9", 5_000 + number)
        made.link.send_nowait(1, bytes([number]))
        world.run(1)
        made.far_link.send_nowait(1, bytes([number]))
        world.run(1)
    assert len(made.far_ear.of(1)) == len(made.ear.of(1)) == 5
    assert len(made.far_ear.up) == 1 and made.far_ear.down == made.ear.down == []


def test_p01_the_same_seed_gives_the_same_frames_at_the_same_times() -> None:
    def trace(seed: int) -> list[tuple[float, int]]:
        world = QuicWorld(seed)
        made = pair(world)
        world.weather = Weather(loss=0.2)
        times: list[tuple[float, int]] = []
        made.far_ear.on_frame = lambda _l, stream, _f: times.append((world.at.now_s, stream))
        for n in range(40):
            made.link.send_nowait(1 + n % DATA_STREAMS, bytes(500))
        world.run(20)
        return times

    assert trace(1) == trace(1) != trace(2)


@pytest.mark.parametrize("seed", [3, 1_496_034_925])
def test_t04_a_look_for_datagrams_is_left_out_only_where_it_would_be_in_vain(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look that is left out is made all the same: nothing is sent by it."""
    looks = {True: 0, False: 0}
    is_quiet = CreditedConnection._has_nothing_to_send

    def look(connection: CreditedConnection, now: float) -> bool:
        quiet = is_quiet(connection, now)
        looks[quiet] += 1
        if quiet:
            assert not super(CreditedConnection, connection).datagrams_to_send(now)
        return quiet

    monkeypatch.setattr(CreditedConnection, "_has_nothing_to_send", look)
    world = QuicWorld(seed, latency_s=0.005)
    made = pair(world)
    world.weather = Weather(0.01, 0.1, 0.01, 0.01)
    frames = [(1 + n % DATA_STREAMS, bytes([n]) * (1 + 797 * n)) for n in range(80)]
    near = made.near.endpoint.host_text, made.near.endpoint.port
    for number in range(4):
        hand_over(made, frames[number * 20 : (number + 1) * 20])
        made.far_link.send_nowait(1, bytes(3_000))
        world.run(5)
        world.renamed[near] = ("10.9.9.9", 5_000 + number)
    world.run(60)
    assert made.link.is_up and len(made.far_ear.frames) == len(frames)
    assert looks[True] > 50 and looks[False] > 50, looks
