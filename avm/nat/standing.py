"""Whether a host is reached unasked, by what those it dialed say, and who introduces it. Pure.

Theory of operation. Whoever is dialed says where it sees the dialer; where that is not what the
dialer has as its own, a router lies between: each subnet of observers has one vote. Where it is, the
dialer has itself tried from a port that it never sent to, which a firewall keeps out; once that came
through, it is open. A host that is hidden asks those it dialed to introduce it, and names two of them
in its location record. Observers who lie cost a detour and no more: an endpoint of its own that means
something to others is named as well, last.
"""

from collections.abc import Callable, Iterable

from avm.nat.bucket import Bucket
from avm.nat.effects import Announce, Effect, Tell, Through, Way
from avm.nat.frames import Enlist, Hide, Try
from avm.nat.limits import (
    ANNOUNCE_BURST,
    ANNOUNCE_RATE_S,
    INTRODUCERS,
    LOOK_S,
    NONCE_BYTES,
    TRIES,
    TRY_S,
    VOTES_MAX,
)
from avm.nat.seats import Help, Seat, is_local
from caps.identity import Endpoint, Route
from caps.light import dataclass
from dht.contact import subnet_of


@dataclass(slots=True)
class Trying:
    """One that was dialed is to try this host, so many times yet; `due_s` is the next."""

    nonce: bytes
    left: int
    due_s: float


class Standing:
    """What a host knows of how others see it."""

    __slots__ = (
        "_announce_s",
        "_announces",
        "_entropy",
        "_fixed",
        "_is_closed",
        "_is_open",
        "_known",
        "_learns",
        "_look_s",
        "_out",
        "_own",
        "_seats",
        "_tries",
        "_votes",
        "is_hidden",
    )

    def __init__(
        self,
        own: Endpoint | None,
        fixed: bool,
        known: tuple[Route, ...],
        entropy: Callable[[int], bytes],
        seats: dict[int, Seat],
        out: list[Effect],
    ) -> None:
        """`own` is where it listens, None for everywhere; `fixed`: it is what the operator announces.

        `known` are hosts that may be asked to introduce this one when no link is there.
        """
        self._own = own
        self._learns = own is None
        self._fixed = fixed
        self._known = known
        self._entropy = entropy
        self._seats = seats
        self._out = out
        self._look_s = 0.0
        self._votes: dict[bytes, tuple[Endpoint, bool]] = {}
        self._tries: dict[int, Trying] = {}
        self._is_open = fixed
        self._is_closed = False
        self._announces = Bucket(ANNOUNCE_BURST, ANNOUNCE_RATE_S, 0.0)
        self._announce_s: float | None = None
        self.is_hidden = False

    @property
    def own(self) -> Endpoint | None:
        """The endpoint of this host, as it knows it; None while it does not."""
        return self._own

    @property
    def observed(self) -> Endpoint | None:
        """Where most of those that were asked see this host; None before any has said so."""
        seen = [endpoint for endpoint, _ in self._votes.values()]
        return max(set(seen), key=lambda one: (seen.count(one), one), default=None)

    def routes(self) -> tuple[Endpoint | Route, ...]:
        """What the location record of this host names, best first; nothing while it knows nothing."""
        introducers = [seat.route for seat in self._seats.values() if seat.help is Help.AGREED]
        through = introducers[:INTRODUCERS] if self.is_hidden else []
        if self._own is None or (through and is_local(self._own)):
            return tuple(through)
        return (*through, self._own)

    # What others say.

    def hear_seen(self, seat: Seat, local: Endpoint, seen: Endpoint, now_s: float) -> bool:
        """Take the word of one that was dialed; tell whether it sees another endpoint than before."""
        if not seat.dialed or seat.way is not Way.DIRECT:
            return False
        before, seat.seen = seat.seen, seen
        if seen == local and not is_local(seat.endpoint) and not self._is_open:
            self._tries[seat.number] = Trying(self._entropy(NONCE_BYTES), TRIES, now_s)
            self.tick(now_s)
        has_moved = before is not None and before != seen
        if has_moved and self._learns:
            self._own = None
        self.hear_observed(seat.endpoint, local, seen, now_s)
        return has_moved

    def hear_observed(
        self, observer: Endpoint, local: Endpoint, seen: Endpoint, now_s: float
    ) -> None:
        """Take one observer's word; `local` is what this host has as its own on the way there."""
        is_translated = seen != local
        # One in the same network sees no router; that says nothing about the way out of it.
        if is_translated or not is_local(observer):
            subnet = subnet_of(observer)
            self._votes.pop(subnet, None)
            self._votes[subnet] = (seen, is_translated)
            if len(self._votes) > VOTES_MAX:
                del self._votes[next(iter(self._votes))]
        if not is_translated:
            self._learn(local, now_s)
        self._judge(now_s)

    def reached(self, local: Endpoint, by: Endpoint, now_s: float) -> None:
        """A host that was not dialed is here; `local` is what this host has as its own on the way there."""
        if is_local(by) or not is_local(local):
            self._learn(local, now_s)

    def _learn(self, local: Endpoint, now_s: float) -> None:
        own = self._own
        if own is None or (self._learns and is_local(own) and not is_local(local)):
            self._own = local
            self._announce(now_s)

    def hear_probe(self, nonce: bytes, source: Endpoint, now_s: float) -> bool:
        """A datagram came that was asked for; tell whether it was."""
        for number, trying in self._tries.items():
            if trying.nonce == nonce and self._seats[number].endpoint != source:
                self._is_open, self._is_closed = True, False
                self._tries.clear()
                self._judge(now_s)
                return True
        return False

    def hear_enlisted(self, seat: Seat, accepted: bool, now_s: float) -> None:
        """The other end introduces this host, or does not."""
        said = Help.AGREED if accepted else Help.DECLINED
        if seat.help not in (Help.UNASKED, said):
            if Help.AGREED in (seat.help, said):
                self._announce(now_s)
            seat.help = said
        self._look_round(now_s)

    def lost(self, seat: Seat, now_s: float) -> None:
        """A link is gone, and with it what was asked of its other end."""
        self._tries.pop(seat.number, None)
        if seat.help is Help.AGREED:
            self._announce(now_s)
        self._look_round(now_s)

    # Time.

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        for number, trying in list(self._tries.items()):
            if trying.due_s > now_s:
                continue
            if not trying.left:
                del self._tries[number]
                self._is_closed = True
                self._judge(now_s)
                continue
            trying.left, trying.due_s = trying.left - 1, now_s + TRY_S
            self._out.append(Tell(number, Try(trying.nonce).to_bytes()))
        if self._announce_s is not None and now_s >= self._announce_s:
            self._announce(now_s)
        self._look_round(now_s)

    def next_wake_s(self) -> float | None:
        """When `tick` has something to do."""
        wakes = [trying.due_s for trying in self._tries.values()]
        if self._wants_links() and self._unlinked():
            wakes.append(self._look_s)
        if self._announce_s is not None:
            wakes.append(self._announce_s)
        return min(wakes, default=None)

    # Inside.

    def _announce(self, now_s: float) -> None:
        """Have it announced how this host is reached, now or when it may be again."""
        self._announce_s = None
        if self._announces.take(now_s):
            self._out.append(Announce())
        else:
            self._announce_s = now_s + self._announces.wait_s()

    def _judge(self, now_s: float) -> None:
        translated = 2 * sum(one for _, one in self._votes.values()) > len(self._votes)
        hidden = not self._fixed and (translated or self._is_closed)
        if hidden != self.is_hidden:
            self.is_hidden = hidden
            self._announce(now_s)
        self._look_round(now_s)

    def _look_round(self, now_s: float) -> None:
        """Ask for introducers as long as there are too few, and dial those that might be."""
        if self.is_hidden:
            self._ask_dialed()
        if self._wants_links() and now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._out += [Through(route) for route in self._unlinked()]

    def _ask_dialed(self) -> None:
        """Ask those that were dialed to tell nobody where they see this host, and to introduce it."""
        for seat in self._dialed():
            if not seat.hides:
                seat.hides = True
                self._out.append(Tell(seat.number, Hide().to_bytes()))
        for seat in self._may_be_asked():
            if self._asked() < INTRODUCERS:
                seat.help = Help.ASKED
                self._out.append(Tell(seat.number, Enlist().to_bytes()))

    def _wants_links(self) -> bool:
        """Whether those it knows are to be dialed: to introduce it, or to try whether they need to."""
        if self.is_hidden:
            return self._asked() < INTRODUCERS
        is_sure = self._is_open or self._is_closed or bool(self._tries)
        return bool(self._votes) and not is_sure and not any(self._dialed())

    def _asked(self) -> int:
        return sum(one.help in (Help.ASKED, Help.AGREED) for one in self._seats.values())

    def _dialed(self) -> Iterable[Seat]:
        return (one for one in self._seats.values() if one.dialed and one.way is Way.DIRECT)

    def _unlinked(self) -> list[Route]:
        peers = {seat.peer for seat in self._dialed()}
        return [route for route in self._known if route.address not in peers]

    def _may_be_asked(self) -> Iterable[Seat]:
        peers = {seat.peer for seat in self._seats.values() if seat.help is not Help.UNASKED}
        for seat in list(self._dialed()):
            if seat.peer not in peers and seat.seen:
                peers.add(seat.peer)
                yield seat
