"""The hosts that a host knows of: where they were reached, how well, and who is banned. Values.

Beside the journey. Events go in (a link up, lost or not made, what another host says of third ones),
and questions are answered: whom to dial, whose link to give up, what to tell. What others say is a
hint: an endpoint to try, at which a host has to prove itself. All of it is one row of the store.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import cbor2

from avm.limits import Limits
from caps.identity import Endpoint
from caps.light import dataclass, field

ENDPOINTS_MAX = 4
HALF_LIFE_MS = 24 * 60 * 60 * 1000
TOLD_MS = 7 * HALF_LIFE_MS
RETRY_MS = 1_000
RETRY_DOUBLINGS = 12


@dataclass(slots=True)
class Known:
    """Another host. `endpoints` are those it was reached at, and when (0: only heard of), newest last.

    `good` and `bad` count what went well and what did not, halved every day since `counted_ms`.
    `changed` is the number of the last change that others are told of; `teller` is who told of a host
    that was never reached; `heard` is the last number of its own list that came from it.
    `incarnation` and `key` are of the newest key that it has shown; 0 where that was its root key.
    """

    address: bytes
    endpoints: dict[Endpoint, int] = field(default_factory=dict)
    reached_ms: int = 0
    good: float = 0.0
    bad: float = 0.0
    counted_ms: int = 0
    round_trip_ms: float = 0.0
    tries: int = 0
    tried_ms: int = 0
    changed: int = 0
    heard: int = 0
    teller: bytes = b""
    banned: bool = False
    dropped: bool = False
    trusted: bool = False
    incarnation: int = 0
    key: bytes = b""

    def has_replaced(self, incarnation: int, key: bytes) -> bool:
        """Whether it has shown a key of a later number, or another of this one: the first stays."""
        if incarnation == self.incarnation:
            return key != self.key
        return incarnation < self.incarnation

    @property
    def marked(self) -> bool:
        """Whether an operator has said something of it that must not be forgotten."""
        return self.banned or self.trusted

    def count(self, now_ms: int, good: float = 0.0, bad: float = 0.0) -> None:
        """Something went well, or did not."""
        left = self._left(now_ms)
        self.good, self.bad = self.good * left + good, self.bad * left + bad
        self.counted_ms = now_ms

    def _left(self, now_ms: int) -> float:
        passed_ms = max(0, now_ms - self.counted_ms)
        return float(0.5 ** (passed_ms / HALF_LIFE_MS))

    def score(self, now_ms: int) -> float:
        """From 0 to 1: the share that went well, of late, less where it is far; 0.5 is a stranger's."""
        left = self._left(now_ms)
        share = (self.good * left + 1) / ((self.good + self.bad) * left + 2)
        return share / (1 + self.round_trip_ms / 1000)

    def again_ms(self) -> int:
        """When it may be dialed again unasked: doubling, less up to a half that differs by host."""
        if not self.tries:
            return 0
        most = RETRY_MS << min(self.tries, RETRY_DOUBLINGS)
        drawn = blake2b(self.address + self.tries.to_bytes(4, "big"), digest_size=2).digest()
        return self.tried_ms + most - most * int.from_bytes(drawn, "big") // 0x20000

    def best(self) -> list[Endpoint]:
        """Its endpoints, the one where it was reached last first."""
        by_time = sorted(self.endpoints.items(), key=lambda one: one[1])
        return [endpoint for endpoint, _ in reversed(by_time)]

    def add(self, endpoint: Endpoint, reached_ms: int) -> None:
        """Notes an endpoint; what was only heard of makes room first."""
        self.endpoints[endpoint] = max(reached_ms, self.endpoints.pop(endpoint, 0))
        while len(self.endpoints) > ENDPOINTS_MAX:
            del self.endpoints[min(self.endpoints, key=self.endpoints.__getitem__)]


# Of a host that was reached: its address, where, and when.
Row = tuple[bytes, Endpoint, int]


@dataclass(slots=True)
class Roster:
    """All that is known of other hosts."""

    known: dict[bytes, Known] = field(default_factory=dict)
    changes: int = 0

    def is_banned(self, address: bytes) -> bool:
        """Whether an operator has banned it."""
        found = self.known.get(address)
        return found is not None and found.banned

    def is_trusted(self, address: bytes) -> bool:
        """Whether machines of that host may move here, as an operator has said."""
        found = self.known.get(address)
        return found is not None and found.trusted

    def of(self, address: bytes, limits: Limits, now_ms: int, kept: Iterable[bytes] = ()) -> Known:
        """What is known of a host, new when nothing is; the worst makes room, none of `kept`."""
        found = self.known.get(address)
        if found is None:
            found = self.known[address] = Known(address, counted_ms=now_ms)
            self._make_room(limits.peers, now_ms, {address, *kept})
        return found

    def _make_room(self, most: int, now_ms: int, kept: set[bytes]) -> None:
        count = sum(not one.marked for one in self.known.values())
        if count <= most:
            return
        free = [one for one in self.known.values() if not one.marked and one.address not in kept]
        if free:
            worst = min(free, key=lambda one: (bool(one.reached_ms), one.score(now_ms)))
            del self.known[worst.address]

    # What happens.

    def reached(
        self, known: Known, endpoint: Endpoint | None, round_trip_ms: float, now_ms: int
    ) -> None:
        """A link to it is up."""
        before = known.best()[:1] if known.reached_ms else []
        if endpoint is not None:
            known.add(endpoint, now_ms)
        known.reached_ms, known.teller, known.dropped = now_ms, b"", False
        if round_trip_ms:
            known.round_trip_ms = round_trip_ms
        known.count(now_ms, good=1)
        if known.best()[:1] != before:
            self._change(known, now_ms)

    def failed(self, known: Known, now_ms: int, weight: float = 1.0) -> None:
        """It could not be reached, its link was lost, or it said what no host says."""
        known.tries += 1
        known.tried_ms = now_ms
        known.count(now_ms, bad=weight)

    def _change(self, known: Known, now_ms: int) -> None:
        """Numbers a change by the clock at least, so that a store that went back is no matter."""
        self.changes = max(self.changes + 1, now_ms)
        known.changed = self.changes

    # What others say, and what they are told.

    def hear(
        self, own: bytes, teller: bytes, rows: Iterable[Row], limits: Limits, now_ms: int
    ) -> int:
        """Takes up another host's hints, the newest as far as there is room; how many were news."""
        news = 0
        hints = [one for one in self.known.values() if one.teller == teller and not one.reached_ms]
        room = limits.peers_told - len(hints)
        for address, endpoint, _age_ms in rows:
            if address in (own, teller) or self.is_banned(address):
                continue
            known = self.known.get(address)
            if known is None:
                if room <= 0 and hints:
                    self.known.pop(hints.pop(0).address, None)
                    room += 1
                if room <= 0:
                    continue
                room -= 1
                known = self.known[address] = Known(address, counted_ms=now_ms, teller=teller)
                self._make_room(limits.peers, now_ms, {teller})
                if address not in self.known:  # all others were reached
                    continue
            if endpoint not in known.endpoints:
                known.add(endpoint, 0)
                news += 1
        return news

    def tell(self, to: bytes, since: int, most: int, now_ms: int) -> list[Row]:
        """Whom this host reached and how, of what changed after `since`, the most recent first."""
        found = [
            one
            for one in self.known.values()
            if one.changed > since and one.reached_ms and one.endpoints
            if one.address != to and not one.banned and now_ms - one.reached_ms < TOLD_MS
        ]
        found.sort(key=lambda one: one.reached_ms, reverse=True)
        return [
            (one.address, one.best()[0], max(0, now_ms - one.reached_ms)) for one in found[:most]
        ]

    # Whom to dial, and whom to give up.

    def to_dial(self, linked: Iterable[bytes], most: int, now_ms: int) -> list[Known]:
        """The best that are not linked and may be tried now, those reached before first."""
        there = set(linked)
        free = [one for one in self.waiting(there) if one.again_ms() <= now_ms]
        free.sort(key=lambda one: (not one.reached_ms, -one.score(now_ms)))
        return free[:most]

    def waiting(self, linked: Iterable[bytes]) -> list[Known]:
        """Those that are not linked and may be dialed unasked, now or later."""
        there = set(linked)
        return [
            one
            for one in self.known.values()
            if one.endpoints and one.address not in there and not one.banned and not one.dropped
        ]

    def worst(self, addresses: Iterable[bytes], now_ms: int) -> bytes | None:
        """The one with the lowest score."""
        scored = [(self._score(one, now_ms), one) for one in addresses]
        return min(scored)[1] if scored else None

    def _score(self, address: bytes, now_ms: int) -> float:
        known = self.known.get(address)
        return 0.0 if known is None else known.score(now_ms)


# The row of the store.


def to_bytes(roster: Roster) -> bytes:
    """The row."""
    return cbor2.dumps([roster.changes, [_packed(one) for one in roster.known.values()]])


def _packed(one: Known) -> list[Any]:
    endpoints = [[where.ip, where.port, at] for where, at in one.endpoints.items()]
    counts = [one.good, one.bad, one.counted_ms, one.round_trip_ms, one.tries, one.tried_ms]
    marks = [one.changed, one.heard, one.teller, one.banned, one.dropped, one.trusted]
    shown = [one.incarnation, one.key] if one.key else []
    return [one.address, endpoints, one.reached_ms, *counts, *marks, *shown]


def from_bytes(body: bytes) -> Roster:
    """The roster of a row."""
    changes, rows = cbor2.loads(body)
    roster = Roster(changes=changes)
    for address, endpoints, *more in rows:
        places = {Endpoint(ip, port): at for ip, port, at in endpoints}
        roster.known[address] = Known(address, places, *more)
    return roster
