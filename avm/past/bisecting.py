"""The first turn after which an expectation of the state fails. Shell.

Beside the journey, for `bisect`. A worker takes the turns that changed the state once more, one after
the other, and judges the state after each. Turn by turn and not by halves: a state that was wrong
and came right again would lead these to another turn than the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import STATES, changes
from avm.host.journal import Entry
from avm.host.recover import KINDS
from avm.host.state import Machine
from avm.limits import Limits
from avm.machine import frames
from avm.machine.bundle import Bundle
from avm.machine.judge import EXPECT, FAILS, GONE, JUDGE, UNSOUND
from avm.past.moments import sound
from avm.past.reading import Reader
from avm.past.rerun import FLIGHT_BYTES, FLIGHT_FRAMES, CannotRerun, Progress
from avm.past.states import check_turn, load_at, oldest
from avm.run.worker import Timed, WorkerLost

# An answer follows a turn and a judgment, each of which has the time of a turn.
TURNS_AN_ANSWER = 2


class ExpectationRefused(AvmError):
    """The expectation is none, or cannot be judged; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Held:
    """It holds after each of the turns from `first` to `last`."""

    first: int
    last: int
    judged: int


@dataclass(frozen=True, slots=True)
class Failed:
    """`turn` is the first after which it fails; it is judged from `first` on."""

    first: int
    turn: int
    why: str
    printed: str


@dataclass(slots=True)
class Bisection:
    """One pass over a machine's turns."""

    reader: Reader
    machine: Machine
    worker: Timed
    limits: Limits
    progress: Progress | None = None
    takes_turn: bool = False
    pending: list[bytes] = field(default_factory=list)
    lined_up: int = 0
    due: list[int] = field(default_factory=list)
    judged: int = 0

    def run(
        self, expectation: Bundle, first: int | None = None, last: int | None = None
    ) -> Held | Failed:
        """Judges the states after the turns from `first` to `last`: all there are, unless said.

        Raises NoSuchTurn, ExpectationRefused, CannotRerun, StoreDamaged.
        """
        kept = oldest(self.reader, self.machine)
        start = first if first is not None else 0 if kept is None else kept.n
        stop = self.reader.head(self.machine) - 1 if last is None else last
        for turn in (start, stop):
            check_turn(self.reader, self.machine, turn)
        self._expect(expectation)
        load_at(self.reader, self.machine, self.worker, start, self.progress)
        found = self._judge(start) or self._rest(start + 1, stop)
        if found is None:
            return Held(start, stop, self.judged)
        turn, why, printed = found
        return Failed(start, turn, why, printed)

    def _expect(self, expectation: Bundle) -> None:
        self.worker.within(self.limits.turn_s)
        frame = frames.pack([EXPECT, expectation.hash, expectation.encode()])
        try:
            answer = frames.unpack_untrusted(next(iter(self.worker.exchange([frame], 1))))
        except WorkerLost as lost:
            raise ExpectationRefused(f"the expectation does not load: {lost}") from None
        finally:
            self.worker.within(None)
        if answer[3]:
            raise ExpectationRefused(str(answer[3]))
        self.takes_turn = answer[4]

    def _rest(self, start: int, stop: int) -> tuple[int, str, str] | None:
        """Goes over the entries; the first after which it fails."""
        for link in self.reader.walk(self.machine, start, stop + 1):
            entry = sound(self.machine, link).entry
            if entry.form in STATES and entry.form != journal.SNAPSHOT:
                found = self._flush()
                if found is None:
                    load_at(self.reader, self.machine, self.worker, entry.n)
                    found = self._judge(entry.n)
            else:
                found = self._line_up(entry)
            if found is not None:
                return found
        return self._flush()

    def _line_up(self, entry: Entry) -> tuple[int, str, str] | None:
        """A turn to be taken again, if it changed the state, and to be judged."""
        taken = _to_take(entry)
        if taken is None and not self.takes_turn:
            return None
        fresh = [] if taken is None else [frames.pack([frames.AGAIN, self.machine.id, [taken]])]
        fresh.append(frames.pack([JUDGE, self.machine.id, entry.n]))
        size = sum(map(len, fresh))
        found = None
        if self.lined_up + size > FLIGHT_BYTES or len(self.pending) >= FLIGHT_FRAMES:
            found = self._flush()
        if size > FLIGHT_BYTES and found is None:  # alone, so that neither end waits for both
            list(self.worker.exchange(fresh[:-1], 0))
            fresh = fresh[-1:]
        self.pending += fresh
        self.lined_up += size
        self.due.append(entry.n)
        return found

    def _judge(self, n: int) -> tuple[int, str, str] | None:
        self.pending.append(frames.pack([JUDGE, self.machine.id, n]))
        self.due.append(n)
        return self._flush()

    def _flush(self) -> tuple[int, str, str] | None:
        """Sends what is lined up, and takes the judgments in order."""
        pending, due = self.pending, self.due
        self.pending, self.due, self.lined_up = [], [], 0
        judging = iter(due)
        try:
            if due:
                self.worker.within(self.limits.turn_s * TURNS_AN_ANSWER)
            for answer in self._judgments(pending, len(due)):
                found = self._heard(next(judging), answer)
                if found is not None:
                    return found
        except WorkerLost as lost:
            n = next(judging, due[-1])
            raise ExpectationRefused(f"the state after turn {n} cannot be judged: {lost}") from None
        finally:
            self.worker.within(None)
        if self.progress is not None and due:
            self.progress(due[-1])
        return None

    def _judgments(self, pending: list[bytes], answers: int) -> Iterator[list[object]]:
        for answer in self.worker.exchange(pending, answers):
            yield frames.unpack_untrusted(answer)

    def _heard(self, n: int, answer: list[object]) -> tuple[int, str, str] | None:
        match answer:
            case [int(kind), int(), int(turn), int(verdict), str(why), str(printed)]:
                assert (kind, turn) == (JUDGE, n), "judgments come in order"
            case _:
                raise CannotRerun(f"turn {n}: the worker is broken")
        self.judged += 1
        if verdict == GONE:
            raise CannotRerun(f"{self.machine.name} does not come back: {why}")
        if verdict == UNSOUND:
            raise ExpectationRefused(f"on the state after turn {n}: {why}")
        return (n, why, printed) if verdict == FAILS else None


def _to_take(entry: Entry) -> list[object] | None:
    """What a worker is given to take an entry again; None where it changed no state."""
    if entry.form == journal.GENERATION:
        return [entry.n, frames.GENERATION, entry["generation"], None]
    if entry.form not in KINDS or not changes(entry):
        return None
    return [entry.n, KINDS[entry.form], entry["input"], entry["output"]]


__all__ = ["Bisection", "ExpectationRefused", "Failed", "Held"]
