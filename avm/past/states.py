"""The state of a machine after any turn. Shell.

Beside the journey, for `state` and wherever new code is tried: the newest snapshot, then the turns
since, taken again by a worker.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from avm.host import journal
from avm.host.chain import Link, Slots
from avm.host.effects import Load
from avm.host.recover import recovery
from avm.host.state import Machine
from avm.machine import frames
from avm.past.reading import Kept, NoSuchTurn, Reader
from avm.past.rerun import CannotRerun, Progress
from avm.run.worker import Worker


def state_at(
    reader: Reader,
    machine: Machine,
    worker: Worker,
    turn: int | None = None,
    progress: Progress | None = None,
) -> tuple[bytes, list[Any]]:
    """The state after a turn, the newest unless said: body and references, whole.

    Raises NoSuchTurn, CannotRerun, WorkerLost.
    """
    at = reader.head(machine) - 1 if turn is None else turn
    check_turn(reader, machine, at)
    load_at(reader, machine, worker, at, progress)
    return loaded_state(machine, worker)


def loaded_state(machine: Machine, worker: Worker) -> tuple[bytes, list[Any]]:
    """The state of a machine that is loaded in a worker: body and references, whole."""
    answer = _only(worker, [frames.SNAPSHOT, machine.id, 0])
    frames.check_answer(answer, frames.SNAPSHOT)
    if answer[5]:
        raise CannotRerun(f"{machine.name}: {answer[5]}")
    return answer[3], answer[4]


def kept_at(reader: Reader, machine: Machine, worker: Worker, turn: int) -> Kept:
    """The state after a turn as a snapshot would have it; raises as `state_at` does."""
    body, references = state_at(reader, machine, worker, turn)
    before = reader.kept(machine, turn)
    slots = Slots(0 if before is None else before.next_slot)
    code = _init_code(reader, machine) if before is None else before.code
    for link in reader.walk(machine, 0 if before is None else before.n + 1, turn + 1):
        if isinstance(link, Link):
            slots.take(link.entry)
    return Kept(turn, code, body, references, slots.next, journal.digest_of(body, references))


def load_at(
    reader: Reader,
    machine: Machine,
    worker: Worker,
    at: int,
    progress: Progress | None = None,
) -> None:
    """Brings the state after a turn into a worker; raises NoSuchTurn, CannotRerun, WorkerLost."""
    kept = reader.kept(machine, at)
    if kept is None and reader.first(machine):
        first = oldest(reader, machine)
        assert first is not None, "the journal does not begin at init"
        raise NoSuchTurn(pruned(machine, first.n))
    code = _init_code(reader, machine) if kept is None else kept.code
    generation = reader.generation(machine, -1 if kept is None else kept.n)
    load = Load(0, machine.id, code, True, 0, generation, 0)
    entries = reader.store.entries(machine.id, 0 if kept is None else kept.n + 1, at + 1)
    snapshot = reader.store.snapshot(machine.id, at)
    steps = recovery(load, reader.bundle(code), snapshot, _told(entries, progress))
    answers: list[bytes] = []
    for frame in steps:
        last = frames.unpack(frame)[0] == frames.LOADED
        answers += worker.exchange([frame], int(last))
    answer = frames.unpack_untrusted(answers[0])
    frames.check_answer(answer, frames.LOADED)
    if answer[3]:
        raise CannotRerun(f"the state of {machine.name} cannot be shown: {answer[3]}")


def _init_code(reader: Reader, machine: Machine) -> bytes:
    for n, body, _printed in reader.store.entries(machine.id, 0, 1):
        found: bytes = journal.decode(n, body)["code"]
        return found
    raise CannotRerun(f"{machine.name} has no journal")


def _told(
    entries: Iterable[tuple[int, bytes, str | None]], progress: Progress | None
) -> Iterator[tuple[int, bytes, str | None]]:
    for row in entries:
        if progress is not None:
            progress(row[0])
        yield row


def _only(worker: Worker, frame: list[Any]) -> list[Any]:
    return frames.unpack_untrusted(next(iter(worker.exchange([frames.pack(frame)], 1))))


def oldest(reader: Reader, machine: Machine) -> Kept | None:
    """The oldest snapshot when the journal does not reach back to `init`."""
    if not reader.first(machine):
        return None
    first = None
    for kept in reader.snapshots(machine):
        first = kept
    if first is None:
        raise CannotRerun(f"the journal of {machine.name} was cut, and there is no snapshot")
    return first


def check_turn(reader: Reader, machine: Machine, turn: int) -> None:
    """Whether a machine has taken this turn; NoSuchTurn."""
    head = reader.head(machine)
    if not 0 <= turn < head:
        why = f"{machine.name} has no turn {turn}"
        raise NoSuchTurn(f"{why}: its newest is {head - 1}")


def pruned(machine: Machine, first: int) -> str:
    """What is said of a turn that the journal does not reach back to."""
    return f"the journal of {machine.name} was pruned: the oldest state there is is of turn {first}"


__all__ = ["check_turn", "kept_at", "load_at", "loaded_state", "oldest", "pruned", "state_at"]
