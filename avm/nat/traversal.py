"""The ways round routers as one sans-IO object: frames, packets, links and time in, effects out. Pure.

Beside step 7 of the journey, where an outbox looks for a link. A host is any of three here: one that
others do not reach unasked, one that wants to reach such a host, and one that both of these know.
`take_effects` gives what is to be done since the last call; times are monotonic seconds.
"""

from collections import Counter
from collections.abc import Callable

from avm.nat import frames
from avm.nat.bucket import Bucket
from avm.nat.effects import Effect, Hidden, Retire, Tell, Way
from avm.nat.introducer import Introducer
from avm.nat.limits import (
    MOVE_BURST,
    MOVE_RATE_S,
    UPGRADE_S_MAX,
    NatLimits,
)
from avm.nat.meetings import Meetings
from avm.nat.packets import Probe, Punch, Relayed, parse_packet_untrusted
from avm.nat.seats import Seat
from avm.nat.standing import Standing
from avm.nat.tunnels import Tunnels
from caps.errors import Malformed
from caps.identity import Endpoint, Route


class Traversal:
    """A host's ways round routers."""

    __slots__ = (
        "_address",
        "_introducer",
        "_meetings",
        "_moves",
        "_out",
        "_seats",
        "_tunnels",
        "_upgrade_s",
        "_upgrades",
        "counts",
        "standing",
    )

    def __init__(
        self,
        address: bytes,
        own: Endpoint | None,
        entropy: Callable[[int], bytes],
        allowed: NatLimits,
        fixed: bool = False,
        known: tuple[Route, ...] = (),
    ) -> None:
        """`own` is where it listens, None for everywhere; `fixed`: it is what the operator announces.

        `known` are hosts that may be asked to introduce it.
        """
        self._address = address
        self._upgrade_s = allowed.upgrade_s
        self.counts: Counter[str] = Counter()
        self._out: list[Effect] = []
        self._seats: dict[int, Seat] = {}
        self._tunnels = Tunnels(self._out)
        self._upgrades: dict[int, tuple[float, float]] = {}
        self._moves = Bucket(MOVE_BURST, MOVE_RATE_S, 0.0)
        self.standing = Standing(own, fixed, known, entropy, self._seats, self._out)
        self._introducer = Introducer(allowed, entropy, self._seats, self.counts, self._out)
        self._meetings = Meetings(self._seats, self._tunnels, self.counts, self._out)

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last call, in order."""
        effects = self._out[:]
        self._out.clear()
        return effects

    def way_of(self, link: int) -> Way:
        """How packets of a link go."""
        seat = self._seats.get(link)
        return Way.DIRECT if seat is None else seat.way

    def endpoint_of(self, link: int) -> Endpoint | None:
        """Where the other end of a link is, or its relay."""
        seat = self._seats.get(link)
        return None if seat is None else seat.endpoint

    @property
    def relayed_sessions(self) -> int:
        """How many sessions are relayed here."""
        return len(self._introducer.relay)

    # Links.

    def link_up(
        self, link: int, peer: bytes, dialed: bool, at: Endpoint | int, now_s: float
    ) -> Way:
        """A link is up, to a host at an endpoint or by the tunnel of that number."""
        way, endpoint = Way.DIRECT, at
        if isinstance(endpoint, int):
            tunnel = self._tunnels.get(endpoint)
            if tunnel is None:  # filled meanwhile: nothing will come by this link
                return Way.RELAYED
            way, endpoint = Way.RELAYED, tunnel.relay
        elif self._meetings.has_opened(peer, endpoint, dialed):
            way = Way.PUNCHED
        seat = self._seats[link] = Seat(link, peer, dialed, way, endpoint)
        self._retire_old(seat)
        if way is Way.DIRECT and not dialed:
            self._out.append(Tell(link, frames.Seen(endpoint).to_bytes()))
        if way is Way.RELAYED and dialed:
            self._upgrades[link] = (now_s + self._upgrade_s, self._upgrade_s)
        self._meetings.linked(seat, now_s)
        return way

    def neighbours(self) -> tuple[Endpoint, ...]:
        """Where the other ends of the links are, or what relays them."""
        return tuple(dict.fromkeys(seat.endpoint for seat in self._seats.values()))

    def _retire_old(self, new: Seat) -> None:
        """A link to the same host has a better one beside it, or one that was made in its place."""
        old = () if new.way is Way.DIRECT else self._meetings.replaced.pop(new.peer, ())
        for seat in list(self._seats.values()):
            is_worse = seat.way is Way.RELAYED and new.way is not Way.RELAYED
            if seat.peer == new.peer and (is_worse or seat.number in old) and seat is not new:
                self._out.append(Retire(seat.number))

    def link_moved(self, link: int, endpoint: Endpoint) -> None:
        """The other end of a link is at another endpoint now."""
        seat = self._seats.get(link)
        if seat is None or seat.way is Way.RELAYED or seat.endpoint == endpoint:
            return
        seat.endpoint = endpoint
        if seat.way is Way.DIRECT and not seat.dialed:
            self._out.append(Tell(link, frames.Seen(endpoint).to_bytes()))

    def link_down(self, link: int, now_s: float) -> None:
        """A link is gone."""
        seat = self._seats.pop(link, None)
        self._upgrades.pop(link, None)
        if seat is not None:
            self.standing.lost(seat, now_s)

    def hear_untrusted(self, link: int, frame: bytes, local: Endpoint, now_s: float) -> None:
        """Take a frame of a link; raises `Malformed`. `local`: what this host has as its own there."""
        said = frames.parse_frame_untrusted(frame)
        seat = self._seats.get(link)
        if seat is None:
            return
        match said:
            case frames.Seen(endpoint):
                if self.standing.hear_seen(seat, local, endpoint, now_s):
                    self._moved(now_s)
            case frames.Try(nonce):
                self._introducer.try_out(seat, nonce, now_s)
            case frames.Hide():
                if not seat.dialed and seat.way is Way.DIRECT:
                    self._out.append(Hidden(link))
            case frames.Enlist():
                self._introducer.enlist(seat, not self.standing.is_hidden)
            case frames.Enlisted(accepted):
                self.standing.hear_enlisted(seat, accepted, now_s)
            case frames.Meet(host):
                self._introducer.meet(seat, host, now_s)
            case frames.Meeting():
                self._meetings.hear_meeting(seat, said, now_s)
            case frames.Apart(host):
                self._meetings.hear_apart(seat, host, now_s)
            case frames.Relay(nonce):
                self._introducer.relay_for(seat, nonce, now_s)
            case frames.Relaying(nonce, token):
                self._meetings.hear_relaying(seat, nonce, token, now_s)
            case frames.NoRelay(nonce):
                self._meetings.hear_no_relay(seat, nonce, now_s)

    def _moved(self, now_s: float) -> None:
        """Others see this host elsewhere than before: ways that were punched lead nowhere now."""
        if not self._moves.take(now_s):
            return
        self.counts["moved"] += 1
        for seat in list(self._seats.values()):
            via = self._meetings.through.get(seat.peer)
            if seat.way is Way.PUNCHED and via is not None:
                self._meetings.want(seat.peer, [via], now_s, spare=True)
        for link, (_, apart_s) in self._upgrades.items():
            self._upgrades[link] = (now_s, apart_s)

    # Ways to hosts.

    def meet(self, host: bytes, vias: list[Route], now_s: float) -> None:
        """Open a way to a host that is introduced by one of these: `DialAt` or `NotMet` follows."""
        others = [via for via in vias if via.address not in (self._address, host)]
        self._meetings.want(host, others, now_s)

    def not_through(self, via: bytes, now_s: float) -> None:
        """A link to an introducer could not be made."""
        self._meetings.not_through(via, now_s)

    def receive_untrusted(self, datagram: bytes, source: Endpoint, now_s: float) -> None:
        """Take a datagram; what is nobody's is counted and dropped."""
        try:
            packet = parse_packet_untrusted(datagram)
        except Malformed:
            self.counts["punches.malformed"] += 1
            return
        if isinstance(packet, Punch):
            self._meetings.hear_punch(packet, source)
        elif isinstance(packet, Probe):
            if not self.standing.hear_probe(packet.nonce, source, now_s):
                self.counts["probes.stray"] += 1
        else:
            self._receive_relayed(packet, source, now_s)

    def _receive_relayed(self, packet: Relayed, source: Endpoint, now_s: float) -> None:
        if self._tunnels.hear(packet, source, now_s):
            return
        if not self._introducer.relay.take(packet, source, now_s):
            self.counts["relayed.stray"] += 1

    # Time.

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self.standing.tick(now_s)
        self._meetings.tick(now_s)
        self._introducer.relay.sweep(now_s)
        self._tunnels.sweep(now_s)
        for link, (due_s, apart_s) in list(self._upgrades.items()):
            if due_s > now_s:
                continue
            apart_s = min(2 * apart_s, UPGRADE_S_MAX)
            self._upgrades[link] = (now_s + apart_s, apart_s)
            seat = self._seats[link]
            via = self._meetings.through.get(seat.peer)
            if via is not None:
                self.counts["upgrades.tried"] += 1
                self._meetings.want(seat.peer, [via], now_s, spare=True, may_relay=False)

    def next_wake_s(self) -> float | None:
        """When `tick` has something to do; forgetting what is idle can wait for that."""
        wakes = [due_s for due_s, _ in self._upgrades.values()]
        more = (self._meetings.next_wake_s(), self.standing.next_wake_s())
        return min([*wakes, *(one for one in more if one is not None)], default=None)
