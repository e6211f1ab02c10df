"""Meetings of this host with others, as the one who asked for them or as the one asked for. Pure.

Theory of operation. The asker needs a link to an introducer, asks it, and is told where the other
is; the other is told the same. Both send plain datagrams there, a few, which opens the way out of
each router for what comes the other way. The asker dials when one of its own is answered, at the
endpoint that the answer came from. When none is, it asks the introducer to relay.

    SEEKING --link--> ASKED --meeting--> PUNCHING --answer--> OPEN
                                            |--none--> RELAYING --token--> OPEN
"""

from collections import Counter
from enum import Enum, auto
from typing import TypeVar

from avm.nat import frames
from avm.nat.effects import DialAt, Effect, NotMet, Send, Tell, Through, Way
from avm.nat.limits import (
    ASK_S,
    MEETING_S,
    MEETINGS_MAX,
    PACKETS_MAX,
    PINGS_S,
    PUNCH_S,
    SEEK_S,
)
from avm.nat.packets import Punch
from avm.nat.seats import Help, Seat, can_be_sent_to
from avm.nat.tunnels import Tunnels
from caps.identity import Endpoint, Route
from caps.light import dataclass, field

T = TypeVar("T")
# Gives a way through a relay: at this endpoint, under this token.


class Phase(Enum):
    """How far a meeting is."""

    SEEKING = auto()
    ASKED = auto()
    PUNCHING = auto()
    RELAYING = auto()
    OPEN = auto()


@dataclass(slots=True)
class Met:
    """One meeting. `asked`: this host is the one asked for; `old`: the links that a new one replaces.

    `spare`: there is a link; `may_relay`: a relay will do. Until `due_s` something is waited for.
    `opened`: where the other end is met, once something came through.
    """

    host: bytes
    asked: bool
    due_s: float
    vias: list[Route] = field(default_factory=list)
    spare: bool = False
    may_relay: bool = True
    phase: Phase = Phase.SEEKING
    nonce: bytes = b""
    via: Route | None = None
    link: int = 0
    target: Endpoint | None = None
    began_s: float = 0.0
    pings: int = 0
    packets: int = 0
    old: tuple[int, ...] = ()
    opened: Endpoint | None = None


class Meetings:
    """All meetings of a host."""

    __slots__ = (
        "_by_nonce",
        "_counts",
        "_out",
        "_seats",
        "_tunnels",
        "_wanted",
        "replaced",
        "through",
    )

    def __init__(
        self, seats: dict[int, Seat], tunnels: Tunnels, counts: Counter[str], out: list[Effect]
    ) -> None:
        self._seats = seats
        self._tunnels = tunnels
        self._counts = counts
        self._out = out
        self._wanted: dict[bytes, Met] = {}
        self._by_nonce: dict[bytes, Met] = {}
        self.through: dict[bytes, Route] = {}
        self.replaced: dict[bytes, tuple[int, ...]] = {}

    # As the asker.

    def want(
        self,
        host: bytes,
        vias: list[Route],
        now_s: float,
        spare: bool = False,
        may_relay: bool = True,
    ) -> None:
        """Meet a host, introduced by one of these; one that is on its way already is joined."""
        met = self._wanted.get(host)
        if met is not None:
            met.spare, met.may_relay = met.spare and spare, met.may_relay or may_relay
            return
        if len(self._wanted) >= MEETINGS_MAX:
            self._out.append(NotMet(host, "too many meetings at once"))
            return
        met = Met(host, False, now_s, list(vias), spare, may_relay, old=self._links_of(host))
        self._wanted[host] = met
        self._next_via(met, now_s)

    def _links_of(self, host: bytes) -> tuple[int, ...]:
        met = [one for one in self._seats.values() if one.way is not Way.DIRECT]
        return tuple(one.number for one in met if one.peer == host)

    def _next_via(self, met: Met, now_s: float) -> None:
        self._by_nonce.pop(met.nonce, None)
        met.nonce = b""
        if not met.vias:
            self._end(met, "nobody introduces it now")
            return
        met.via = via = met.vias.pop(0)
        met.phase, met.due_s = Phase.SEEKING, now_s + SEEK_S
        seat = self._seat_of(via.address)
        if seat is None:
            self._out.append(Through(via))
        else:
            self._ask(met, seat, now_s)

    def _seat_of(self, peer: bytes) -> Seat | None:
        found = [one for one in self._seats.values() if one.peer == peer and one.way is Way.DIRECT]
        return found[-1] if found else None

    def _ask(self, met: Met, seat: Seat, now_s: float) -> None:
        met.phase, met.due_s, met.link = Phase.ASKED, now_s + ASK_S, seat.number
        self._out.append(Tell(seat.number, frames.Meet(met.host).to_bytes()))

    def linked(self, seat: Seat, now_s: float) -> None:
        """A link is up: those that waited for it go on."""
        for met in list(self._wanted.values()):
            is_via = met.via is not None and met.via.address == seat.peer
            if met.phase is Phase.SEEKING and is_via and seat.way is Way.DIRECT:
                self._ask(met, seat, now_s)

    def not_through(self, via: bytes, now_s: float) -> None:
        """A link to an introducer could not be made."""
        for met in list(self._wanted.values()):
            if met.phase is Phase.SEEKING and met.via is not None and met.via.address == via:
                self._next_via(met, now_s)

    def hear_apart(self, seat: Seat, host: bytes, now_s: float) -> None:
        """The introducer knows no such host."""
        met = self._wanted.get(host)
        if met is not None and met.phase is Phase.ASKED and met.link == seat.number:
            self._next_via(met, now_s)

    def hear_no_relay(self, seat: Seat, nonce: bytes, now_s: float) -> None:
        """The introducer does not relay."""
        met = self._by_nonce.get(nonce)
        if met is not None and met.phase is Phase.RELAYING and met.link == seat.number:
            self._next_via(met, now_s)

    def _end(self, met: Met, why: str) -> None:
        self._wanted.pop(met.host, None)
        self._by_nonce.pop(met.nonce, None)
        self._counts["meetings.failed"] += 1
        if not met.spare:
            self._out.append(NotMet(met.host, why))

    # As either.

    def hear_meeting(self, seat: Seat, said: frames.Meeting, now_s: float) -> None:
        """An introduction."""
        met = None if said.asked else self._wanted.get(said.host)
        if said.asked and self._takes(seat, now_s):
            met = Met(said.host, True, now_s, phase=Phase.ASKED, link=seat.number)
            met.old = self._links_of(said.host)
        is_known = said.nonce in self._by_nonce
        if met is None or met.phase is not Phase.ASKED or met.link != seat.number or is_known:
            self._counts["introductions.stray"] += 1
            return
        # Nothing is sent to where nothing may be; the other may still be heard from, or be relayed.
        may_be_sent_to = can_be_sent_to(said.endpoint, seat.endpoint)
        met.target = said.endpoint if may_be_sent_to else None
        met.nonce, met.phase = said.nonce, Phase.PUNCHING
        met.via, met.began_s, met.pings, met.packets = seat.route, now_s, 0, 0
        self._by_nonce[met.nonce] = met
        _keep(self.through, met.host, seat.route)
        self._counts["meetings"] += 1
        self._punch(met, now_s)

    def _takes(self, seat: Seat, now_s: float) -> bool:
        """Whether this host is introduced by the other end of a link, and has room."""
        has_room = len(self._by_nonce) < MEETINGS_MAX
        return seat.help is Help.AGREED and has_room and seat.asks.take(now_s)

    def _punch(self, met: Met, now_s: float) -> None:
        """Send the pings that are due; after the last, see what becomes of it."""
        passed_s = now_s - met.began_s
        while met.pings < len(PINGS_S) and passed_s >= PINGS_S[met.pings]:
            met.pings += 1
            self._send(met, Punch(met.nonce, met.asked), met.target)
        if met.pings < len(PINGS_S):
            met.due_s = met.began_s + PINGS_S[met.pings]
        elif met.asked:
            self._open(met, None)
        elif passed_s < PUNCH_S:
            met.due_s = met.began_s + PUNCH_S
        elif not met.may_relay:
            self._end(met, "nothing came through")
        else:
            met.phase, met.due_s = Phase.RELAYING, now_s + ASK_S
            self._out.append(Tell(met.link, frames.Relay(met.nonce).to_bytes()))

    def _send(self, met: Met, punch: Punch, where: Endpoint | None) -> None:
        if where is None or met.packets >= PACKETS_MAX:
            self._counts["punches.unsent"] += 1
            return
        met.packets += 1
        self._out.append(Send(punch.to_bytes(), where))

    def hear_punch(self, punch: Punch, source: Endpoint) -> None:
        """A datagram of the other end; what is of no meeting here is counted and dropped."""
        met = self._by_nonce.get(punch.nonce)
        if met is None or punch.asked == met.asked:
            self._counts["punches.stray"] += 1
            return
        # It came from there, whatever the introducer saw: a router may use another port for us.
        met.target = source
        if not punch.answers:
            self._send(met, Punch(met.nonce, met.asked, True), source)
            if met.phase is Phase.PUNCHING and not met.asked:
                self._send(met, Punch(met.nonce, False), source)
        if met.asked:
            self._open(met, source)
        elif punch.answers and met.phase is Phase.PUNCHING:
            self._open(met, source)
            self._out.append(DialAt(met.host, source, met.spare))

    def _open(self, met: Met, at: Endpoint | None) -> None:
        met.phase, met.due_s = Phase.OPEN, met.began_s + MEETING_S
        if self._wanted.get(met.host) is met:
            del self._wanted[met.host]
        if at is not None:
            met.opened = at
        _keep(self.replaced, met.host, met.old)

    def has_opened(self, host: bytes, at: Endpoint, dialed: bool) -> bool:
        """Tell whether a new link to a host is what a meeting opened the way for; its asker dials.

        A host that others reach is met where they dial it unasked: that is no punched link.
        """
        held = [met for met in self._by_nonce.values() if met.host == host and met.opened == at]
        return any(met.asked != dialed for met in held)

    def hear_relaying(self, seat: Seat, nonce: bytes, token: bytes, now_s: float) -> None:
        """The introducer relays."""
        met = self._by_nonce.get(nonce)
        waits = met is not None and (met.asked or met.phase is Phase.RELAYING)
        if met is None or met.link != seat.number or not waits:
            self._counts["introductions.stray"] += 1
            return
        self._open(met, None)
        tunnel = self._tunnels.dig(seat.endpoint, token, now_s)
        if not met.asked:
            self._out.append(DialAt(met.host, tunnel, met.spare))

    # Time.

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        for met in {id(one): one for one in self._all()}.values():
            if met.due_s > now_s:
                continue
            match met.phase:
                case Phase.PUNCHING:
                    self._punch(met, now_s)
                case Phase.OPEN:
                    self._by_nonce.pop(met.nonce, None)
                case Phase.SEEKING | Phase.ASKED | Phase.RELAYING:
                    self._next_via(met, now_s)

    def next_wake_s(self) -> float | None:
        """When `tick` is due."""
        return min((met.due_s for met in self._all()), default=None)

    def _all(self) -> list[Met]:
        return [*self._wanted.values(), *self._by_nonce.values()]


def _keep(table: dict[bytes, T], host: bytes, value: T) -> None:
    table.pop(host, None)
    table[host] = value
    if len(table) > MEETINGS_MAX:
        del table[next(iter(table))]
