"""What a host that others can reach does for those that they cannot: introduces them to each other. Pure.

It tells each of the two where it sees the other, on the links that both keep to it, and a nonce that
no third party has. Where nothing comes through, it relays, if it may.
"""

from collections import Counter
from collections.abc import Callable

from avm.nat.effects import Effect, SendAside, Tell, Way
from avm.nat.frames import Apart, Enlisted, Meeting, NoRelay, Relaying
from avm.nat.limits import MEETING_S, MEETINGS_MAX, NONCE_BYTES, PROBES, NatLimits
from avm.nat.packets import Probe
from avm.nat.relay import RelayingHost
from avm.nat.seats import Seat
from caps.identity import Endpoint
from caps.light import dataclass


@dataclass(slots=True)
class Introduction:
    """Two links whose hosts were introduced, until when that holds, and whether it is relayed for."""

    asker: int
    other: int
    until_s: float
    relayed: bool = False

    def is_open_to(self, seat: Seat, now_s: float) -> bool:
        """Whether this link may ask for a relay: once."""
        return now_s < self.until_s and self.asker == seat.number and not self.relayed


class Introducer:
    """Introductions by this host."""

    __slots__ = ("_allowed", "_counts", "_entropy", "_made", "_out", "_seats", "relay")

    def __init__(
        self,
        allowed: NatLimits,
        entropy: Callable[[int], bytes],
        seats: dict[int, Seat],
        counts: Counter[str],
        out: list[Effect],
    ) -> None:
        self.relay = RelayingHost(allowed, entropy, counts, out)
        self._allowed = allowed
        self._entropy = entropy
        self._seats = seats
        self._counts = counts
        self._out = out
        self._made: dict[bytes, Introduction] = {}

    def enlist(self, seat: Seat, willing: bool) -> None:
        """A peer asks to be introduced; `willing`: this host is one that can be reached."""
        enlisted = sum(one.enlisted for one in self._seats.values())
        room = seat.enlisted or enlisted < self._allowed.introduced
        accepted = willing and room and not seat.dialed and seat.way is Way.DIRECT
        self._counts["enlisted" if accepted else "enlisted.refused"] += 1
        seat.enlisted = accepted
        self._tell(seat, Enlisted(accepted).to_bytes())

    def try_out(self, seat: Seat, nonce: bytes, now_s: float) -> None:
        """A peer wants to know whether it is reached unasked."""
        if seat.dialed or seat.way is not Way.DIRECT or not seat.meets.take(now_s):
            self._counts["tries.refused"] += 1
            return
        self._out.append(SendAside((Probe(nonce).to_bytes(),) * PROBES, seat.endpoint))

    def meet(self, seat: Seat, host: bytes, now_s: float) -> None:
        """A peer asks to be introduced to a host."""
        other = self._enlisted(host)
        for nonce in [one for one, made in self._made.items() if made.until_s <= now_s]:
            del self._made[nonce]
        may = seat.meets.take(now_s) and seat.way is Way.DIRECT and seat.peer != host
        if other is None or not may or len(self._made) >= MEETINGS_MAX:
            self._counts["introductions.refused"] += 1
            self._tell(seat, Apart(host).to_bytes())
            return
        nonce = self._entropy(NONCE_BYTES)
        self._made[nonce] = Introduction(seat.number, other.number, now_s + MEETING_S)
        self._counts["introductions"] += 1
        self._tell(other, Meeting(nonce, seat.peer, seat.endpoint, True).to_bytes())
        self._tell(seat, Meeting(nonce, host, other.endpoint, False).to_bytes())

    def relay_for(self, seat: Seat, nonce: bytes, now_s: float) -> None:
        """The one who asked for an introduction asks for a relay: nothing came through."""
        made = self._made.get(nonce)
        other = None if made is None else self._seats.get(made.other)
        tokens = None
        if made is not None and other is not None and made.is_open_to(seat, now_s):
            made.relayed = True
            tokens = self.relay.begin(_place(seat), _place(other), now_s)
        if other is None or tokens is None:
            self._tell(seat, NoRelay(nonce).to_bytes())
            return
        self._tell(other, Relaying(nonce, tokens[1]).to_bytes())
        self._tell(seat, Relaying(nonce, tokens[0]).to_bytes())

    def _enlisted(self, host: bytes) -> Seat | None:
        found = [one for one in self._seats.values() if one.enlisted and one.peer == host]
        return found[-1] if found else None

    def _tell(self, seat: Seat, frame: bytes) -> None:
        self._out.append(Tell(seat.number, frame))


def _place(seat: Seat) -> tuple[bytes, Endpoint]:
    return seat.peer, seat.endpoint
