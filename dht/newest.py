"""What replaces what: a newer record an older one, never the reverse, and nothing a contested one.

Step 7 of the journey, at the storer and at the reader alike. Two hosts under one incarnation, or two
keys of a host under one of its own, are evidence against the address's owner: the first is kept, the
incarnation is frozen and the pair told.
"""

from collections.abc import Iterable
from enum import Enum, auto

from caps.light import dataclass
from dht.proofs import Kind, Proved


class Verdict(Enum):
    """What became of a record that was offered."""

    NEWER = auto()
    SAME = auto()
    OLDER = auto()
    CONTRADICTS = auto()


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest record seen of a key, and whether its incarnation is frozen."""

    newest: Proved
    frozen: bool = False


class Newest:
    """The highest mark of each key and speaker, at most `entries_max`, the oldest touched forgotten."""

    __slots__ = ("_entries_max", "_marks")

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._marks: dict[tuple[Kind, bytes, bytes], Mark] = {}

    def mark(self, kind: Kind, key: bytes, speaker: bytes = b"") -> Mark | None:
        """Return what is known of a key."""
        return self._marks.get((kind, key, speaker))

    def offer(self, record: Proved) -> Verdict:
        """Raise the mark to a record if it is newer, and say what it is."""
        place = (record.kind, record.key, record.speaker)
        mark = self._marks.pop(place, None)
        verdict = Verdict.NEWER if mark is None else _verdict(mark, record)
        if mark is None or verdict is Verdict.NEWER:
            mark = Mark(record)
        elif verdict is Verdict.CONTRADICTS:
            mark = Mark(mark.newest, frozen=True)
        self._marks[place] = mark
        if len(self._marks) > self._entries_max:
            del self._marks[next(iter(self._marks))]
        return verdict

    def saved(self) -> tuple[Mark, ...]:
        """Return all marks, the one touched longest ago first."""
        return tuple(self._marks.values())

    def load(self, marks: Iterable[Mark]) -> None:
        """Put back what `saved` returned."""
        for mark in marks:
            newest = mark.newest
            self._marks[newest.kind, newest.key, newest.speaker] = mark


def _verdict(mark: Mark, record: Proved) -> Verdict:
    newest = mark.newest
    if record.body == newest.body:
        return Verdict.SAME
    if newest.contradicts(record):
        return Verdict.CONTRADICTS
    if not record.newer_than(newest):
        return Verdict.OLDER
    if mark.frozen and record.order[0] == newest.order[0]:
        return Verdict.CONTRADICTS
    return Verdict.NEWER
