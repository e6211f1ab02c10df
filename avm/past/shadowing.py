"""New code on a machine's whole journal, and all that would be otherwise. Shell.

Beside the journey, for `replay --code`: before any switch. Nothing is sent and nothing is changed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import zip_longest

from avm.host.chain import Fault, changes, output_of, sent_references
from avm.host.state import Machine
from avm.past.contexts import Contexts, NotTaken, trial
from avm.past.difference import Difference, between_states, in_message
from avm.past.labels import Lens
from avm.past.reading import Kept, NoSuchTurn, Reader
from avm.past.rerun import CannotRerun, Progress
from avm.past.shadow import NewCode, NewCodeStops, Shadow, Taken, in_full
from avm.past.states import check_turn, kept_at, oldest, pruned, state_at
from avm.run.worker import Worker, WorkerLost

FIELDS_MAX = 20
Field = tuple[str, str, str]
Start = Callable[[], AbstractContextManager[Worker]]


@dataclass(slots=True)
class Compared:
    """What new code made of a journal.

    `first` is the turn whose state it began with, `turns` were taken and `trusted` of them are the record's; `fields` are
    all of the first message that differs: path, recorded and found. `untold` are the shapes of which
    nothing is known, `passed_over` counts contexts beyond those that were looked at. `state` is where
    the last state differs from the present one under the new code. Where it could not go on,
    `stopped` says why.
    """

    first: int
    turns: int = 0
    trusted: int = 0
    turns_differing: int = 0
    messages_differing: int = 0
    difference: Difference | None = None
    fields: list[Field] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    passed_over: int = 0
    state: Field | None = None
    upgrade: str = ""
    stopped: str = ""
    fault: Fault | None = None

    @property
    def agrees(self) -> bool:
        """Whether all was answered as it is recorded, and the new code takes the machine as it stands.

        Another state at the end is none of it: a `migrate` decides what is in it.
        """
        found = self.difference or self.not_taken or self.fault
        return not (found or self.upgrade or self.stopped)


@dataclass(slots=True)
class Shadowing:
    """One pass over a journal."""

    reader: Reader
    machine: Machine
    new: NewCode
    start_worker: Start
    to: int | None = None
    progress: Progress | None = None
    since: int = 0
    lens: Lens = field(init=False)
    contexts: Contexts = field(init=False)
    found: Compared = field(init=False)

    def __post_init__(self) -> None:
        machine, reader = self.machine, self.reader
        self.lens = Lens(machine.address, reader.slots(machine), reader.labels())
        self.contexts = Contexts(self.lens)

    def run(self) -> Compared:
        """Compares; raises NoSuchTurn, CannotRerun."""
        for turn in (self.since, self.to):
            if turn is not None:
                check_turn(self.reader, self.machine, turn)
        kept = self._before()
        if kept is not None and self.to is not None and self.to < kept.n:
            raise NoSuchTurn(pruned(self.machine, kept.n))
        self.found = Compared(0 if kept is None else kept.n)
        last = None
        with self.start_worker() as worker:
            generation = self.reader.generation(self.machine, -1 if kept is None else kept.n)
            place = (self.machine.id, worker, self.reader.bundle, self.new, generation)
            shadow = Shadow(*place)
            try:
                if kept is not None:
                    shadow.begin(kept)
                self._walk(shadow, -1 if kept is None else kept.n)
                if not self.found.fault:
                    last = shadow.state()
            except (NewCodeStops, WorkerLost) as error:
                self.found.stopped = self.found.stopped or str(error)
            self.found.turns, self.found.trusted = shadow.turns, shadow.trusted
        if self.to is None and not self.found.fault:
            self._present(last)
        self.found.not_taken = list(self.contexts.not_taken.values())
        return self.found

    def _before(self) -> Kept | None:
        """The state to begin with, where that is not `init`."""
        if not self.since:
            return oldest(self.reader, self.machine)
        with self.start_worker() as worker:
            return kept_at(self.reader, self.machine, worker, self.since - 1)

    def _walk(self, shadow: Shadow, after: int) -> None:
        stop = None if self.to is None else self.to + 1
        for link in self.reader.walk(self.machine, 0, stop):
            if isinstance(link, Fault):
                self.found.fault = link
                return
            entry = link.entry
            self.contexts.gave_out(entry.n, sent_references(output_of(entry)))
            if entry.n <= after:
                continue
            following = shadow.numbering.recorded
            try:
                taken = shadow.take(entry)
            except WorkerLost as lost:
                raise NewCodeStops(f"turn {entry.n}: {lost}") from None
            if taken is not None:
                self.lens.next_slot, self.lens.interned = following, changes(entry)
                self._note(taken)
            if self.progress is not None:
                self.progress(entry.n)

    def _note(self, taken: Taken) -> None:
        found, entry = self.found, taken.entry
        if taken.was.verdict == "applied":
            index = None if taken.applied else taken.now.index
            self.contexts.came(entry.n, taken.given, index, in_full(taken.now, taken.why))
        if taken.was != taken.now:
            found.messages_differing += 1
            message, fields = _verdicts(taken)
            fields_told = [fields]
        else:
            both = zip_longest(output_of(entry), taken.sends)
            apart = [at for at, (was, now) in enumerate(both) if (was or []) != (now or [])]
            if not apart:
                return
            found.messages_differing += len(apart)
            message, fields_told = self._fields(taken, apart[0])
        found.turns_differing += 1
        if found.difference is None:
            path, was, now = fields_told[0]
            found.difference = Difference(entry.n, message, path, was, now)
            found.fields = fields_told[:FIELDS_MAX]

    def _fields(self, taken: Taken, at: int) -> tuple[int, list[Field]]:
        """The place of the message that is the `at`-th to send, and where its sends differ."""
        was, now = (
            [*sends, *[[]] * (at + 1)][at] for sends in (output_of(taken.entry), taken.sends)
        )
        places = taken.given.places
        return places[at] if at < len(places) else at, list(in_message(was, now, self.lens))

    def _present(self, last: tuple[bytes, list[object]] | None) -> None:
        """Whether the machine as it stands goes on under the new code, and its contexts are taken."""
        machine, found = self.machine, self.found
        with self.start_worker() as worker:
            try:
                state = state_at(self.reader, machine, worker)
                both = trial(worker, machine, self.new, state)
                if isinstance(both, str):
                    found.upgrade = both
                    return
                self.contexts.open(
                    self.reader.open_asks(machine), self.reader.timers(machine), machine.address
                )
                both.run(self.contexts)
            except (CannotRerun, WorkerLost) as error:
                found.stopped = found.stopped or f"the machine as it stands: {error}"
                return
        found.untold, found.passed_over = both.untold, self.contexts.passed_over
        if last is not None and (last[0], last[1]) != (both.new[1], both.new[2]):
            self.lens.next_slot, self.lens.interned = machine.next_slot, True
            found.state = between_states((both.new[1], both.new[2]), last, self.lens)


def _verdicts(taken: Taken) -> tuple[int | None, Field]:
    was, now = taken.was, taken.now
    index = now.index if was.index is None else was.index
    if was.verdict == now.verdict:
        return index, ("the message", str(was.index), str(now.index))
    return index, ("the verdict", str(was), in_full(taken.now, taken.why))
