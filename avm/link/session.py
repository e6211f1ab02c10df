"""A link over whichever engine carries it: handshake, frames, credit, certificates, deadlines. Pure.

Theory of operation. An `Engine` is one secure connection with fixed streams. A transport gives what
the engine received to the session's `heard...` methods and the time to `tick`; the session gives the
owner frames and writes to the engine. All that a link decides is decided here, for every transport.
"""

from typing import Protocol

from avm.link.control import OWNERS, OWNERS_PREFIX, Answer, Speaks, parse_control_untrusted
from avm.link.credit import Credit
from avm.link.errors import BadFrame, DatagramTooBig, FrameTooBig, LinkClosed, NoRoom
from avm.link.frames import HEADER_BYTES, Assembly, cut
from avm.link.handshake import Handshake, Refuse, Shown, Stage
from avm.link.interface import Down, Moment, Owner, Statistics, Why
from avm.link.limits import (
    CONTROL,
    DATAGRAM_BYTES_MAX,
    FRAME_BYTES_MAX,
    STREAMS,
    LinkLimits,
)
from avm.link.machines import Machines
from caps.certificate import Certificate
from caps.errors import Malformed
from caps.hostproof import HostProof
from caps.identity import Identity


class Engine(Protocol):
    """What carries a session: an encrypted connection, its server proven by a certificate."""

    def shown(self) -> Shown | None:
        """What the other side's certificate says; None on the side that was dialed."""

    def write(self, stream: int, chunk: bytes) -> None:
        """Take bytes to be carried in order."""

    def waiting_bytes(self, stream: int) -> int:
        """How much was written and has not yet been acknowledged."""

    def credit_bytes(self, stream: int) -> int:
        """How much more the peer's credit allows."""

    def allow(self, stream: int, limit: int) -> None:
        """Tell the peer how far in a stream it may send."""

    def write_datagram(self, datagram: bytes) -> None:
        """Take a datagram to be carried at most once."""

    def waiting_datagrams(self) -> int:
        """How many datagrams have not left."""

    def ping(self) -> None:
        """Have the other side answer without telling its owner."""

    def end(self, refused: bool) -> None:
        """Close the connection; the peer learns whether it was refused, and no more."""

    def round_trip_s(self) -> float:
        """The smoothed round trip."""

    def lost_packets(self) -> int:
        """How many packets were lost so far."""

    def packet_bytes(self) -> int:
        """How large packets are by now."""


class Session:
    """One side of a link; the `Link` that owners see."""

    __slots__ = (
        "_assemblies",
        "_credits",
        "_early",
        "_engine",
        "_handshake",
        "_heard_s",
        "_limits",
        "_lost_datagrams",
        "_machines",
        "_owner",
        "_partial_s",
        "_pinged_s",
        "_sent_bytes",
        "_short",
        "_started_s",
        "at",
        "dialed",
    )

    def __init__(
        self, engine: Engine, owner: Owner, handshake: Handshake, limits: LinkLimits, at: Moment
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._handshake = handshake
        self._limits = limits
        self.at = at
        self.dialed = handshake.stage is Stage.DIALING
        self._started_s = self._heard_s = self._pinged_s = at.now_s
        self._assemblies = [Assembly() for _ in range(STREAMS)]
        self._credits = [Credit() for _ in range(STREAMS)]
        self._partial_s = [at.now_s] * STREAMS
        self._short: set[int] = set()
        self._early = [bytearray() for _ in range(STREAMS)]
        self._machines = Machines(limits)
        self._sent_bytes = 0
        self._lost_datagrams = 0

    def __repr__(self) -> str:
        peer = self.peer
        return f"<link {self._handshake.stage.name} {peer.address.hex()[:8] if peer else '?'}>"

    # What the owner does.

    @property
    def peer(self) -> Identity | None:
        """The other host, proven; None until the link is up."""
        proof = self.proof
        return None if proof is None else proof.identity

    @property
    def proof(self) -> HostProof | None:
        """By which key the other host is proven; None until the link is up."""
        return self._handshake.peer if self.is_up else None

    @property
    def is_up(self) -> bool:
        """Whether frames can be sent."""
        return self._handshake.stage is Stage.UP

    @property
    def is_ended(self) -> bool:
        """Whether the link is over."""
        return self._handshake.stage is Stage.ENDED

    def room(self, stream: int) -> int:
        """How many bytes a frame sent now on that stream may have."""
        if not self.is_up:
            return 0
        free = self._limits.send_bytes - self._engine.waiting_bytes(stream)
        return min(FRAME_BYTES_MAX - 1, max(0, free - HEADER_BYTES - 1))

    def send_nowait(self, stream: int, frame: bytes) -> None:
        """Send a frame, in order on its stream; raises `FrameTooBig`, `NoRoom`, `LinkClosed`."""
        assert 0 <= stream < STREAMS, "there is no such stream"
        if not self.is_up:
            raise LinkClosed("the link is not up")
        if not 0 < len(frame) < FRAME_BYTES_MAX:
            raise FrameTooBig(f"a frame has 1 to {FRAME_BYTES_MAX - 1:,} bytes, not {len(frame):,}")
        room = self.room(stream)
        if len(frame) > room:
            self._short.add(stream)
            raise NoRoom(f"room for {room:,} bytes, not for {len(frame):,}")
        self._write(stream, OWNERS_PREFIX + frame if stream == CONTROL else frame)
        if room - len(frame) < self._limits.send_bytes // 2:
            self._short.add(stream)

    def send_datagram_nowait(self, datagram: bytes) -> bool:
        """Send a datagram, or tell that too many wait; raises `DatagramTooBig`, `LinkClosed`."""
        if not self.is_up:
            raise LinkClosed("the link is not up")
        if len(datagram) > DATAGRAM_BYTES_MAX:
            raise DatagramTooBig(f"a datagram has at most {DATAGRAM_BYTES_MAX:,} bytes")
        if self._engine.waiting_datagrams() >= self._limits.datagrams:
            self._lost_datagrams += 1
            return False
        self._engine.write_datagram(datagram)
        return True

    def consumed(self, stream: int, size: int, frames: int = 1) -> None:
        """Give the peer credit for frames that together have `size` bytes and are done with."""
        if self.is_ended:
            return
        around = HEADER_BYTES + (1 if stream == CONTROL else 0)
        self._consume(stream, size + frames * around)

    def prove_nowait(self, machine: Identity, certificate: Certificate) -> None:
        """Prove that this host speaks for a machine; the answer comes to the owner."""
        if not self.is_up:
            raise LinkClosed("the link is not up")
        frame = Speaks(machine, certificate).to_bytes()
        if len(frame) > self.room(CONTROL):
            self._short.add(CONTROL)
            raise NoRoom("no room for a certificate")
        self._write(CONTROL, frame)

    def speaks_for(self, machine: bytes, now_ms: int) -> bool:
        """Tell whether the peer has proven that it speaks for that machine, and still does."""
        return self.is_up and self._machines.speaks_for(machine, now_ms)

    def close(self) -> None:
        """End the link; the owner is told before this returns."""
        self._end(Down(Why.CLOSED))

    def statistics(self) -> Statistics:
        """How the link is doing."""
        engine = self._engine
        return Statistics(
            round_trip_s=engine.round_trip_s(),
            sent_bytes=self._sent_bytes,
            received_bytes=sum(credit.received_bytes for credit in self._credits),
            waiting_bytes=sum(engine.waiting_bytes(stream) for stream in range(STREAMS)),
            unconsumed_bytes=sum(credit.unconsumed_bytes for credit in self._credits),
            credit_bytes=sum(engine.credit_bytes(stream) for stream in range(STREAMS)),
            lost_packets=engine.lost_packets(),
            packet_bytes=engine.packet_bytes(),
            lost_datagrams=self._lost_datagrams,
            machines=len(self._machines),
        )

    # What the transport tells.

    def begin(self) -> None:
        """The engine can write: the side that was dialed says who it is."""
        opening = self._handshake.opening()
        if opening is not None:
            self._write(CONTROL, opening)

    def heard(self, stream: int, chunk: bytes) -> None:
        """The next bytes of a stream have come."""
        if self.is_ended:
            return
        now_s = self.at.now_s
        self._heard_s = self._partial_s[stream] = now_s
        self._credits[stream].received_bytes += len(chunk)
        if stream == CONTROL or self.is_up:
            self._take(stream, chunk)
        elif self._handshake.stage is Stage.PROVING:
            # The peer is up already; its word that we are was lost, and comes again.
            self._early[stream] += chunk
        else:
            self.violated("a frame before its proof")

    def _take(self, stream: int, chunk: bytes) -> None:
        try:
            frames = self._assemblies[stream].feed_untrusted(chunk)
        except BadFrame as error:
            self.violated(str(error))
            return
        for frame in frames:
            if stream == CONTROL:
                self._hear_control(frame)
            else:
                self._owner.frame(self, stream, frame)
            if self.is_ended:
                return

    def heard_datagram(self, datagram: bytes) -> None:
        """A datagram has come; before the link is up it is nobody's."""
        self._heard_s = self.at.now_s
        if not self.is_up:
            return
        if len(datagram) > DATAGRAM_BYTES_MAX:
            self.violated(f"a datagram of {len(datagram):,} bytes")
            return
        self._owner.datagram(self, datagram)

    def heard_ping(self) -> None:
        """The peer has answered a ping."""
        self._heard_s = self.at.now_s

    def acknowledged(self) -> None:
        """Some of what was written may have left: tells the owner of room that came back."""
        if not self._short:
            return
        half = self._limits.send_bytes // 2
        for stream in sorted(self._short):
            if self.is_up and self._engine.waiting_bytes(stream) <= half:
                self._short.discard(stream)
                self._owner.has_room(self, stream)

    def ended(self, down: Down) -> None:
        """The connection is gone."""
        self._finish(down)

    def violated(self, what: str) -> None:
        """The peer has done what no host does."""
        self._refuse(Refuse(Why.MALFORMED, what))

    def tick(self) -> None:
        """Look at the deadlines, and keep the link alive."""
        now_s, limits = self.at.now_s, self._limits
        if self.is_ended:
            return
        if not self.is_up:
            if now_s - self._started_s >= limits.handshake_s:
                self._end(Down(Why.NO_HANDSHAKE))
            return
        if now_s - self._heard_s >= limits.idle_s:
            self._end(Down(Why.TIMED_OUT))
        elif any(self._is_stalled(stream) for stream in range(STREAMS)):
            self._end(Down(Why.STALLED))
        elif now_s - max(self._heard_s, self._pinged_s) >= limits.keep_alive_s:
            self._pinged_s = now_s
            self._engine.ping()

    def wake_s(self) -> float:
        """When `tick` is due next, at the latest."""
        limits = self._limits
        if not self.is_up:
            return self._started_s + limits.handshake_s
        due = min(
            self._heard_s + limits.idle_s,
            max(self._heard_s, self._pinged_s) + limits.keep_alive_s,
        )
        for stream in range(STREAMS):
            if self._can_stall(stream):
                due = min(due, self._partial_s[stream] + limits.stall_s)
        return due

    # Inside.

    def _can_stall(self, stream: int) -> bool:
        """Whether part of a frame has come, and all of it could: the owner holds nothing back."""
        partial = self._assemblies[stream].partial_bytes
        return bool(partial) and self._credits[stream].unconsumed_bytes == partial

    def _is_stalled(self, stream: int) -> bool:
        late = self.at.now_s - self._partial_s[stream] >= self._limits.stall_s
        return late and self._can_stall(stream)

    def _hear_control(self, frame: bytes) -> None:
        if frame[0] == OWNERS and self.is_up and len(frame) > 1:
            self._owner.frame(self, CONTROL, frame[1:])
            return
        self._consume(CONTROL, HEADER_BYTES + len(frame))
        try:
            said = parse_control_untrusted(frame)
            shown = self._engine.shown() if self.dialed else None
            answer = self._handshake.hear(said, shown, self.at.now_ms)
            if answer is not None:
                self._write(CONTROL, answer)
            if isinstance(said, Speaks):
                self._hear_machine(said)
            elif isinstance(said, Answer):
                self._owner.answered(self, said.machine, said.accepted)
            elif self.is_up:
                self._up()
        except Malformed as error:
            self.violated(str(error))
        except Refuse as refuse:
            self._refuse(refuse)

    def _up(self) -> None:
        self._owner.link_up(self)
        early, self._early = self._early, []
        for stream, chunk in enumerate(early):
            if chunk and self.is_up:
                self._take(stream, bytes(chunk))

    def _hear_machine(self, said: Speaks) -> None:
        assert self._handshake.peer is not None
        accepted = self._machines.hear(said, self._handshake.peer, self.at.now_ms)
        self._answer(said.machine.address, accepted)
        if accepted and self.is_up:
            self._owner.speaks(self, said.machine.address)

    def _answer(self, machine: bytes, accepted: bool) -> None:
        frame = Answer(machine, accepted).to_bytes()
        if self._engine.waiting_bytes(CONTROL) + len(frame) > self._limits.send_bytes:
            self._refuse(Refuse(Why.FLOODED, "answers that are not fetched"))
            return
        self._write(CONTROL, frame)

    def _write(self, stream: int, frame: bytes) -> None:
        self._sent_bytes += HEADER_BYTES + len(frame)
        self._engine.write(stream, cut(frame))

    def _consume(self, stream: int, count: int) -> None:
        credit = self._credits[stream]
        if credit.consume(count):
            self._engine.allow(stream, credit.limit)

    def _refuse(self, refuse: Refuse) -> None:
        self._finish(Down(refuse.why, refuse.detail), refused=True)

    def _end(self, down: Down) -> None:
        self._finish(down, refused=False)

    def _finish(self, down: Down, refused: bool | None = None) -> None:
        """End once: the engine first, unless it has ended by itself, then tell the owner."""
        if self.is_ended:
            return
        self._handshake.stage = Stage.ENDED
        if refused is not None:
            self._engine.end(refused)
        self._early.clear()
        self._machines = Machines(self._limits)
        self._owner.link_down(self, down)
