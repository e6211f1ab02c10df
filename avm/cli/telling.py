"""A machine's entries told one at a time, in the words of `log`."""

from typing import Any

from avm.cli.times import utc
from avm.host.chain import Slots
from avm.host.state import Machine
from avm.run.entries import Narrator
from avm.run.labels import Labels
from avm.run.moments import lens_at, moment_at, sound, time_of
from avm.run.reading import Reader


def tell_entry(reader: Reader, machine: Machine, labels: Labels, turn: int) -> dict[str, Any]:
    """One entry as JSON, as `log --json` has it; raises NoSuchTurn, StoreDamaged."""
    moment = moment_at(reader, machine, turn)
    before = moment_at(reader, machine, turn - 1).next_slot if turn else 0
    narrator = Narrator(lens_at(reader, machine, labels, moment), Slots(before))
    narrator.now_ms = time_of(reader, machine, turn)
    (link,) = reader.walk(machine, turn, turn + 1)
    told = narrator.tell(sound(machine, link))
    return {**told, "time": utc(narrator.now_ms)}


__all__ = ["tell_entry"]
