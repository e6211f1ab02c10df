"""Recorded inputs taken by new code, one turn after another, without effects. Shell.

Beside the journey, for the dry run of an upgrade and for a state that is rebuilt. The inputs are the
recorded ones whatever the new code sends; its own state goes on from turn to turn. A state by hand
is taken as it was recorded, and migrated. What the host itself judged (time-outs, memory, dead
workers, capabilities that were not valid) is trusted from the record.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import Input, changes, given_references, input_of, is_signal
from avm.host.journal import Entry
from avm.host.refer import slots_in
from avm.machine import frames
from avm.past.difference import Outcome, outcome_of
from avm.past.numbering import Numbering
from avm.past.reading import Kept
from avm.past.rerun import FROM_STEP, CannotRerun, is_the_steps, recorded_outcome
from avm.run.worker import Worker, WorkerLost

TURNS = (*FROM_STEP, journal.REFUSED, journal.FAILED)


class NewCodeStops(AvmError):
    """The new code cannot go on with what is recorded; the text says where and why."""


@dataclass(frozen=True, slots=True)
class NewCode:
    """Code that a machine does not run yet: its hash and its bundle."""

    hash: bytes
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """A recorded turn as new code took it; its sends refer as the record does.

    `why` is its word of a refusal, or its exception in a line. `kept` says that it changed the state.
    """

    entry: Entry
    given: Input
    was: Outcome
    now: Outcome
    sends: list[list[list[Any]]]
    why: str
    kept: bool

    @property
    def applied(self) -> bool:
        """Whether the new code took the turn."""
        return self.now.verdict == "applied"


@dataclass(slots=True)
class Shadow:
    """One machine's recorded turns going through new code in a worker."""

    machine: int
    worker: Worker
    bundle_of: Callable[[bytes], bytes | None]
    new: NewCode
    generation: int = 0
    numbering: Numbering = field(default_factory=Numbering)
    code: bytes = b""
    sent: set[bytes] = field(default_factory=set)
    turns: int = 0
    trusted: int = 0

    def begin(self, kept: Kept) -> None:
        """Begins with a recorded state, migrated; raises NewCodeStops, CannotRerun, WorkerLost."""
        self.code = kept.code
        self._place(kept.n, kept.body, kept.references, kept.next_slot)

    def go_on(self, n: int, body: bytes, references: list[Any], following: int) -> None:
        """Begins with a state that the new code has come to before, its references the record's."""
        self.code = self.new.hash
        self._load(n, body, references, following)

    def take(self, entry: Entry) -> Taken | None:
        """Takes an entry; None where it is no turn of the code's. Raises as `begin` does."""
        form = entry.form
        if form == journal.INIT:
            self.code = entry["code"]
            self._send_code(self.new.hash)
            self._send([frames.LOAD, self.machine, self.new.hash, None, [], 0, 0])
        if form in TURNS:
            return self._turn(entry)
        if form == journal.EDIT:
            self._by_hand(entry)
        elif form == journal.CODE:
            self.code = entry["code"]
            if "body" in entry.fields:
                self._by_hand(entry)
        elif form == journal.GENERATION:
            self.generation = entry["generation"]
            self._send([frames.RENEW, self.machine, self.generation])
        return None

    def skip(self, entry: Entry) -> None:
        """Passes over an entry whose input is left out; its capabilities are not held."""
        if entry.form == journal.GENERATION:
            self.take(entry)
        if entry.form == journal.EDIT:
            used = slots_in(entry["references"])
            self.numbering.recorded = max(self.numbering.recorded, 1 + max(used, default=-1))
        fresh = -min(slots_in(given_references(input_of(entry))), default=0)
        self.numbering.after(max(fresh, 0), changes(entry), [], False)

    def _turn(self, entry: Entry) -> Taken | None:
        self.turns += 1
        given = input_of(entry)
        if given is None or (entry.form == journal.FAILED and not is_the_steps(entry)):
            self.trusted += 1
            return None
        fresh = max(0, -min(slots_in(given_references(given)), default=0))
        messages, brought = self.numbering.given(given.messages, fresh)
        packed = entry["input"]
        if messages is not given.messages:
            place = [given.now_ms, given.channel, given.ordinal, given.from_host]
            packed = frames.pack([*place, messages])
        kind = frames.SIGNAL if is_signal(entry) else frames.MESSAGES
        if entry.form == journal.INIT:
            kind = frames.INIT
        answer = self._ask([frames.TURN, self.machine, entry.n, kind, packed])
        output = output_in(answer)
        now = outcome_of(output, given.places)
        applied = not output[0]
        sends = self.numbering.told_sends(output[2], brought) if applied else []
        kept = bool(applied and output[1])
        self.numbering.after(fresh, changes(entry), brought, kept)
        why = "" if applied else str(output[2])
        if entry.form == journal.INIT and not applied:
            raise NewCodeStops(f"turn {entry.n}: init was applied, now {in_full(now, why)}")
        return Taken(entry, given, recorded_outcome(entry), now, sends, why, kept)

    def _by_hand(self, entry: Entry) -> None:
        used = slots_in(entry["references"])
        following = max(self.numbering.recorded, 1 + max(used, default=-1))
        self._place(entry.n, entry["body"], entry["references"], following)

    def _place(self, n: int, body: bytes, references: list[Any], following: int) -> None:
        """Puts a recorded state into the worker, under the code of its time, and migrates it."""
        self._load(n, body, references, following)
        self._send_code(self.new.hash)
        why = self._ask([frames.MIGRATE, self.machine, n, self.new.hash])[5]
        if why:
            raise NewCodeStops(f"the state of turn {n}: {why}")

    def _load(self, n: int, body: bytes, references: list[Any], following: int) -> None:
        self._send_code(self.code)
        place = [self.code, body, references, following, self.generation]
        self._send([frames.LOAD, self.machine, *place])
        why = self._ask([frames.LOADED, self.machine, n])[3]
        if why:
            raise NewCodeStops(f"the state of turn {n}: {why}")
        self.numbering = Numbering.at(following)

    def state(self) -> tuple[bytes, list[Any]]:
        """The state as it is now, its references the record's; raises NewCodeStops, WorkerLost."""
        answer = self._ask([frames.SNAPSHOT, self.machine, 0])
        if answer[5]:
            raise NewCodeStops(f"the state at the end: {answer[5]}")
        return answer[3], [self.numbering.told(one, []) for one in answer[4]]

    def _send_code(self, code: bytes) -> None:
        if code in self.sent:
            return
        bundle = self.new.bundle if code == self.new.hash else self.bundle_of(code)
        if bundle is None:
            raise CannotRerun(f"the store has no code {code.hex()[:8]}: it is damaged")
        self.sent.add(code)
        self._send([frames.CODE, code, bundle])

    def _send(self, frame: list[Any]) -> None:
        for _answer in self.worker.exchange([frames.pack(frame)], 0):
            raise WorkerLost("the worker said what it was not asked")

    def _ask(self, frame: list[Any]) -> list[Any]:
        return asked(self.worker, frame)


def in_full(now: Outcome, why: str) -> str:
    """The verdict of new code, with its exception where it broke."""
    return f"{now}: {why}" if now.verdict == "rejected" and why else str(now)


def output_in(answer: list[Any]) -> list[Any]:
    """The output in an answer to a turn; raises WorkerLost."""
    try:
        return frames.unpack_output_untrusted(answer[3])
    except frames.BadFrame as error:
        raise WorkerLost(f"the worker is broken: {error}") from None


def asked(worker: Worker, frame: list[Any]) -> list[Any]:
    """What a worker answers to one frame; raises WorkerLost."""
    try:
        answer = frames.unpack_untrusted(next(iter(worker.exchange([frames.pack(frame)], 1))))
        frames.check_answer(answer, frame[0])
    except frames.BadFrame as error:
        raise WorkerLost(f"the worker is broken: {error}") from None
    return answer


__all__ = ["NewCode", "NewCodeStops", "Shadow", "Taken", "asked", "in_full", "output_in"]
