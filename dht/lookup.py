"""One lookup: disjoint paths towards a key, each with a sliding window over what it has heard of.

Step 7 of the journey. The contacts to start with are dealt to several paths (S/Kademlia, Baumgart and
Mies, 2007); what a node names is heard by the path that asked it and by no other, so one liar spoils
one path. A path asks the closest it knows until its window is asked out; an answer that is slow does
not hold it up. When nothing is found, or the density test finds the neighbourhood odd, the whole
region of the key is searched by more paths to points spread over it: ids ground next to the key stand
in one part of it only.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from caps.light import dataclass
from dht.contact import Contact
from dht.density import SPACE, is_odd, region_bits, region_points
from dht.path import Asked, Path, State
from dht.proofs import Kind, Proved
from dht.settings import CLOSEST, ID_BYTES, Settings


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a lookup's trace; times in milliseconds, `note` says why something was refused."""

    contact: Contact
    path: int
    hop: int
    asked_ms: int
    answered_ms: int | None
    outcome: str
    records: tuple[Proved, ...]
    note: str


class Near(Protocol):
    """The contacts that a node knows."""

    def closest(self, point: int, count: int) -> list[Contact]:
        """Return the contacts closest to a point."""

    def network_size(self) -> float:
        """Return about how many nodes the network has."""


class Lookup:
    """A walk towards a key, for the records of a kind or, with no kind, for the closest nodes.

    The node sends what `next_asks` names and tells `answered`, `slow` or `failed`; it holds no
    packet and no timer. `near` is the routing table's.
    """

    __slots__ = (
        "_answered_ids", "_near", "_point", "_settings", "_size", "_starts", "_waiting",
        "asked", "begun_ms", "ended", "escalated", "first_hop", "first_ms", "holders", "key",
        "kind", "number", "parts", "paths"
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        key: bytes,
        kind: Kind | None,
        near: Near,
        settings: Settings,
        now_ms: int,
    ) -> None:
        self.number = number
        self.key = key
        self.kind = kind
        self.begun_ms = now_ms
        self.escalated = False
        self.ended = False
        self.first_ms: int | None = None
        self.first_hop: int | None = None
        self.asked: dict[Contact, Asked] = {}
        self.holders: list[Asked] = []
        self._point = int.from_bytes(key, "big")
        self._answered_ids: set[bytes] = set()
        self._waiting = 0
        self._size = near.network_size()
        self._near = near
        self._settings = settings
        self.parts: list[Path] = []
        self._starts = near.closest(self._point, settings.width)
        paths = settings.paths if kind is not None else settings.put_paths
        self.paths = [Path(self._point, settings.width, settings) for _ in range(paths)]
        for turn, contact in enumerate(self._starts):
            self.paths[turn % paths].hear(contact, 1)
        if kind is None:
            self._starts = []

    def next_asks(self, now_ms: int) -> Iterator[tuple[Contact, bytes]]:
        """Yield whom to ask now, with the point whose neighbours are wanted; may end the lookup."""
        while not self.ended:
            yield from self._pump(now_ms)
            if self._waiting or self.ended:
                return
            if self.holders or not (self._start_again() or self._escalate()):
                self.ended = True

    def answered(
        self, contact: Contact, now_ms: int, named: Sequence[Contact], records: tuple[Proved, ...]
    ) -> None:
        """Take an answer: its records count for the lookup, who it names for its path alone."""
        entry = self.asked[contact]
        self._settle(entry, State.ANSWERED)
        entry.answered_ms = now_ms
        entry.records = records
        self._answered_ids.add(contact.id)
        path = self.paths[entry.path]
        for other in named:
            path.hear(other, entry.hop + 1)
        if records:
            self.holders.append(entry)
            if self.first_ms is None:
                self.first_ms, self.first_hop = now_ms, entry.hop
            if len(self.holders) >= self._settings.quorum:
                self.ended = True

    def slow(self, contact: Contact) -> None:
        """Go on beside a question whose answer is late."""
        entry = self.asked[contact]
        if entry.state is State.WAITING:
            entry.state = State.SLOW
            self.paths[entry.path].busy -= 1

    def failed(self, contact: Contact, note: str) -> None:
        """Give up on a question: no answer, or one that does not prove who gave it."""
        entry = self.asked[contact]
        if entry.state in (State.WAITING, State.SLOW):
            self._settle(entry, State.FAILED)
            entry.note = note
            for path in self.paths:
                path.spent = False

    def closest_answered(self) -> list[Asked]:
        """Return those that answered, the closest to the key first."""
        answered = [entry for entry in self.asked.values() if entry.state is State.ANSWERED]
        return sorted(answered, key=lambda entry: entry.contact.long_id ^ self._point)

    def stores(self) -> list[Asked]:
        """Return who shall keep a record: the closest, and after a search some of each part."""
        closest = self.closest_answered()
        chosen = {entry.contact: entry for entry in closest[:CLOSEST]}
        for path in self.parts:
            apart = [entry for entry in closest if not path.shuns(entry.contact)]
            apart.sort(key=lambda entry: entry.contact.long_id ^ path.point)
            for entry in apart[: self._settings.region_stores]:
                chosen[entry.contact] = entry
        return list(chosen.values())

    def trace(self) -> tuple[Step, ...]:
        """Return each question in the order it was put."""
        return tuple(
            Step(
                entry.contact,
                entry.path,
                entry.hop,
                entry.asked_ms,
                entry.answered_ms,
                entry.state.name.lower(),
                entry.records,
                entry.note,
            )
            for entry in self.asked.values()
        )

    def _settle(self, entry: Asked, state: State) -> None:
        if entry.state is State.WAITING:
            self.paths[entry.path].busy -= 1
        if entry.state in (State.WAITING, State.SLOW):
            self._waiting -= 1
        entry.state = state

    def _pump(self, now_ms: int) -> Iterator[tuple[Contact, bytes]]:
        for number, path in enumerate(self.paths):
            while self._has_room(path):
                found = path.next(number, self.asked, self._answered_ids)
                if found is None:
                    break
                contact, hop = found
                self.asked[contact] = Asked(contact, number, hop, now_ms)
                self._waiting += 1
                path.busy += 1
                yield contact, path.point.to_bytes(ID_BYTES, "big")

    def _has_room(self, path: Path) -> bool:
        if len(self.asked) >= self._settings.requests_max:
            return False
        if self._waiting >= self._settings.waiting_max:
            return False
        if path.spent:
            return False
        if self.holders:
            return not any(other.busy for other in self.paths)
        return not path.busy

    def _start_again(self) -> bool:
        # A liar met early fills a path's window with its friends: whoever of our own table was not
        # asked yet gets a path of its own, which may get past them.
        rest = [contact for contact in self._starts if contact not in self.asked]
        self._starts = []
        for contact in rest:
            path = Path(self._point, self._settings.width, self._settings)
            path.hear(contact, 1)
            self.paths.append(path)
        return bool(rest)

    def _is_odd(self) -> bool:
        distances = [
            entry.contact.long_id ^ self._point for entry in self.closest_answered()[:CLOSEST]
        ]
        return is_odd(distances, self._size)

    def _escalate(self) -> bool:
        if self.escalated or not self.asked or (self.kind is None and not self._is_odd()):
            return False
        self.escalated = True
        settings = self._settings
        points = region_points(self._point, region_bits(self._size), settings.region_paths)
        shunned = (self._point, int(SPACE / self._size))
        parts = [Path(point, settings.region_width, settings, shunned) for point in points]
        starts = self._near.closest(self._point, settings.candidates_max)
        unasked = [contact for contact in starts if contact not in self.asked]
        for turn, contact in enumerate(unasked[: settings.region_starts]):
            parts[turn % len(parts)].hear(contact, 1)
        self.parts = parts
        self.paths += parts
        return True
