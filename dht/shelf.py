"""The records that a node holds for others, each until it expires or nobody puts it again.

Step 7 of the journey, at the far end: what a get is answered from. One identity and one location a
key, up to `providers_max` provider records, no more than a few of them brought from one subnet. When
the shelf is full, what is farthest from the node's own id goes first: the network would look for it
elsewhere.
"""

from heapq import nlargest

from caps.light import dataclass
from dht.newest import Mark, Newest, Verdict
from dht.proofs import Kind, Proved
from dht.settings import Settings
from dht.wire import Status


@dataclass(frozen=True, slots=True)
class Held:
    """A record, until when it is held, and the subnet that brought it."""

    record: Proved
    until_ms: int
    subnet: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a put: the status, and the record that stands in the way if one does."""

    status: Status
    standing: Proved | None = None


class Shelf:
    """Takes records that proved themselves; the caller has checked signature and token."""

    __slots__ = ("_held", "_newest", "_own", "_settings")

    def __init__(self, own_id: bytes, settings: Settings) -> None:
        self._own = int.from_bytes(own_id, "big")
        self._settings = settings
        self._newest = Newest(settings.records_max)
        self._held: dict[tuple[Kind, bytes], dict[bytes, Held]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def put(self, record: Proved, now_ms: int, subnet: bytes = b"") -> Kept:
        """Keep a record unless a newer or a contradicting one is known."""
        place = (record.kind, record.key)
        of_key = self._live(place, now_ms)
        held = of_key.get(record.speaker)
        if held is not None and self._newest.mark(*place, record.speaker) is None:
            # Its mark was crowded out by many others; what is held says the same.
            self._newest.offer(held.record)
        verdict = self._newest.offer(record)
        mark = self._newest.mark(record.kind, record.key, record.speaker)
        assert mark is not None
        if verdict is Verdict.CONTRADICTS:
            return Kept(Status.CONTRADICTS, mark.newest)
        if verdict is Verdict.OLDER:
            return Kept(Status.OLDER, mark.newest)
        if held is None and not self._has_seat(of_key, subnet):
            return Kept(Status.REFUSED)
        until_ms = now_ms + self._settings.hold_ms
        if record.expiry_ms is not None:
            until_ms = min(until_ms, record.expiry_ms)
        of_key[record.speaker] = Held(record, until_ms, subnet)
        self._held[place] = of_key
        if len(self._held) > self._settings.records_max:
            self._drop_farthest()
        return Kept(Status.KEPT)

    def held(self, now_ms: int) -> list[Held]:
        """Return all that is held and has not ended, to look at."""
        return [one for place in self._held for one in self._live(place, now_ms).values()]

    def get(self, kind: Kind, key: bytes, now_ms: int) -> list[Proved]:
        """Return what is held under a key and has not ended."""
        if (kind, key) not in self._held:
            return []
        return [held.record for held in self._live((kind, key), now_ms).values()]

    def sweep(self, now_ms: int) -> None:
        """Drop what has ended; the marks stay, so nothing older comes back."""
        for place in list(self._held):
            left = self._live(place, now_ms)
            if left:
                self._held[place] = left
            else:
                del self._held[place]

    def saved(self) -> tuple[tuple[Held, ...], tuple[Mark, ...]]:
        """Return all that is held and every mark, for a shell to store."""
        held = tuple(held for of_key in self._held.values() for held in of_key.values())
        return held, self._newest.saved()

    def load(self, saved: tuple[tuple[Held, ...], tuple[Mark, ...]]) -> None:
        """Put back what `saved` returned."""
        held, marks = saved
        self._newest.load(marks)
        for one in held:
            place = (one.record.kind, one.record.key)
            self._held.setdefault(place, {})[one.record.speaker] = one

    def _live(self, place: tuple[Kind, bytes], now_ms: int) -> dict[bytes, Held]:
        of_key = self._held.get(place, {})
        return {who: held for who, held in of_key.items() if now_ms < held.until_ms}

    def _has_seat(self, of_key: dict[bytes, Held], subnet: bytes) -> bool:
        if not of_key:
            return True
        of_subnet = sum(held.subnet == subnet for held in of_key.values())
        s = self._settings
        return len(of_key) < s.providers_max and of_subnet < s.providers_of_subnet_max

    def _drop_farthest(self) -> None:
        # A sixteenth at once: the search for the farthest looks at every key.
        def distance(place: tuple[Kind, bytes]) -> int:
            return int.from_bytes(place[1], "big") ^ self._own

        for place in nlargest(max(1, len(self._held) // 16), self._held, key=distance):
            del self._held[place]
