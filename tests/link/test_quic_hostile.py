"""QUIC links among strangers: floods, sparse frames, streams without end, forged datagrams."""

import tracemalloc
from collections.abc import Iterator

import pytest
from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicStreamFrame
from aioquic.quic.stream import QuicStream
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.link.connection import CreditedConnection
from avm.link.engine import ALPN, QuicEngine, configuration
from avm.link.frames import cut
from avm.link.interface import Down, Why
from avm.link.limits import STREAM_WINDOW_BYTES, STREAMS, LinkLimits
from avm.link.quic import QuicListener
from avm.link.session import Session
from tests.link.worlds import Ear, Pair, QuicWorld, credentials, pair, route_to

MIB = 1024 * 1024
EVIL = ("10.6.6.6", 666)


def engine_of(link: object) -> QuicEngine:
    assert isinstance(link, Session)
    engine = link._engine
    assert isinstance(engine, QuicEngine)
    return engine


def quic(made: Pair) -> tuple[QuicEngine, CreditedConnection]:
    """The engine of the dialer, to do with it what no host does, and the other side's connection."""
    return engine_of(made.link), engine_of(made.far_link).connection


def touch(engine: QuicEngine) -> None:
    engine._touch()


# Sparse frames: memory for what was never sent.


def send_sparse(engine: QuicEngine, world: QuicWorld, rounds: int) -> None:
    """Send one byte at the very end of each stream's window, over and over as the window moves."""
    streams = engine._streams

    def last_byte(stream: QuicStream) -> QuicStreamFrame | None:
        offset = stream.max_stream_data_remote - 1
        if sent.get(stream.stream_id) == offset:
            stream.sender.buffer_is_empty = True
            return None
        sent[stream.stream_id] = offset
        return QuicStreamFrame(data=b"x", offset=offset)

    sent: dict[int | None, int] = {}
    for stream in streams:
        stream.sender.get_frame = lambda *_, stream=stream: last_byte(stream)  # type: ignore
    for _ in range(rounds):
        for stream in streams:
            stream.sender.buffer_is_empty = False
        touch(engine)
        world.run(0.1)


def sparse_growth(rounds: int) -> tuple[int, Pair]:
    world = QuicWorld()
    made = pair(world)
    engine, _far = quic(made)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        send_sparse(engine, world, rounds)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before, made


def test_t03_sparse_frames_make_a_host_keep_no_more_than_its_windows() -> None:
    growth, made = sparse_growth(30)
    assert growth < 8 * MIB
    buffers = [s.receiver._buffer for s in quic(made)[1]._streams.values()]
    assert sum(map(len, buffers)) <= STREAMS * STREAM_WINDOW_BYTES
    assert made.far_link.is_up


def test_t03_without_our_limits_the_same_frames_take_memory_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault that the test above is there for."""
    for name in ("_write_connection_limits", "_write_stream_limits"):
        monkeypatch.setattr(CreditedConnection, name, getattr(QuicConnection, name))
    growth, _ = sparse_growth(6)
    assert growth > 16 * MIB


def test_t03_a_peer_that_sends_a_stream_in_crumbs_is_dropped(made: Pair) -> None:
    """Every other byte: each is a range of its own, which costs more the more there are."""
    engine, far = quic(made)
    stream = engine._streams[1]
    crumbs = iter(range(1, 8_000, 2))
    stream.sender.get_frame = lambda *_: next(  # type: ignore[method-assign]
        (QuicStreamFrame(data=b"x", offset=at) for at in crumbs), None
    )
    stream.sender.buffer_is_empty = False
    for _ in range(8_000):
        touch(engine)
        made.world.run(0.001)
        stream.sender.buffer_is_empty = False
        if made.far_ear.down:
            break
    made.world.run(1)
    assert made.far_ear.whys == [Why.MALFORMED] and made.ear.whys == [Why.REFUSED]
    assert all(len(one.receiver._ranges) < 1_100 for one in far._streams.values())


def test_t03_a_stranger_that_sends_its_handshake_in_crumbs_is_dropped() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear)
    connection = CreditedConnection(configuration=configuration(None, LinkLimits()))
    target = far.endpoint.host_text, far.endpoint.port
    connection.connect(target, now=world.at.now_s)
    crumbs = iter(range(1_000, 20_000, 2))
    sender = connection._crypto_streams[tls.Epoch.INITIAL].sender
    sender.get_frame = lambda *_: next(  # type: ignore[method-assign]
        (QuicStreamFrame(data=b"x", offset=at) for at in crumbs), None
    )
    for _ in range(8_000):
        sender.buffer_is_empty = False
        connection._loss._cc.bytes_in_flight = 0
        for datagram, to in connection.datagrams_to_send(world.at.now_s):
            world.send(datagram, EVIL, to)
        world.run(0.0005)
        if ear.down:
            break
    assert ear.whys == [Why.MALFORMED] and ear.up == []


# What no host does on a stream.


@pytest.fixture
def made() -> Iterator[Pair]:
    yield pair(QuicWorld())


@pytest.mark.parametrize("number", [0, 2])
def test_t03_a_peer_that_opens_streams_is_dropped(made: Pair, number: int) -> None:
    engine, _ = quic(made)
    connection = engine.connection
    stream = connection._get_or_create_stream_for_send(number)
    stream.is_blocked = False
    stream.max_stream_data_remote = 100
    stream.sender.write(b"x")
    touch(engine)
    made.world.run(1)
    assert made.far_ear.down[0][1] == Down(Why.BROKEN, "QUIC error 0x4 Too many streams open")
    assert made.ear.down[0][1].why is Why.BROKEN


@pytest.mark.parametrize("how", ["end", "reset", "stop"])
def test_t03_a_peer_that_ends_a_stream_is_dropped(made: Pair, how: str) -> None:
    engine, _ = quic(made)
    connection, number = engine.connection, 5
    if how == "end":
        connection.send_stream_data(number, b"", end_stream=True)
    elif how == "reset":
        connection.reset_stream(number, 1)
    else:
        connection.stop_stream(number, 1)
    touch(engine)
    made.world.run(1)
    assert made.far_ear.whys == [Why.MALFORMED] and made.ear.whys == [Why.REFUSED]


def test_s06_a_peer_that_begins_too_large_a_frame_is_dropped(made: Pair) -> None:
    engine, _ = quic(made)
    engine.write(1, b"\xff\xff\xff\xff")
    made.world.run(1)
    assert made.far_ear.whys == [Why.MALFORMED] and made.ear.whys == [Why.REFUSED]


def test_s06_a_peer_that_sends_too_large_a_datagram_is_dropped(made: Pair) -> None:
    engine, _ = quic(made)
    engine.write_datagram(bytes(1_100))
    made.world.run(1)
    assert made.far_ear.whys == [Why.BROKEN]


def test_t03_a_peer_that_does_not_finish_a_frame_is_dropped_in_time(made: Pair) -> None:
    engine, _ = quic(made)
    engine.write(1, b"\0\0\x10\0and no more")
    made.world.run(58)
    assert made.far_ear.down == []
    made.world.run(5)
    assert made.far_ear.whys == [Why.STALLED]


def test_t03_a_peer_that_says_nonsense_on_the_control_stream_is_dropped(made: Pair) -> None:
    engine, _ = quic(made)
    engine.write(0, b"\0\0\0\x03\x09no")
    made.world.run(1)
    assert made.far_ear.whys == [Why.MALFORMED]


# TLS.


def dial_raw(
    world: QuicWorld, far: QuicListener, connection: QuicConnection, rounds: int = 10
) -> None:
    """Drive a plain aioquic client against a listener, without a host of its own."""
    target = (far.endpoint.host_text, far.endpoint.port)
    inbox: list[bytes] = []
    world.tap = lambda datagram, _, to: inbox.append(datagram) if to == EVIL else None
    if not connection._connect_called:
        connection.connect(target, now=world.at.now_s)
    for _ in range(rounds):
        for datagram, to in connection.datagrams_to_send(world.at.now_s):
            world.send(datagram, EVIL, to)
        world.run(0.01)
        for datagram in inbox:
            connection.receive_datagram(datagram, target, world.at.now_s)
        inbox.clear()


def test_s07_a_dialer_that_never_proves_itself_is_dropped_in_time_and_resumes_nothing() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear)
    tickets: list[object] = []
    plain = configuration(None, LinkLimits())
    connection = QuicConnection(configuration=plain, session_ticket_handler=tickets.append)
    dial_raw(world, far, connection)
    assert connection._handshake_complete and far.links == 1 and tickets == []
    world.run(11)
    assert ear.whys == [Why.NO_HANDSHAKE] and far.links == 0 and ear.up == []


def test_s07_a_dialer_that_says_something_before_its_proof_is_refused() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear)
    connection = QuicConnection(configuration=configuration(None, LinkLimits()))
    dial_raw(world, far, connection)
    connection.send_stream_data(1, cut(b"x"))
    dial_raw(world, far, connection)
    assert ear.whys == [Why.MALFORMED] and ear.frames == [] and ear.up == []


def test_s07_a_dialer_that_speaks_another_protocol_gets_nothing() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear)
    other = QuicConfiguration(alpn_protocols=["h3"])
    connection = QuicConnection(configuration=other)
    dial_raw(world, far, connection)
    assert not connection._handshake_complete and ear.up == [] and ear.whys == [Why.BROKEN]
    assert other.alpn_protocols != [ALPN]


def test_s07_no_store_of_authorities_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a store of authorities was asked for")

    monkeypatch.setattr(tls.certifi, "where", never)  # type: ignore[attr-defined]
    monkeypatch.setattr(tls, "verify_certificate", never)
    assert pair(QuicWorld()).link.is_up


def test_s07_a_hosts_key_does_not_leave_its_place() -> None:
    key = configuration(credentials(1), LinkLimits()).private_key
    for take in (key.private_bytes, key.private_bytes_raw):
        with pytest.raises(TypeError):
            take()


# Load.


def first_datagram() -> bytes:
    connection = CreditedConnection(configuration=configuration(None, LinkLimits()))
    connection.connect(("10.0.0.1", 4000), now=0.0)
    datagrams = connection.datagrams_to_send(0.0)
    return datagrams[0][0]


def test_t03_under_load_a_dialer_must_show_where_it_is() -> None:
    world = QuicWorld()
    made = pair(world, LinkLimits(retry_half_open=0))
    assert made.link.is_up and isinstance(made.far, QuicListener)
    assert made.far.counts["retries"] == 1


def test_t03_a_flood_of_first_datagrams_leaves_little_and_is_answered_with_less() -> None:
    world, ear = QuicWorld(), Ear()
    limits = LinkLimits(retry_half_open=4, half_open=8)
    far = world.listener(credentials(2), ear, limits)
    answered = [0, 0]

    def count(datagram: bytes, source: object, _to: object) -> None:
        answered[source == ("10.0.0.1", 4000)] += len(datagram)

    world.tap = count
    for number in range(200):
        source = (f"10.1.{number}.1", 5000)
        world.send(first_datagram(), source, ("10.0.0.1", 4000))
        world.run(0.002)
    assert far.links == limits.retry_half_open and far.counts["retries"] == 196
    world.run(30)
    assert far.links == 0 and answered[True] < 3 * answered[False]
    late = Ear()
    world.listener(credentials(3), late).dial_nowait(route_to(far, credentials(2)))
    world.run(1)
    assert late.up


def test_t03_one_ip_has_few_links_that_are_not_up() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear, LinkLimits(half_open_ip=3))
    for port in range(10):
        world.send(first_datagram(), ("10.1.1.1", 5000 + port), ("10.0.0.1", 4000))
        world.run(0.002)
    assert far.links == 3 and far.counts["links.refused"] == 7


def test_t03_a_forged_retry_token_is_refused() -> None:
    world, ear = QuicWorld(), Ear()
    far = world.listener(credentials(2), ear)
    forged = configuration(None, LinkLimits())
    forged.token = bytes(60)
    dial_raw(world, far, CreditedConnection(configuration=forged), rounds=1)
    assert far.counts["tokens.refused"] == 1 and far.links == 0


# Datagrams of all kinds.


@given(st.binary(min_size=1, max_size=1_300))
@settings(max_examples=200, deadline=None)
def test_p08_whatever_comes_as_a_datagram_is_dropped(datagram: bytes) -> None:
    world = QuicWorld()
    far = world.listener(credentials(2), Ear())
    world.send(datagram, EVIL, ("10.0.0.1", 4000))
    world.run(0.1)
    assert far.links == 0 and far.counts["datagrams.dropped"] == 1


@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_p08_changed_and_foreign_datagrams_do_not_harm_a_link(seed: int) -> None:
    world = QuicWorld(seed)
    made = pair(world)
    caught: list[bytes] = []
    world.tap = lambda datagram, *_: caught.append(datagram)
    made.link.send_nowait(1, bytes(5_000))
    world.run(0.2)
    world.tap = None
    noise = world._random
    target = made.far.endpoint.host_text, made.far.endpoint.port
    for _ in range(60):
        datagram = bytearray(noise.choice(caught))
        at = noise.randrange(len(datagram))
        datagram[at] ^= 1 << noise.randrange(8)
        world.send(bytes(datagram[: noise.randrange(1, len(datagram) + 1)]), EVIL, target)
    world.run(0.2)
    made.link.send_nowait(1, b"unharmed")
    made.far_link.send_nowait(1, b"and back")
    world.run(1)
    assert made.far_ear.of(1)[-1] == b"unharmed" and made.ear.of(1) == [b"and back"]
    assert made.ear.down == made.far_ear.down == []
