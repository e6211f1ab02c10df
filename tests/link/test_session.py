"""A session by itself, on an engine that only keeps what it is told."""

from dataclasses import dataclass, field

from avm.link.control import Accepted, Hello
from avm.link.frames import cut
from avm.link.handshake import Handshake, Shown
from avm.link.interface import Moment, Why
from avm.link.limits import CONTROL, NONCE_BYTES, LinkLimits
from avm.link.session import Session
from tests.link.worlds import NOW, Ear, credentials

NEVER_MS = 10**15


@dataclass
class Keeping:
    """An engine without a network."""

    written: list[tuple[int, bytes]] = field(default_factory=list)
    allowed: list[tuple[int, int]] = field(default_factory=list)
    pings: int = 0
    ends: list[bool] = field(default_factory=list)

    def shown(self) -> Shown | None:
        return Shown(credentials(2).key.public_key, 0, NEVER_MS)

    def write(self, stream: int, chunk: bytes) -> None:
        self.written.append((stream, chunk))

    def waiting_bytes(self, stream: int) -> int:
        return sum(len(chunk) for on, chunk in self.written if on == stream)

    def credit_bytes(self, stream: int) -> int:
        return 0

    def allow(self, stream: int, limit: int) -> None:
        self.allowed.append((stream, limit))

    def write_datagram(self, datagram: bytes) -> None:
        self.written.append((-1, datagram))

    def waiting_datagrams(self) -> int:
        return 0

    def ping(self) -> None:
        self.pings += 1

    def end(self, refused: bool) -> None:
        self.ends.append(refused)

    def round_trip_s(self) -> float:
        return 0.0

    def lost_packets(self) -> int:
        return 0

    def packet_bytes(self) -> int:
        return 0


def dialing() -> tuple[Session, Keeping, Ear]:
    """A dialer that has sent its proof and waits to hear that it was accepted."""
    engine, ear = Keeping(), Ear()
    handshake = Handshake.dialing(credentials(1), credentials(2).identity.address)
    session = Session(engine, ear, handshake, LinkLimits(), NOW)
    hello = Hello(credentials(2).proof, bytes(NONCE_BYTES))
    session.heard(CONTROL, cut(hello.to_bytes()))
    assert len(engine.written) == 1 and not session.is_up
    return session, engine, ear


def test_s04_what_overtakes_the_word_that_a_link_is_up_is_heard_after_it() -> None:
    session, _, ear = dialing()
    session.heard(1, cut(b"first")[:3])
    session.heard(1, cut(b"first")[3:] + cut(b"second"))
    assert ear.frames == [] and ear.up == []
    seen_up: list[bool] = []
    ear.on_frame = lambda *_: seen_up.append(bool(ear.up))
    session.heard(CONTROL, cut(Accepted().to_bytes()))
    assert ear.up == [session] and ear.frames == [(1, b"first"), (1, b"second")]
    assert seen_up == [True, True]


def test_t03_nothing_is_heard_of_a_link_after_its_end() -> None:
    session, engine, ear = dialing()
    session.heard(CONTROL, cut(Accepted().to_bytes()))
    ear.on_frame = lambda link, *_: link.close()
    session.heard(1, cut(b"one") + cut(b"two"))
    session.heard(2, cut(b"three"))
    session.heard_datagram(b"four")
    session.acknowledged()
    session.tick()
    assert ear.frames == [(1, b"one")] and ear.datagrams == []
    assert ear.whys == [Why.CLOSED] and engine.ends == [False]
    session.consumed(1, 3)


def test_s11_pings_keep_their_distance() -> None:
    session, engine, ear = dialing()
    session.heard(CONTROL, cut(Accepted().to_bytes()))
    for second in range(1, 30):
        session.at = Moment(NOW.now_s + second, NOW.now_ms + second * 1_000)
        session.tick()
    assert engine.pings == 2 and ear.down == []
    session.at = Moment(NOW.now_s + 30, NOW.now_ms + 30_000)
    session.tick()
    assert ear.whys == [Why.TIMED_OUT]


def test_a_session_shows_nothing_of_its_peer_but_the_start_of_its_address() -> None:
    session, _, _ = dialing()
    assert repr(session) == "<link PROVING ?>"
    session.heard(CONTROL, cut(Accepted().to_bytes()))
    assert repr(session) == f"<link UP {credentials(2).identity.address.hex()[:8]}>"
