"""A journal executed again, to see whether every output is what it was. Shell.

Beside the journey. Inputs go to a worker as they were recorded, answers are held against the
record, and nothing has an effect. Time-outs, memory, dead workers and what the host itself judged
are trusted from the record: they are not the code's doing alone.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import (
    Fault,
    Input,
    Link,
    Slots,
    changes,
    given_references,
    input_of,
    is_signal,
    output_of,
)
from avm.host.journal import Entry
from avm.machine import frames
from avm.past.difference import Difference, Outcome, between, outcome_of
from avm.past.labels import Lens
from avm.past.reading import Kept
from avm.run.worker import Worker, WorkerLost

FLIGHT_BYTES = 32 * 1024
FLIGHT_FRAMES = 256
TRACEBACK = "Traceback (most recent call last)"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
FROM_STEP = (journal.TURN, journal.INIT, journal.SIGNAL)

Progress = Callable[[int], None]


class OtherPython(AvmError):
    """The turns were taken under another minor version of Python, which may compute otherwise."""


class CannotRerun(AvmError):
    """The journal cannot be executed again; the text says why."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Every output and every digest is what it was, from turn `first` on."""

    turns: int
    trusted: int
    first: int


@dataclass(frozen=True, slots=True)
class Expected:
    """An answer that is due, and what was recorded in its place."""

    entry: Entry
    kind: int
    next_slot: int
    digest: bytes | None = None


@dataclass(slots=True)
class Rerun:
    """One machine's journal going through a worker.

    Whether a turn changed the state is told by identity, and a step that returns a constant gives
    another object where the constant was stored meanwhile. That alone is no difference but a
    `doubt`, which lasts until a state has the recorded digest.
    """

    machine: int
    worker: Worker
    bundle_of: Callable[[bytes], bytes | None]
    lens: Lens
    any_python: bool = False
    progress: Progress | None = None
    generation: int = 0
    slots: Slots = field(default_factory=Slots)
    code: bytes = b""
    sent: set[bytes] = field(default_factory=set)
    pending: list[bytes] = field(default_factory=list)
    due: list[Expected] = field(default_factory=list)
    lined_up: int = 0
    turns: int = 0
    trusted: int = 0
    why: str = ""
    doubt: Difference | None = None

    def run(
        self, links: Iterable[Link | Fault], start: Kept | None = None
    ) -> Agreed | Difference | Fault:
        """Takes the entries in order, those after `start` again; stops at the first that differs."""
        first = 0 if start is None else start.n
        for link in links:
            if isinstance(link, Fault):
                return self._flush() or link
            entry = link.entry
            if start is not None and entry.n <= start.n:
                if entry.n == start.n:
                    self._begin(entry, start)
                continue
            found = self._take(entry)
            if found is not None:
                return found
        return self._flush() or Agreed(self.turns, self.trusted, first)

    def _begin(self, entry: Entry, start: Kept) -> None:
        """Begins with a snapshot, the turns before it being gone."""
        self.slots = Slots(start.next_slot)
        self.code = start.code
        self._load(entry, start.body, start.references)

    def _take(self, entry: Entry) -> Difference | None:
        form = entry.form
        if form in (journal.INIT, journal.RUNTIME):
            self._check_python(entry.n, entry["python"])
        if form == journal.INIT:
            self.code = entry["code"]
            self._send_code(self.code)
            self._send([frames.LOAD, self.machine, self.code, None, [], 0, 0])
        if form in FROM_STEP or form in (journal.REFUSED, journal.FAILED):
            self._turn(entry)
        elif form == journal.SNAPSHOT:
            self._ask(entry, frames.SNAPSHOT, digest=entry["digest"])
        elif form == journal.CODE:
            found = self._switch(entry)
            if found is not None:
                return found
        elif form == journal.EDIT:
            return self._put(entry)
        elif form == journal.GENERATION:
            self.generation = entry["generation"]
            self._send([frames.RENEW, self.machine, self.generation])
        self.slots.take(entry)
        if self.lined_up > FLIGHT_BYTES or len(self.pending) > FLIGHT_FRAMES:
            return self._flush()
        return None

    def _check_python(self, n: int, python: str) -> None:
        found = re.match(r"\d+\.\d+", python)
        if found is None or found.group() == PYTHON or self.any_python:
            return
        other = found.group()
        since, until = (f" from {n} on", f", or --to {n - 1}") if n else ("", "")
        raise OtherPython(
            f"the turns{since} were taken under Python {other}, and this is {PYTHON}, which may "
            f"compute otherwise: replay with Python {other}{until}, or add --force"
        )

    def _turn(self, entry: Entry) -> None:
        self.turns += 1
        if entry.form == journal.FAILED and not is_the_steps(entry):
            self.trusted += 1
            return
        kind = frames.MESSAGES
        if entry.form == journal.INIT:
            kind = frames.INIT
        elif is_signal(entry):
            kind = frames.SIGNAL
        self._ask(entry, frames.TURN, kind, entry["input"])

    def _switch(self, entry: Entry) -> Difference | None:
        """New code, as recorded: the worker migrates, or takes the state that came with it."""
        self.code = entry["code"]
        if "body" in entry.fields:
            return self._put(entry)
        self._send_code(self.code)
        self._ask(entry, frames.MIGRATE, self.code, digest=entry["digest"])
        return None

    def _put(self, entry: Entry) -> Difference | None:
        """A state by hand, or one rebuilt, is taken as recorded; it must be what its digest says."""
        found = self._flush()
        if found is not None:
            return found
        body, references = entry["body"], entry["references"]
        if journal.digest_of(body, references) != entry["digest"]:
            what = "the edited state" if entry.form == journal.EDIT else "the rebuilt state"
            return Difference(entry.n, None, what, "its digest", "another")
        self.slots.take(entry)
        self._load(entry, body, references)
        self._ask(entry, frames.SNAPSHOT, digest=entry["digest"])
        return None

    def _load(self, entry: Entry, body: bytes, references: list[Any]) -> None:
        """Puts a recorded state into the worker, under the code of its time."""
        self._send_code(self.code)
        place = [self.code, body, references, self.slots.next, self.generation]
        self._send([frames.LOAD, self.machine, *place])
        self._ask(entry, frames.LOADED)

    def state(self) -> tuple[bytes, list[Any]]:
        """The state as it is now: body and references; raises CannotRerun."""
        frame = frames.pack([frames.SNAPSHOT, self.machine, 0])
        answer = frames.unpack_untrusted(next(iter(self.worker.exchange([frame], 1))))
        frames.check_answer(answer, frames.SNAPSHOT)
        if answer[5]:
            raise CannotRerun(answer[5])
        return answer[3], answer[4]

    def _send_code(self, code: bytes) -> None:
        if code in self.sent:
            return
        bundle = self.bundle_of(code)
        if bundle is None:
            raise CannotRerun(f"the store has no code {code.hex()[:8]}: it is damaged")
        self.sent.add(code)
        self._send([frames.CODE, code, bundle])

    def _ask(self, entry: Entry, kind: int, *rest: Any, digest: bytes | None = None) -> None:
        self.due.append(Expected(entry, kind, self.slots.next, digest))
        self._send([kind, self.machine, entry.n, *rest])

    def _send(self, frame: list[Any]) -> None:
        """Lines up a frame; a large one is to stand alone, so that neither end waits for both."""
        body = frames.pack(frame)
        self.pending.append(body)
        self.lined_up += len(body)

    def _flush(self) -> Difference | None:
        """Sends what is lined up, and compares its answers."""
        pending, due = self.pending, self.due
        self.pending, self.due, self.lined_up = [], [], 0
        waiting = iter(due)
        at = due[0] if due else None
        try:
            for part in _parts(pending):
                answers = sum(frames.unpack(frame)[0] in frames.SHAPES for frame in part)
                for answer in self.worker.exchange(part, answers):
                    at = next(waiting)
                    found = self._compare(at, frames.unpack_untrusted(answer))
                    if found is not None:
                        return found
        except WorkerLost as lost:
            late = next(waiting, at)
            assert late is not None, "something was asked"
            after = due[-1].entry.n - late.entry.n
            why = f"{lost}, here or up to {after} turns later" if after else str(lost)
            return Difference(late.entry.n, None, "the verdict", _was(late.entry), why)
        if self.progress is not None and due:
            self.progress(due[-1].entry.n)
        return None

    def _compare(self, expected: Expected, answer: list[Any]) -> Difference | None:
        entry = expected.entry
        frames.check_answer(answer, expected.kind)
        if expected.kind == frames.TURN:
            return self._compare_turn(expected, answer[3])
        if expected.kind == frames.LOADED:
            why = answer[3]
        else:
            why = answer[5]
            digest = None if why else journal.digest_of(answer[3], answer[4])
            if not why and expected.digest is not None and digest != expected.digest:
                assert digest is not None
                was, now = expected.digest.hex()[:16], digest.hex()[:16]
                return Difference(entry.n, None, "the state's digest", was, now)
            self.doubt = None
        return Difference(entry.n, None, "the state", "loaded", why) if why else None

    def _compare_turn(self, expected: Expected, output: bytes) -> Difference | None:
        entry = expected.entry
        if entry.form in FROM_STEP and output == entry["output"]:
            return None
        answer = frames.unpack_output_untrusted(output)
        given = input_of(entry)
        if entry.form in FROM_STEP and _sends_alike(entry, given, answer):
            self.doubt = self.doubt or between(entry.n, given, entry["output"], output, self.lens)
            return None
        now = outcome_of(answer, given.places if given is not None else [])
        was = recorded_outcome(entry)
        if was != now:
            self.why = str(answer[2]) if answer[0] else ""
            index = now.index if was.index is None else was.index
            if was.verdict == now.verdict:
                return Difference(entry.n, index, "the message", str(was.index), str(now.index))
            return Difference(entry.n, index, "the verdict", str(was), str(now))
        if entry.form not in FROM_STEP:
            return None
        self.lens.next_slot, self.lens.interned = expected.next_slot, changes(entry)
        return between(entry.n, given, entry["output"], output, self.lens)


def _sends_alike(entry: Entry, given: Input | None, answer: list[Any]) -> bool:
    """Whether only that the state is the same object differs, as with a constant that was stored."""
    if answer[0] or answer[2] != output_of(entry):
        return False
    if any(type(one) is int and one < 0 for one in given_references(given)):
        raise CannotRerun(f"turn {entry.n} took capabilities, and its state is another object")
    return True


def is_the_steps(entry: Entry) -> bool:
    """Whether a failure is an exception of the machine's code, and not a judgment of the host."""
    by_step = entry["reason"] == "exception" and entry["detail"].startswith(TRACEBACK)
    return bool(by_step and entry["input"])


def recorded_outcome(entry: Entry) -> Outcome:
    """The outcome that was recorded; the class of an exception is not compared."""
    if entry.form == journal.REFUSED:
        word = entry["word"]
        return Outcome(f"refused: {word}" if word else "refused", entry["index"])
    if entry.form == journal.FAILED:
        return Outcome("rejected", entry["index"])
    return Outcome("applied")


def _was(entry: Entry) -> str:
    return (
        "applied"
        if entry.form not in (journal.REFUSED, journal.FAILED)
        else str(recorded_outcome(entry))
    )


def _parts(pending: list[bytes]) -> Iterator[list[bytes]]:
    """Frames in runs that fit a socket's buffer; one that does not goes alone."""
    part: list[bytes] = []
    size = 0
    for frame in pending:
        if part and size + len(frame) > FLIGHT_BYTES:
            yield part
            part, size = [], 0
        part.append(frame)
        size += len(frame) + 4
    if part:
        yield part


__all__ = ["PYTHON", "Agreed", "CannotRerun", "OtherPython", "Rerun"]
