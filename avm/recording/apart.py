"""Where two lives of a host come apart: what each did for its machines and clients, held against the other's. Pure.

Beside the journey. After a change the two do the same things at other inputs, so it is by what they are
about that they are held together: a turn by its machine and number, a verdict by its batch.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from avm.recording.difference import NOTHING, Difference, between_entries, deep, shown
from avm.recording.outputs import JOURNAL

KEPT_MAX = 10_000
Subject = tuple[Any, ...]
# What has come in one of the two alone: of one subject perhaps several, one after the other.
Waiting = dict[Subject, deque[tuple[int, Any]]]
TURN, VERDICT, DELIVERY, REQUEST, FRAME = "turn", "verdict", "delivery", "request", "frame"
WORDS = {TURN: "turn", VERDICT: "verdict", DELIVERY: "delivery", REQUEST: "answer to the operator"}
WORDS |= {FRAME: "frame to another host"}


@dataclass(frozen=True, slots=True)
class Apart:
    """One thing that is not the same in both: at which input, what it is about, and what differs."""

    n: int
    subject: Subject
    difference: Difference


@dataclass(slots=True)
class Lives:
    """Holds what was recorded against what comes now; what has come in both is compared and dropped."""

    first: Apart | None = None
    counts: Counter[tuple[str, Any]] = field(default_factory=Counter)
    _was: Waiting = field(default_factory=dict)
    _now: Waiting = field(default_factory=dict)
    _said: Counter[tuple[bool, int]] = field(default_factory=Counter)

    def recorded(self, n: int, output: list[Any]) -> None:
        """What came of an input then."""
        for subject, value in self._subjects(output, True):
            self._meet(n, subject, value, self._was, self._now, False)

    def came(self, n: int, output: list[Any]) -> None:
        """What comes of an input now."""
        for subject, value in self._subjects(output, False):
            self._meet(n, subject, value, self._now, self._was, True)

    def end(self) -> None:
        """What only one of them did is apart too."""
        for mine, is_now in ((self._was, False), (self._now, True)):
            rest = [(subject, *one) for subject, some in mine.items() for one in some]
            for subject, n, value in rest:
                pair = (NOTHING, shown(value)) if is_now else (shown(value), NOTHING)
                self._note(n, subject, Difference("it", *pair))
            mine.clear()

    @property
    def too_many(self) -> bool:
        """Whether they have nothing in common any more: then it is no use to go on."""
        return len(self._was) > KEPT_MAX or len(self._now) > KEPT_MAX

    def _subjects(self, output: list[Any], is_was: bool) -> Iterator[tuple[Subject, Any]]:
        _result, effects, group = output
        for effect in effects:
            match effect:
                case ["Verdict", client, receiver, seq, verdict]:
                    yield (VERDICT, client, receiver, seq), verdict
                case ["Deliver", client, ["Batch", sender, _receiver, seq, batch]]:
                    yield (DELIVERY, client, sender, seq), batch
                case ["Done", request, *rest]:
                    yield (REQUEST, request), rest
                case ["Say", link, *_]:
                    self._said[(is_was, link)] += 1
                    yield (FRAME, link, self._said[(is_was, link)]), None
        for machine, n, _before, entry, _printed in group[JOURNAL] if group is not None else ():
            yield (TURN, machine, n), entry

    def _meet(
        self,
        n: int,
        subject: Subject,
        value: Any,
        mine: Waiting,
        other: Waiting,
        is_now: bool,
    ) -> None:
        found = other.get(subject)
        if found is None:
            mine.setdefault(subject, deque()).append((n, value))
            return
        at, met = found.popleft()
        if not found:
            del other[subject]
        if met != value:
            was, now = (met, value) if is_now else (value, met)
            between = between_entries if subject[0] == TURN else deep
            self._note(at if is_now else n, subject, between("", was, now))

    def _note(self, n: int, subject: Subject, difference: Difference) -> None:
        about = subject[1] if subject[0] == TURN else None
        self.counts[(subject[0], about)] += 1
        # Of what comes apart at one input, a machine's turn is the cause of the others.
        place = (n, subject[0] != TURN)
        if self.first is None or place < (self.first.n, self.first.subject[0] != TURN):
            self.first = Apart(n, subject, difference)
