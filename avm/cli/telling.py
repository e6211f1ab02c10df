"""A machine's entries told one at a time, in the words of `log`."""

from typing import Any

from avm.cli.times import utc
from avm.host.chain import Slots
from avm.host.state import Machine
from avm.past.entries import Narrator
from avm.past.labels import Labels, Lens
from avm.past.moments import entry_at, moment_at, slots_below, time_of
from avm.past.reading import NoSuchTurn, Reader
from avm.past.states import oldest


def tell_entry(reader: Reader, machine: Machine, labels: Labels, turn: int) -> dict[str, Any]:
    """One entry as JSON, as `log --json` has it; raises NoSuchTurn, StoreDamaged."""
    link = entry_at(reader, machine, turn)
    before = _next_slot(reader, machine, turn - 1) if turn else 0
    held = slots_below(reader, machine, _next_slot(reader, machine, turn))
    narrator = Narrator(Lens(machine.address, held, labels), Slots(before))
    narrator.now_ms = time_of(reader, machine, turn)
    told = narrator.tell(link)
    return {**told, "time": utc(narrator.now_ms)}


def _next_slot(reader: Reader, machine: Machine, turn: int) -> int:
    """How many slots there were after a turn; before the oldest snapshot, as many as there were then."""
    try:
        return moment_at(reader, machine, turn).next_slot
    except NoSuchTurn:
        kept = oldest(reader, machine)
        return machine.next_slot if kept is None else kept.next_slot


__all__ = ["tell_entry"]
