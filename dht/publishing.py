"""The records that a host publishes of its own: signed anew, put again each hour, at once on change.

Step 7 of the journey, beforehand. A draft is signed with the next sequence number of its key; the
number is saved and never goes back, so the newest record is always the last one published. What
others hold expires, what is published here lives on by being put again.

A host may publish very many. What changed goes first, then what the network has not heard yet, then
what nobody kept; the rest follows in turn, the one put longest ago first, each within the hour and
all spread evenly over it. Never are more put than `publish_rate` a second.
"""

from dataclasses import replace

from caps.identity import RootKey
from caps.light import dataclass
from dht.errors import NodeBusy
from dht.pace import Pace
from dht.proofs import Kind, Proved
from dht.provider import Provider, provide
from dht.record import Location, publish
from dht.settings import Settings

Place = tuple[Kind, bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the last put: when it was over, how many keep the record, of how many asked."""

    at_ms: int
    kept: int
    asked: int


@dataclass(frozen=True, slots=True)
class Own:
    """One published record, and its draft to sign again; None for what needs no renewal.

    It was put last at `put_ms`, never where that is None; `outcome` is what became of that or of
    the one before.
    """

    record: Proved
    draft: Location | Provider | None
    put_ms: int | None = None
    outcome: Outcome | None = None


class Publishing:
    """Own records by kind and key, at most `published_max`, and the last sequence number of each.

    `own` has them in the order in which they were put.
    """

    __slots__ = ("_key", "_last_ms", "_now", "_pace", "_settings", "_soon", "_unkept", "own", "sequences")  # fmt: skip

    def __init__(self, key: RootKey, settings: Settings) -> None:
        self._key = key
        self._settings = settings
        self._pace = Pace(settings.publish_rate, settings.publish_burst)
        self._last_ms = 0
        self._now: dict[Place, None] = {}
        self._soon: dict[Place, None] = {}
        self._unkept: dict[Place, int] = {}
        self.own: dict[Place, Own] = {}
        self.sequences: dict[Place, int] = {}

    def add(
        self,
        kind: Kind,
        key: bytes,
        draft: Location | Provider,
        now_ms: int,
        *,
        at_once: bool = True,
    ) -> Proved:
        """Sign a draft with the next sequence number and an expiry; publish it from now on.

        Raises `NodeBusy`. Where many are added it need not be `at_once`, before all others.
        """
        self._check_room((kind, key))
        record = self._sign(kind, key, draft, now_ms)
        self._put_in(record, draft, self._now if at_once else self._soon)
        return record

    def add_signed(self, record: Proved) -> None:
        """Publish what is signed already, as it is; raises `NodeBusy`."""
        self._check_room((record.kind, record.key))
        self._put_in(record, None, self._now)

    def withdraw(self, kind: Kind, key: bytes) -> None:
        """Publish it no more; what others hold expires."""
        self.own.pop((kind, key), None)
        self._unlist((kind, key))

    def hasten(self, kind: Kind, key: bytes) -> None:
        """Make a record due now, before all others."""
        if (kind, key) in self.own:
            self._now[kind, key] = None

    def hasten_all(self) -> None:
        """Make all records due now: the network is there, or there again."""
        self._soon = dict.fromkeys(self.own)

    def ended(self, now_ms: int, record: Proved, kept: int, asked: int) -> None:
        """Take note of what became of a put; what nobody kept is due again in a while."""
        place = (record.kind, record.key)
        own = self.own.get(place)
        if own is None:
            return
        self.own[place] = replace(own, outcome=Outcome(now_ms, kept, asked))
        if not kept and place not in self._now:
            self._unkept.setdefault(place, now_ms + self._settings.unkept_ms)

    def raise_sequence(self, kind: Kind, key: bytes, sequence: int) -> None:
        """Learn that a number was used already, as after a restore from a backup."""
        place = (kind, key)
        self.sequences[place] = max(sequence, self.sequences.get(place, 0))

    def due(self, now_ms: int) -> Proved | None:
        """Return a record to put now, signed anew when half its life is over."""
        place = self._first(now_ms)
        if place is None or not self._pace.take(now_ms):
            return None
        self._unlist(place)
        own = self.own.pop(place)
        record = own.record
        half_ms = self._settings.location_life_ms // 2
        if own.draft is not None and (record.expiry_ms or now_ms) - now_ms < half_ms:
            record = self._sign(*place, own.draft, now_ms)
        self.own[place] = replace(own, record=record, put_ms=now_ms)
        self._last_ms = now_ms
        return record

    def next_ms(self) -> int | None:
        """Return when the next record is due."""
        if not self.own:
            return None
        waits = [self._turn_ms(), *list(self._unkept.values())[:1]]
        due_ms = 0 if self._now or self._soon else min(waits)
        return max(due_ms, self._pace.next_ms())

    def next_of(self, kind: Kind, key: bytes, now_ms: int) -> int:
        """Return when a record is put again, at the latest where it waits for its turn."""
        place = (kind, key)
        put_ms = self.own[place].put_ms
        if place in self._now or place in self._soon or put_ms is None:
            return max(now_ms, self._pace.next_ms())
        return self._unkept.get(place, put_ms + self._settings.republish_ms)

    def _first(self, now_ms: int) -> Place | None:
        for queue in (self._now, self._soon):
            if queue:
                return next(iter(queue))
        for place, at_ms in self._unkept.items():
            if at_ms <= now_ms:
                return place
            break
        return next(iter(self.own)) if self.own and self._turn_ms() <= now_ms else None

    def _turn_ms(self) -> int:
        """When the record that was put longest ago is put again: one after the other, in an hour all."""
        s = self._settings
        longest = next(iter(self.own.values()))
        gap_ms = s.republish_ms // len(self.own)
        return min(self._last_ms + gap_ms, (longest.put_ms or 0) + s.republish_ms)

    def _put_in(
        self, record: Proved, draft: Location | Provider | None, due: dict[Place, None]
    ) -> None:
        place = (record.kind, record.key)
        before = self.own.get(place)
        if before is None:
            self.own[place] = Own(record, draft)
        else:
            self.own[place] = replace(before, record=record, draft=draft)
        if place not in self._now:
            due[place] = None

    def _unlist(self, place: Place) -> None:
        for queue in (self._now, self._soon, self._unkept):
            queue.pop(place, None)

    def _check_room(self, place: Place) -> None:
        if place not in self.own and len(self.own) >= self._settings.published_max:
            raise NodeBusy(f"a host publishes at most {self._settings.published_max:,} records")

    def _sign(self, kind: Kind, key: bytes, draft: Location | Provider, now_ms: int) -> Proved:
        sequence = self.sequences.get((kind, key), 0) + 1
        self.sequences[kind, key] = sequence
        expiry_ms = now_ms + self._settings.location_life_ms
        if isinstance(draft, Location):
            located = publish(replace(draft, sequence=sequence, expiry_ms=expiry_ms), self._key)
            return Proved(kind, key, located.to_bytes(), located)
        provided = provide(
            replace(draft, sequence=sequence, seen_ms=now_ms, expiry_ms=expiry_ms), self._key
        )
        return Proved(kind, key, provided.to_bytes(), provided)
