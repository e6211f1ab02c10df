"""One span of a journal run again, so that nothing but the state and the messages can count. Shell.

Beside the journey. The span is cut into parts, each as long as all before it. It is taken
twice, under two hash seeds, and each output must be the record's:

    kept      only the turns that changed the state, as after a crash, in one process
    every     all turns, each part in a fresh process, from the state that `kept` came to

At the end of each part both must be in the same state. So what a step keeps in a module, what it
does to a state that it returns as it was, and what it takes from the order of a set, each come out
otherwise in one of the two.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import Fault, Link, changes
from avm.host.state import Machine
from avm.machine import frames
from avm.past.difference import Difference, between_states
from avm.past.labels import Labels, Lens
from avm.past.reading import Kept, Reader
from avm.past.rerun import CannotRerun, OtherPython, Rerun
from avm.run.worker import Worker, WorkerLost

EVERY, KEPT = 0, 1
NAMED_BYTES_MAX = 1024 * 1024
# What tells of a limit of the configuration, which may have been another when the turn was taken.
LIMITS = ("TooLarge", "TooDeep", "TooBig", "RecursionError", "MemoryError")
CUT = " ..."
WITHOUT_STATE = (journal.REFUSED, journal.FAILED, journal.SNAPSHOT)

Start = Callable[[int], AbstractContextManager[Worker]]


class NoVerdict(AvmError):
    """The span could not be run again to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A worker whose end is no verdict on the machine."""

    inner: Worker

    def exchange(self, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends the frames and gives their answers; raises NoVerdict."""
        try:
            yield from self.inner.exchange(frames, answers)
        except WorkerLost as lost:
            raise NoVerdict(str(lost)) from None


@dataclass(slots=True)
class Again:
    """A machine's span; `start_worker` gives a fresh worker under the hash seed of either run."""

    reader: Reader
    machine: Machine
    start_worker: Start
    lens: Lens = field(init=False)
    whole: bool = False
    turns: int = 0

    def __post_init__(self) -> None:
        labels = Labels({self.machine.address: self.machine.name})
        self.lens = Lens(self.machine.address, {}, labels)

    def run(self, start: int, stop: int) -> Difference | None:
        """What differs in the entries after the snapshot `start` (-1: all) and below `stop`.

        Raises NoVerdict.
        """
        self.whole = start < 0
        try:
            first = self._first(start)
            with self.start_worker(KEPT) as worker:
                kept = self._rerun(worker, first)
                found = self._parts(kept, first, min(stop, self.reader.head(self.machine)))
            self.turns += kept.turns
        except (CannotRerun, OtherPython, frames.BadFrame) as error:
            raise NoVerdict(str(error)) from None
        return found

    def _first(self, start: int) -> Kept | None:
        if start < 0:
            return None
        kept = self.reader.kept(self.machine, start)
        if kept is None or kept.n != start:
            raise NoVerdict(f"the snapshot of turn {start} is gone")
        return kept

    def _parts(self, kept: Rerun, first: Kept | None, stop: int) -> Difference | None:
        before = first
        at = begin = 0 if first is None else first.n + 1
        while at < stop:
            end = min(at + max(1, at - begin), stop)
            every = self._every(before, at, end)
            if isinstance(every, Difference):
                return every
            state = self._take(kept, KEPT, first, at, end)
            if isinstance(state, Difference):
                return state
            if state.digest != every.digest:
                found = self._first_apart(first, before, at, end)
                return found or self._apart(end - 1, state, every)
            before, at = state, end
        return None

    def _every(self, before: Kept | None, at: int, end: int) -> Kept | Difference:
        with self.start_worker(EVERY) as worker:
            every = self._rerun(worker, before)
            found = self._take(every, EVERY, before, at, end)
            self.turns += every.turns
        if isinstance(found, Difference):
            return self._named(found, before, at)
        return found

    def _take(
        self, rerun: Rerun, which: int, start: Kept | None, at: int, end: int
    ) -> Kept | Difference:
        """The state after a part, or the first answer that is not the record's."""
        found = rerun.run(self._links(which, start, at, end), start)
        if isinstance(found, Fault):
            raise NoVerdict(f"turn {found.n}: {found.why}")
        if isinstance(found, Difference):
            self._judge(found, rerun.why)
            return found
        return self._state(rerun, end - 1)

    def _judge(self, found: Difference, why: str) -> None:
        """A limit that was met here or then is none of the machine's doing: raises NoVerdict."""
        entry = next(self.reader.walk(self.machine, found.turn, found.turn + 1), None)
        was = str(entry.entry.fields.get("detail", "")) if isinstance(entry, Link) else ""
        cut = found.was.endswith(CUT) or found.now.endswith(CUT)
        if found.path == "the verdict" and (cut or any(one in was + why for one in LIMITS)):
            raise NoVerdict(f"turn {found.turn}: {found.now}, by a limit")

    def _rerun(self, worker: Worker, start: Kept | None) -> Rerun:
        machine = self.machine
        rerun = Rerun(machine.id, Patient(worker), self.reader.bundle, self.lens)
        rerun.generation = self.reader.generation(machine, -1 if start is None else start.n)
        return rerun

    def _links(self, which: int, start: Kept | None, at: int, end: int) -> Iterator[Link | Fault]:
        """The entries of a part, behind that of the snapshot where a part begins with it."""
        begin = start.n if start is not None and start.n == at - 1 else at
        for link in self.reader.walk(self.machine, begin, end):
            if not self.whole and isinstance(link, Link) and link.entry.form == journal.RUNTIME:
                raise NoVerdict(f"before turn {link.entry.n} it may be another Python's")
            if which == EVERY or isinstance(link, Fault) or link.entry.n < at or _changed(link):
                yield link

    def _state(self, rerun: Rerun, n: int) -> Kept:
        body, references = rerun.state()
        digest = journal.digest_of(body, references)
        return Kept(n, rerun.code, body, references, rerun.slots.next, digest)

    # What is said of a difference.

    def _named(self, found: Difference, before: Kept | None, at: int) -> Difference:
        """A difference of the digests at a snapshot with the value that differs."""
        recorded = self.reader.kept(self.machine, found.turn)
        entry = next(self.reader.walk(self.machine, found.turn, found.turn + 1), None)
        snapshot = isinstance(entry, Link) and entry.entry.form == journal.SNAPSHOT
        if not snapshot or recorded is None or recorded.n != found.turn:
            return found
        now = before
        if at < found.turn:
            with self.start_worker(EVERY) as worker:
                taken = self._take(self._rerun(worker, before), EVERY, before, at, found.turn)
            now = taken if isinstance(taken, Kept) else None
        return found if now is None else self._apart(found.turn, recorded, now)

    def _first_apart(
        self, first: Kept | None, before: Kept | None, at: int, end: int
    ) -> Difference | None:
        """The first turn of a part after which the two states are not the same, with the value."""
        with self.start_worker(KEPT) as one, self.start_worker(EVERY) as other:
            kept = self._states(one, KEPT, first, at, end)
            state, coming = before, next(kept, None)
            for now in self._states(other, EVERY, before, at, end):
                if coming is not None and coming.n == now.n:
                    state, coming = coming, next(kept, None)
                if state is not None and state.digest != now.digest:
                    note = "" if state.n == now.n else ", which the turn kept,"
                    return self._apart(now.n, state, now, note)
        return None

    def _states(
        self, worker: Worker, which: int, start: Kept | None, at: int, end: int
    ) -> Iterator[Kept]:
        """The state after each entry that is taken of a part, the run being from `start` on."""
        rerun = self._rerun(worker, start)
        first = 0 if start is None else start.n + 1
        for link in self._links(which, start, first, end):
            found = rerun.run((link,), start)
            if isinstance(found, Difference | Fault):
                return
            assert isinstance(link, Link), "a fault ends the run"
            if link.entry.n >= at:
                yield self._state(rerun, link.entry.n)

    def _apart(self, n: int, was: Kept, now: Kept, note: str = "") -> Difference:
        if max(len(was.body), len(now.body)) > NAMED_BYTES_MAX:
            return Difference(n, None, "the state's digest", was.digest.hex(), now.digest.hex())
        self.lens.next_slot, self.lens.interned = now.next_slot, True
        old, new = ((one.body, one.references) for one in (was, now))
        path, *values = between_states(old, new, self.lens)
        return Difference(n, None, path + note, *values)


def _changed(link: Link) -> bool:
    """Whether an entry counts after a crash too: it changed the state or the code."""
    form = link.entry.form
    if form in (journal.TURN, journal.SIGNAL):
        return changes(link.entry)
    return form not in WITHOUT_STATE


__all__ = ["EVERY", "KEPT", "Again", "NoVerdict", "Start"]
