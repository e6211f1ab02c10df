"""The transport suite: every promise of a link, held to each transport alike."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from avm.link.errors import DatagramTooBig, FrameTooBig, LinkClosed, NoRoom, TooManyLinks
from avm.link.handshake import Credentials
from avm.link.interface import Why
from avm.link.limits import (
    CONTROL,
    DATA_STREAMS,
    DATAGRAM_BYTES_MAX,
    FRAME_BYTES_MAX,
    STREAM_WINDOW_BYTES,
    LinkLimits,
)
from tests.link.worlds import (
    NOW,
    Ear,
    MemoryWorld,
    QuicWorld,
    World,
    credentials,
    machine_certificate,
    pair,
    route_to,
)

DATA = range(1, 1 + DATA_STREAMS)


@pytest.fixture(params=[MemoryWorld, QuicWorld], ids=["memory", "quic"])
def world(request: pytest.FixtureRequest) -> World:
    make: Callable[[], World] = request.param
    return make()


def test_t04_both_sides_hear_that_a_link_is_up_and_who_is_there(world: World) -> None:
    made = pair(world)
    assert made.ear.up == [made.link] and made.ear.down == made.far_ear.down == []
    assert made.link.is_up and made.link.dialed and not made.far_link.dialed
    assert made.link.peer == credentials(2).identity
    assert made.far_link.peer == credentials(1).identity


def test_t04_nothing_can_be_sent_before_a_link_is_up(world: World) -> None:
    made = pair(world, run_s=0)
    assert made.link.peer is None and made.link.room(1) == 0
    with pytest.raises(LinkClosed):
        made.link.send_nowait(1, b"early")
    with pytest.raises(LinkClosed):
        made.link.send_datagram_nowait(b"early")


@pytest.mark.parametrize("size", [1, 2, 1_000, 1_199, 70_000, FRAME_BYTES_MAX - 1])
def test_s04_frames_arrive_whole_whatever_is_in_them(world: World, size: int) -> None:
    made = pair(world)
    frame = bytes(i % 251 for i in range(size))
    for stream in (CONTROL, *DATA):
        made.link.send_nowait(stream, frame)
        made.far_link.send_nowait(stream, frame)
    world.run(2)
    expected = [(stream, frame) for stream in (CONTROL, *DATA)]
    assert sorted(made.far_ear.frames) == sorted(made.ear.frames) == expected


def test_t04_frames_of_a_stream_keep_their_order(world: World) -> None:
    made = pair(world)
    for number in range(200):
        made.link.send_nowait(1 + number % DATA_STREAMS, number.to_bytes(2, "big") * 50)
    world.run(2)
    assert len(made.far_ear.frames) == 200
    for stream in DATA:
        frames = made.far_ear.of(stream)
        assert frames == sorted(frames)


def test_s04_small_datagrams_arrive_and_large_ones_are_refused(world: World) -> None:
    made = pair(world)
    largest = bytes(DATAGRAM_BYTES_MAX)
    assert made.link.send_datagram_nowait(b"small")
    assert made.link.send_datagram_nowait(largest)
    with pytest.raises(DatagramTooBig):
        made.link.send_datagram_nowait(largest + b"x")
    world.run(1)
    assert made.far_ear.datagrams == [b"small", largest]


def test_s04_datagrams_that_have_no_room_are_lost_and_counted(world: World) -> None:
    made = pair(world, LinkLimits(datagrams=3))
    sent = [made.link.send_datagram_nowait(bytes([n])) for n in range(5)]
    assert sent == [True, True, True, False, False]
    assert made.link.statistics().lost_datagrams == 2


def test_s06_a_frame_that_is_too_big_is_refused_at_send(world: World) -> None:
    made = pair(world)
    for size in (0, FRAME_BYTES_MAX, FRAME_BYTES_MAX * 4):
        with pytest.raises(FrameTooBig):
            made.link.send_nowait(1, bytes(size))
    world.run(1)
    assert made.link.is_up and not made.far_ear.frames


def test_s06_what_there_is_no_room_for_is_refused_until_room_comes_back(world: World) -> None:
    made = pair(world)
    frame = bytes(100_000)
    sent = 0
    while made.link.room(1) >= len(frame):
        made.link.send_nowait(1, frame)
        sent += 1
    with pytest.raises(NoRoom):
        made.link.send_nowait(1, frame)
    assert made.link.room(2) >= len(frame), "another stream has room of its own"
    assert sent >= 10 and made.ear.rooms == []
    world.run(5)
    assert made.ear.rooms == [1] and made.link.room(1) >= len(frame)
    assert len(made.far_ear.frames) == sent


def test_s05_a_stream_that_is_not_consumed_stops_and_its_siblings_go_on(world: World) -> None:
    made = pair(world)
    held: list[tuple[int, int]] = []
    made.far_ear.consumes = False

    def consume(link, stream, frame):  # type: ignore[no-untyped-def]
        if stream == 1:
            held.append((stream, len(frame)))
        else:
            link.consumed(stream, len(frame))

    made.far_ear.on_frame = consume
    frame = bytes(50_000)
    for _ in range(15):
        made.link.send_nowait(1, frame)
    world.run(3)
    stopped = len(made.far_ear.of(1))
    assert stopped == STREAM_WINDOW_BYTES // (len(frame) + 4)
    for _ in range(5):
        for _ in range(15):
            made.link.send_nowait(2, frame)
            made.link.send_nowait(CONTROL, frame)
        world.run(3)
    assert len(made.far_ear.of(2)) == len(made.far_ear.of(CONTROL)) == 75
    assert len(made.far_ear.of(1)) == stopped
    assert made.far_link.statistics().unconsumed_bytes <= STREAM_WINDOW_BYTES
    for stream, size in held:
        made.far_link.consumed(stream, size)
    world.run(3)
    assert len(made.far_ear.of(1)) == 15


def test_t03_credit_is_given_for_what_was_consumed_and_no_more(world: World) -> None:
    made = pair(world)
    made.far_ear.consumes = False
    made.link.send_nowait(1, bytes(200_000))
    world.run(2)
    before = made.link.statistics().credit_bytes
    made.far_link.consumed(1, 200_000)
    world.run(2)
    assert made.link.statistics().credit_bytes == before + 200_004
    with pytest.raises(AssertionError):
        made.far_link.consumed(1, 1)


def test_s11_a_link_stays_up_while_its_owner_consumes_nothing(world: World) -> None:
    made = pair(world)
    made.far_ear.consumes = False
    while made.link.room(1) > 50_000:
        made.link.send_nowait(1, bytes(50_000))
    world.run(300)
    assert made.link.is_up and made.far_link.is_up and made.ear.down == []


def test_s08_a_link_with_nothing_to_say_is_kept_alive(world: World) -> None:
    made = pair(world)
    world.run(300)
    made.link.send_nowait(1, b"still there")
    world.run(1)
    assert made.far_ear.frames == [(1, b"still there")]


def test_t04_a_link_to_a_host_that_is_gone_ends(world: World) -> None:
    made = pair(world)
    world.part(made.near, made.far)
    world.run(29)
    assert made.ear.down == []
    world.run(20)
    assert made.ear.whys == made.far_ear.whys == [Why.TIMED_OUT]
    with pytest.raises(LinkClosed):
        made.link.send_nowait(1, b"too late")


def test_t04_a_link_outlives_a_short_parting(world: World) -> None:
    made = pair(world)
    world.part(made.near, made.far)
    made.link.send_nowait(1, b"held back")
    world.run(12)
    assert made.far_ear.frames == []
    world.join(made.near, made.far)
    world.run(15)
    assert made.far_ear.frames == [(1, b"held back")] and made.link.is_up


def test_t04_closing_a_link_tells_both_owners_once(world: World) -> None:
    made = pair(world)
    made.far_link.close()
    made.far_link.close()
    assert made.far_ear.whys == [Why.CLOSED]
    world.run(1)
    assert made.ear.whys == [Why.LEFT] and not made.link.is_up
    world.run(60)
    assert made.ear.whys == [Why.LEFT] and made.far_ear.whys == [Why.CLOSED]


def test_t04_closing_a_listener_ends_its_links_and_takes_no_more(world: World) -> None:
    made = pair(world)
    made.far.close()
    world.run(1)
    assert made.far_ear.whys == [Why.CLOSED] and made.ear.whys == [Why.LEFT]
    made.near.dial_nowait(route_to(made.far, credentials(2)))
    world.run(20)
    assert made.ear.whys == [Why.LEFT, Why.NO_HANDSHAKE]


def test_t04_dialing_where_nobody_is_ends_in_time(world: World) -> None:
    made = pair(world)
    world.part(made.near, made.far)
    made.near.dial_nowait(route_to(made.far, credentials(2)))
    world.run(9)
    assert made.ear.down == []
    world.run(3)
    assert made.ear.whys == [Why.NO_HANDSHAKE]


def test_t03_a_host_has_no_more_links_than_its_limit(world: World) -> None:
    limits = LinkLimits(links=2)
    made = pair(world, limits)
    made.near.dial_nowait(route_to(made.far, credentials(2)))
    with pytest.raises(TooManyLinks):
        made.near.dial_nowait(route_to(made.far, credentials(2)))
    world.run(1)
    late = Ear()
    world.listener(credentials(3), late).dial_nowait(route_to(made.far, credentials(2)))
    world.run(20)
    assert len(made.far_ear.up) == 2 and late.whys == [Why.NO_HANDSHAKE]


# Keys.


def test_s07_a_host_at_another_address_is_refused_and_hears_nothing(world: World) -> None:
    ear, far_ear = Ear(), Ear()
    near = world.listener(credentials(1), ear)
    far = world.listener(credentials(3), far_ear)
    link = near.dial_nowait(route_to(far, credentials(2)))
    world.run(2)
    assert link.statistics().sent_bytes == 0
    assert ear.whys == [Why.WRONG_ADDRESS] and ear.up == far_ear.up == []
    assert far_ear.whys == [Why.REFUSED]


def test_s07_a_host_that_shows_an_identity_without_its_key_is_refused(world: World) -> None:
    ear, far_ear = Ear(), Ear()
    near = world.listener(credentials(1), ear)
    impostor = Credentials(credentials(3).key, credentials(2).identity)
    far = world.listener(impostor, far_ear)
    link = near.dial_nowait(route_to(far, credentials(2)))
    world.run(2)
    assert link.statistics().sent_bytes == 0
    assert ear.whys == [Why.WRONG_KEY] and ear.up == far_ear.up == []
    assert far_ear.whys == [Why.REFUSED]


def test_s07_a_dialer_that_shows_an_identity_without_its_key_is_refused(world: World) -> None:
    ear, far_ear = Ear(), Ear()
    near = world.listener(Credentials(credentials(3).key, credentials(1).identity), ear)
    far = world.listener(credentials(2), far_ear)
    near.dial_nowait(route_to(far, credentials(2)))
    world.run(2)
    assert far_ear.whys == [Why.WRONG_SIGNATURE] and ear.up == far_ear.up == []
    assert ear.whys == [Why.REFUSED], "the peer is told the same whatever was wrong"


# Machines.


def test_s07_a_host_proves_which_machines_it_speaks_for(world: World) -> None:
    made = pair(world)
    machine, certificate = machine_certificate(7, credentials(1).identity)
    made.link.prove_nowait(machine, certificate)
    world.run(1)
    assert made.far_ear.machines == [machine.address]
    assert made.ear.answers == [(machine.address, True)]
    assert made.far_link.speaks_for(machine.address, world.now_ms)
    assert not made.link.speaks_for(machine.address, world.now_ms)
    after_ms = certificate.expiry_ms
    assert not made.far_link.speaks_for(machine.address, after_ms), "a certificate ends"
    assert made.far_link.statistics().machines == 1


def test_s07_a_certificate_for_another_host_or_time_is_refused_with_one_answer(
    world: World,
) -> None:
    made = pair(world)
    me = credentials(1).identity
    foreign = machine_certificate(7, credentials(2).identity)
    expired = machine_certificate(8, me, end_ms=NOW.now_ms - 1)
    future = machine_certificate(9, me, start_ms=NOW.now_ms + 5_000_000)
    forged = (machine_certificate(10, me)[0], machine_certificate(11, me)[1])
    forged = (forged[0], replace(forged[1], terms=machine_certificate(10, me)[1].terms))
    for machine, certificate in (foreign, expired, future, forged):
        made.link.prove_nowait(machine, certificate)
    world.run(1)
    assert [accepted for _, accepted in made.ear.answers] == [False] * 4
    assert made.far_ear.machines == [] and made.link.is_up


def test_t03_a_host_that_proves_nothing_over_and_over_is_dropped(world: World) -> None:
    made = pair(world, LinkLimits(refused_machines=5))
    machine, certificate = machine_certificate(7, credentials(2).identity)
    for _ in range(8):
        made.link.prove_nowait(machine, certificate)
    world.run(1)
    assert made.far_ear.whys == [Why.FLOODED] and made.ear.whys == [Why.REFUSED]


def test_t03_a_link_keeps_no_more_machines_than_its_limit(world: World) -> None:
    made = pair(world, LinkLimits(machines=3))
    for seed in range(5):
        made.link.prove_nowait(*machine_certificate(50 + seed, credentials(1).identity))
    world.run(1)
    assert [accepted for _, accepted in made.ear.answers] == [True] * 3 + [False] * 2
    assert made.far_link.statistics().machines == 3


def test_t07_statistics_tell_what_went_and_came(world: World) -> None:
    made = pair(world)
    before = made.link.statistics()
    made.link.send_nowait(1, bytes(1_000))
    world.run(1)
    after, far = made.link.statistics(), made.far_link.statistics()
    assert after.sent_bytes - before.sent_bytes == 1_004
    assert far.received_bytes == after.sent_bytes
    assert after.waiting_bytes == far.unconsumed_bytes == 0
    assert 0.001 < after.round_trip_s < 0.1 and after.lost_packets == 0
