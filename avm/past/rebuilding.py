"""A machine's state made anew of its recorded inputs by new code, beside the one that it has. Shell.

Beside the journey, for `reprocess`: nothing is sent, and nothing is changed before the switch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import Fault, Link, output_of
from avm.host.journal import Entry, now_of
from avm.host.refer import COMMONS, slots_in
from avm.host.state import Machine
from avm.machine.reference import inner_of
from avm.past.candidate import Candidate
from avm.past.difference import in_states
from avm.past.labels import Lens
from avm.past.reading import NoSuchTurn, Reader
from avm.past.rerun import CannotRerun, Progress
from avm.past.shadow import TURNS, NewCode, NewCodeStops, Shadow, Taken, in_full
from avm.past.states import check_turn, kept_at, oldest, pruned, state_at
from avm.run.worker import Worker, WorkerLost

SHOWN_MAX = 20
Field = tuple[str, str, str]
Start = Callable[[], AbstractContextManager[Worker]]


class AnotherJournal(AvmError):
    """The state that is kept aside is not of this journal: `reprocess` again, or `--drop` it."""


@dataclass(slots=True)
class Rebuilt:
    """What came of it: `not_applied` are turns that were, and why not any more; the first few of them.

    `applied` counts turns that the record has as refused or rejected, `otherwise` those that send
    something else. `fields` are where the present state and the new one differ.
    """

    candidate: Candidate | None = None
    turns: int = 0
    left_out: int = 0
    trusted: int = 0
    otherwise: int = 0
    applied: int = 0
    not_applied_count: int = 0
    not_applied: list[tuple[int, int | None, str]] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    not_kept: str = ""


@dataclass(slots=True)
class Rebuilding:
    """One pass over a journal, or the rest of one; `host` is the host's address."""

    reader: Reader
    machine: Machine
    start_worker: Start
    host: bytes = b""
    progress: Progress | None = None
    found: Rebuilt = field(default_factory=Rebuilt)

    def first_since(self, since_ms: int) -> int:
        """The first turn that was taken at a time or after it; NoSuchTurn."""
        for link in self.reader.walk(self.machine):
            if (
                isinstance(link, Link)
                and link.entry.form in TURNS
                and now_of(link.entry) >= since_ms
            ):
                return link.entry.n
        raise NoSuchTurn(f"{self.machine.name} has taken no turn since then")

    def senders(self) -> set[bytes]:
        """Who has said something to the machine."""
        links = self.reader.walk(self.machine)
        entries = [link.entry for link in links if isinstance(link, Link)]
        return {entry["sender"] for entry in entries if "sender" in entry.fields}

    def run(
        self, new: NewCode, first: int, senders: tuple[bytes, ...] = (), left_out: bool = False
    ) -> Rebuilt:
        """Makes the state anew by the inputs from a turn on; the state before it is kept and migrated.

        Raises NoSuchTurn, NewCodeStops, CannotRerun, WorkerLost.
        """
        check_turn(self.reader, self.machine, first)
        plan = Candidate(
            self.machine.address, new.bundle, b"", [], first, 0, b"", senders, left_out
        )
        with self.start_worker() as worker:
            shadow = self._shadow(worker, new, first)
            if first:
                with self.start_worker() as before:
                    kept = kept_at(self.reader, self.machine, before, first - 1)
                shadow.begin(kept)
            elif self.reader.first(self.machine):
                start = oldest(self.reader, self.machine)
                assert start is not None, "the journal begins with a snapshot"
                why = pruned(self.machine, start.n)
                raise NoSuchTurn(f"{why}; `--from {start.n + 1}` goes on from there")
            self._walk(shadow, plan, first)
            self._keep(shadow, plan)
        return self.found

    def catch_up(self, one: Candidate) -> Rebuilt:
        """Takes the turns since a candidate was made; raises AnotherJournal and as `run` does."""
        machine = self.machine
        self._check(one)
        if one.head == machine.head:
            self.found.candidate = one
            return self.found
        with self.start_worker() as worker:
            new = NewCode(one.code, one.bundle)
            shadow = self._shadow(worker, new, one.head)
            with self.start_worker() as before:
                following = kept_at(self.reader, machine, before, one.head - 1).next_slot
            shadow.go_on(one.head - 1, one.body, one.references, following)
            self._walk(shadow, one, one.head)
            self._keep(shadow, one)
        return self.found

    def _check(self, one: Candidate) -> None:
        last = next(self.reader.walk(self.machine, one.head - 1, one.head), None)
        same = isinstance(last, Link) and last.entry.hash == one.chain
        if one.address != self.machine.address or not same:
            raise AnotherJournal(AnotherJournal.__doc__)

    def _shadow(self, worker: Worker, new: NewCode, first: int) -> Shadow:
        generation = self.reader.generation(self.machine, first - 1)
        return Shadow(self.machine.id, worker, self.reader.bundle, new, generation)

    def _walk(self, shadow: Shadow, plan: Candidate, start: int) -> None:
        for link in self.reader.walk(self.machine, start):
            if isinstance(link, Fault):
                raise CannotRerun(f"turn {link.n}: {link.why}; restore a backup")
            entry = link.entry
            if not self._takes(plan, entry):
                shadow.skip(entry)
                self.found.left_out += entry.form in TURNS
                continue
            try:
                taken = shadow.take(entry)
            except WorkerLost as lost:
                raise NewCodeStops(f"turn {entry.n}: {lost}") from None
            if taken is not None:
                self._note(taken)
            if self.progress is not None:
                self.progress(entry.n)
        self.found.turns, self.found.trusted = shadow.turns, shadow.trusted

    def _takes(self, plan: Candidate, entry: Entry) -> bool:
        """Whether an entry is taken; what an operator did by hand is nobody's of the senders."""
        if not plan.senders or entry.form in (journal.INIT, journal.GENERATION):
            return True
        if entry.form in TURNS:
            return plan.takes(entry.fields.get("sender", self.host))
        return entry.form == journal.CODE and "body" not in entry.fields

    def _note(self, taken: Taken) -> None:
        found, was = self.found, taken.was.verdict == "applied"
        found.applied += taken.applied and not was
        if was and not taken.applied:
            found.not_applied_count += 1
            if len(found.not_applied) < SHOWN_MAX:
                why = in_full(taken.now, taken.why)
                found.not_applied.append((taken.entry.n, taken.now.index, why))
        elif was and [*_trimmed(taken.sends)] != [*_trimmed(output_of(taken.entry))]:
            found.otherwise += 1

    def _keep(self, shadow: Shadow, plan: Candidate) -> None:
        """Holds the state that came of it against what the machine still holds, and against its state."""
        machine, found = self.machine, self.found
        body, references = shadow.state()
        lost = _lost(references) or slots_in(references) - set(self.reader.slots(machine))
        if lost:
            found.not_kept = "it holds a capability that the machine does not hold any more"
        made = replace(plan, body=body, references=references)
        found.candidate = replace(made, head=machine.head, chain=machine.chain)
        found.fields = self.differing(found.candidate)

    def differing(self, one: Candidate) -> list[Field]:
        """Where the present state and a candidate's differ."""
        machine = self.machine
        with self.start_worker() as worker:
            present = state_at(self.reader, machine, worker)
        lens = Lens(machine.address, self.reader.slots(machine), self.reader.labels())
        lens.next_slot = machine.next_slot
        differ = in_states(present, (one.body, one.references), lens)
        return [one for one, _ in zip(differ, range(SHOWN_MAX), strict=False)]


def _trimmed(sends: list[list[Any]]) -> list[list[Any]]:
    """Without the messages at the end that send nothing."""
    last = max((at for at, said in enumerate(sends, 1) if said), default=0)
    return sends[:last]


def _lost(references: list[Any]) -> set[Any]:
    """The references that are none of the machine's: what only the new code held."""
    found: set[Any] = set()
    for one in references:
        if type(one) is list:
            found |= _lost(inner_of(one))
        elif type(one) is str and one not in COMMONS:
            found.add(one)
    return found


__all__ = ["AnotherJournal", "Rebuilding", "Rebuilt"]
