"""What a machine was after one of its turns, as far as its journal says: time, code, slots. Shell.

Beside the journey, for questions about the past. The state itself is made again by `states`.
"""

from dataclasses import dataclass

from avm.host import journal
from avm.host.capability import Cap
from avm.host.chain import Fault, Link, Slots
from avm.host.state import Machine
from avm.past.labels import Labels, Lens
from avm.past.reading import NoSuchTurn, Reader
from avm.past.states import check_turn, oldest, pruned
from avm.store.errors import StoreDamaged


@dataclass(frozen=True, slots=True)
class Moment:
    """A machine as it was after turn `turn`."""

    turn: int
    now_ms: int
    code: bytes
    generation: int
    next_slot: int


def moment_at(reader: Reader, machine: Machine, turn: int) -> Moment:
    """What the machine was after a turn; raises NoSuchTurn, StoreDamaged."""
    check_turn(reader, machine, turn)
    kept = reader.kept(machine, turn)
    code, slots, start = b"", Slots(), 0
    if kept is not None:
        code, slots.next, start = kept.code, kept.next_slot, kept.n + 1
    elif reader.first(machine):
        first = oldest(reader, machine)
        assert first is not None, "a journal that was cut begins with a snapshot"
        raise NoSuchTurn(pruned(machine, first.n))
    for link in reader.walk(machine, start, turn + 1):
        entry = sound(machine, link).entry
        slots.take(entry)
        if entry.form == journal.INIT:
            code = entry["code"]
    generation = reader.generation(machine, turn)
    now_ms = time_of(reader, machine, turn)
    return Moment(turn, now_ms, code, generation, slots.next)


def sound(machine: Machine, link: Link | Fault) -> Link:
    """The entry of a journal; raises StoreDamaged with its turn where it is damaged."""
    if isinstance(link, Fault):
        why = f"{machine.name}, turn {link.n}: {link.why}"
        raise StoreDamaged(f"{why}; `verify` looks at all of it")
    return link


def time_of(reader: Reader, machine: Machine, turn: int) -> int:
    """When a turn was, in ms; of an entry without a time that of the one before."""
    for n in range(turn, -1, -1):
        for link in reader.walk(machine, n, n + 1):
            now_ms = journal.now_of(sound(machine, link).entry)
            if now_ms:
                return now_ms
        if n == reader.first(machine):
            break
    return 0


def newest_by(reader: Reader, machine: Machine, now_ms: int) -> int:
    """The newest turn that is not after a time; -1 where there is none that is kept."""
    first = reader.first(machine) or 0
    low, high = first, reader.head(machine)
    while low < high:
        middle = (low + high) // 2
        if time_of(reader, machine, middle) <= now_ms:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low > first else -1


def lens_at(reader: Reader, machine: Machine, labels: Labels, moment: Moment) -> Lens:
    """Looks at what the machine held then; what it has collected since has no name any more."""
    held = slots_below(reader, machine, moment.next_slot)
    return Lens(machine.address, held, labels, moment.next_slot)


def slots_below(reader: Reader, machine: Machine, next_slot: int) -> dict[int, Cap]:
    """The capabilities that a machine holds and had in a slot below this one."""
    return {slot: cap for slot, cap in reader.slots(machine).items() if slot < next_slot}


def entry_at(reader: Reader, machine: Machine, turn: int) -> Link:
    """The entry of a turn; raises NoSuchTurn where it was pruned, StoreDamaged."""
    check_turn(reader, machine, turn)
    for link in reader.walk(machine, turn, turn + 1):
        return sound(machine, link)
    first = reader.first(machine)
    raise NoSuchTurn(f"the journal of {machine.name} was pruned: it begins with turn {first}")


__all__ = [
    "Moment",
    "entry_at",
    "lens_at",
    "moment_at",
    "newest_by",
    "slots_below",
    "sound",
    "time_of",
]
