"""Relaying for two hosts that cannot reach each other: packets by token, counted and bounded. Pure.

Theory of operation. Each end has a token of its own, which came over its link; what is sent here
under it goes on to the other end under the other token. Where an end is, its last packet says: it
may change. A relay sees packets of QUIC's, encrypted between the two ends, and who talks to whom.
"""

from collections import Counter
from collections.abc import Callable

from avm.nat.bucket import Bucket
from avm.nat.effects import Effect, Send
from avm.nat.limits import NONCE_BYTES, SESSIONS_A_HOST, TUNNEL_IDLE_S, NatLimits
from avm.nat.packets import Relayed
from caps.identity import Endpoint
from caps.light import dataclass

# What may go at once, in seconds of the rate.
BURST_S = 1.0


@dataclass(slots=True)
class End:
    """One end of a session: its token, and where it was last."""

    token: bytes
    host: bytes
    endpoint: Endpoint


@dataclass(slots=True)
class Session:
    """Two ends, and the bytes that may go; `used_s` is when the last packet came."""

    ends: tuple[End, End]
    bytes: Bucket
    used_s: float


class RelayingHost:
    """All that is relayed here."""

    __slots__ = ("_allowed", "_by_token", "_counts", "_entropy", "_out")

    def __init__(
        self,
        allowed: NatLimits,
        entropy: Callable[[int], bytes],
        counts: Counter[str],
        out: list[Effect],
    ) -> None:
        self._allowed = allowed
        self._entropy = entropy
        self._counts = counts
        self._out = out
        self._by_token: dict[bytes, tuple[Session, int]] = {}

    def __len__(self) -> int:
        return len(self._by_token) // 2

    def begin(
        self, asker: tuple[bytes, Endpoint], other: tuple[bytes, Endpoint], now_s: float
    ) -> tuple[bytes, bytes] | None:
        """Relay between two hosts that are at these endpoints; their tokens, None for no room."""
        self.sweep(now_s)
        for session in self._sessions():
            if {end.host for end in session.ends} == {asker[0], other[0]}:
                self._forget(session)
        of_asker = sum(asker[0] in (end.host for end in one.ends) for one in self._sessions())
        if len(self) >= self._allowed.relays or of_asker >= SESSIONS_A_HOST:
            self._counts["relays.refused"] += 1
            return None
        ends = tuple(End(self._entropy(NONCE_BYTES), *place) for place in (asker, other))
        rate = self._allowed.relay_bytes_s
        session = Session((ends[0], ends[1]), Bucket(rate * BURST_S, rate, now_s), now_s)
        for side, end in enumerate(ends):
            self._by_token[end.token] = (session, side)
        self._counts["relays.begun"] += 1
        return ends[0].token, ends[1].token

    def take(self, packet: Relayed, source: Endpoint, now_s: float) -> bool:
        """Pass a packet on, if it is of a session here and within its rate."""
        found = self._by_token.get(packet.token)
        if found is None:
            return False
        session, side = found
        session.ends[side].endpoint = source
        session.used_s = now_s
        if not session.bytes.take(now_s, len(packet.packet)):
            self._counts["relayed.dropped"] += 1
            return True
        self._counts["relayed.bytes"] += len(packet.packet)
        other = session.ends[1 - side]
        datagram = Relayed(other.token, packet.packet).to_bytes()
        self._out.append(Send(datagram, other.endpoint))
        return True

    def sweep(self, now_s: float) -> None:
        """Forget the sessions on which nothing came for long."""
        for session in self._sessions():
            if now_s - session.used_s >= TUNNEL_IDLE_S:
                self._forget(session)

    def _forget(self, session: Session) -> None:
        for end in session.ends:
            del self._by_token[end.token]

    def _sessions(self) -> list[Session]:
        return [session for session, side in self._by_token.values() if side == 0]
