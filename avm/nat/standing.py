"""Whether a host is reached unasked, by what those it dialed say, and who introduces it. Pure.

Theory of operation. Whoever is dialed says where it sees the dialer; where that is not what the
dialer has as its own, a router lies between. Each subnet of observers has one vote. A host that is
hidden asks those it dialed to introduce it, and names two of them in its location record.
An observer who lies costs a detour and no more: a hidden host goes on naming its own endpoint, last.
"""

from collections.abc import Iterable

from avm.nat.effects import Announce, Effect, Tell, Through, Way
from avm.nat.frames import Enlist
from avm.nat.limits import INTRODUCERS, LOOK_S, VOTES_MAX
from avm.nat.seats import Seat, is_local
from caps.identity import Endpoint, Route
from dht.contact import subnet_of


class Standing:
    """What a host knows of how others see it."""

    def __init__(
        self,
        own: Endpoint,
        fixed: bool,
        known: tuple[Route, ...],
        seats: dict[int, Seat],
        out: list[Effect],
    ) -> None:
        """`own` is what it announces; `fixed`: the operator has said so, and knows better.

        `known` are hosts that may be asked to introduce this one when no link is there.
        """
        self._own = own
        self._fixed = fixed
        self._known = known
        self._look_s = 0.0
        self._seats = seats
        self._out = out
        self._votes: dict[bytes, tuple[Endpoint, bool]] = {}
        self.is_hidden = False

    @property
    def observed(self) -> Endpoint | None:
        """Where most of those that were dialed see this host; None before any has said so."""
        seen = [endpoint for endpoint, _ in self._votes.values()]
        return max(set(seen), key=lambda one: (seen.count(one), one), default=None)

    @property
    def introducers(self) -> list[Seat]:
        """Those who introduce this host."""
        return [seat for seat in self._seats.values() if seat.introduces][:INTRODUCERS]

    def routes(self) -> tuple[Endpoint | Route, ...]:
        """What the location record of this host names, best first."""
        through = [seat.route for seat in self.introducers] if self.is_hidden else []
        if through and is_local(self._own):
            return tuple(through)
        return (*through, self._own)

    def hear_seen(self, seat: Seat, local: Endpoint, seen: Endpoint, now_s: float) -> bool:
        """Take the word of one that was dialed; tell whether it sees another endpoint than before."""
        if not seat.dialed or seat.way is not Way.DIRECT:
            return False
        before, seat.seen = seat.seen, seen
        self.hear_observed(seat.endpoint, local, seen, now_s)
        return before is not None and before != seen

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
        self._judge(now_s)

    def hear_enlisted(self, seat: Seat, accepted: bool, now_s: float) -> None:
        """The other end introduces this host, or does not."""
        seat.waits = False
        if seat.asked and seat.introduces != accepted:
            seat.introduces = accepted
            self._out.append(Announce())
        self.look_round(now_s)

    def lost(self, seat: Seat, now_s: float) -> None:
        """A link is gone, and with it what was asked of its other end."""
        if seat.introduces:
            self._out.append(Announce())
        self.look_round(now_s)

    def look_round(self, now_s: float) -> None:
        """Ask for introducers as long as there are too few, and dial those that might be."""
        if not self.is_hidden:
            return
        asked = self._asked()
        for seat in self._may_be_asked():
            if asked >= INTRODUCERS:
                return
            seat.asked = seat.waits = True
            asked += 1
            self._out.append(Tell(seat.number, Enlist().to_bytes()))
        if asked < INTRODUCERS and now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._out += [Through(route) for route in self._unlinked()]

    def next_wake_s(self) -> float | None:
        """When `look_round` has something to do again."""
        wants = self.is_hidden and self._asked() < INTRODUCERS and self._unlinked()
        return self._look_s if wants else None

    def _asked(self) -> int:
        return sum(one.introduces or one.waits for one in self._seats.values())

    def _unlinked(self) -> list[Route]:
        peers = {seat.peer for seat in self._seats.values()}
        return [route for route in self._known if route.address not in peers]

    def _may_be_asked(self) -> Iterable[Seat]:
        peers = {seat.peer for seat in self._seats.values() if seat.asked}
        for seat in list(self._seats.values()):
            if seat.dialed and seat.way is Way.DIRECT and seat.peer not in peers and seat.seen:
                peers.add(seat.peer)
                yield seat

    def _judge(self, now_s: float) -> None:
        translated = sum(one for _, one in self._votes.values())
        hidden = not self._fixed and 2 * translated > len(self._votes)
        if hidden != self.is_hidden:
            self.is_hidden = hidden
            self._out.append(Announce())
        self.look_round(now_s)
