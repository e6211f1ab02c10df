"""The records that a host publishes of its own: signed anew, put again each hour, at once on change.

Step 7 of the journey, beforehand. A draft is signed with the next sequence number of its key; the
number is saved and never goes back, so the newest record is always the last one published. What
others hold expires, what is published here lives on by being put again.
"""

from dataclasses import dataclass, replace

from caps.identity import RootKey
from dht.errors import NodeBusy
from dht.proofs import Kind, Proved
from dht.provider import Provider, provide
from dht.record import Location, publish
from dht.settings import Settings


@dataclass(frozen=True, slots=True)
class Own:
    """One published record: its draft to sign again (None for what needs no renewal), and when."""

    record: Proved
    draft: Location | Provider | None
    next_ms: int


class Publishing:
    """Own records by kind and key, at most `published_max`, and the last sequence number of each."""

    __slots__ = ("_key", "_next_ms", "_settings", "own", "sequences")

    def __init__(self, key: RootKey, settings: Settings) -> None:
        self._key = key
        self._settings = settings
        self._next_ms: int | None = None
        self.own: dict[tuple[Kind, bytes], Own] = {}
        self.sequences: dict[tuple[Kind, bytes], int] = {}

    def add(self, kind: Kind, key: bytes, draft: Location | Provider, now_ms: int) -> Proved:
        """Sign a draft with the next sequence number and an expiry; publish it from now on."""
        record = self._sign(kind, key, draft, now_ms)
        self._put(Own(record, draft, now_ms + self._settings.republish_ms))
        return record

    def add_signed(self, record: Proved, now_ms: int) -> None:
        """Publish what is signed already, as it is."""
        self._put(Own(record, None, now_ms + self._settings.republish_ms))

    def withdraw(self, kind: Kind, key: bytes) -> None:
        """Publish it no more; what others hold expires."""
        self.own.pop((kind, key), None)
        self._next_ms = min((own.next_ms for own in self.own.values()), default=None)

    def hasten(self, kind: Kind, key: bytes, now_ms: int) -> None:
        """Make a record due now."""
        self._put(replace(self.own[kind, key], next_ms=now_ms))

    def hasten_all(self, now_ms: int) -> None:
        """Make all records due now: the network is there, or there again."""
        for place, own in self.own.items():
            self.own[place] = replace(own, next_ms=now_ms)
        self._next_ms = now_ms if self.own else None

    def try_again(self, kind: Kind, key: bytes, now_ms: int) -> None:
        """Make a record that nobody kept due again in a while."""
        own = self.own.get((kind, key))
        at_ms = now_ms + self._settings.unkept_ms
        if own is not None and own.next_ms > at_ms:
            self._put(replace(own, next_ms=at_ms))

    def raise_sequence(self, kind: Kind, key: bytes, sequence: int) -> None:
        """Learn that a number was used already, as after a restore from a backup."""
        place = (kind, key)
        self.sequences[place] = max(sequence, self.sequences.get(place, 0))

    def due(self, now_ms: int) -> Proved | None:
        """Return a record whose hour has come, signed anew when half its life is over."""
        if self._next_ms is None or self._next_ms > now_ms:
            return None
        place, own = min(self.own.items(), key=lambda item: item[1].next_ms)
        record = own.record
        half_ms = self._settings.location_life_ms // 2
        if own.draft is not None and (record.expiry_ms or now_ms) - now_ms < half_ms:
            record = self._sign(*place, own.draft, now_ms)
        self.own[place] = Own(record, own.draft, now_ms + self._settings.republish_ms)
        self._next_ms = min(own.next_ms for own in self.own.values())
        return record

    def next_ms(self) -> int | None:
        """Return when the next record is due."""
        return self._next_ms

    def _put(self, own: Own) -> None:
        place = (own.record.kind, own.record.key)
        if place not in self.own and len(self.own) >= self._settings.published_max:
            raise NodeBusy(f"a host publishes at most {self._settings.published_max:,} records")
        self.own[place] = own
        self._next_ms = min(self._next_ms or own.next_ms, own.next_ms)

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
