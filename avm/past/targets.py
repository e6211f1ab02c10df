"""To which capabilities a machine sent its batches, as its own journal and its slots say. Shell.

Beside the journey, for forks of the past. The entry of the turn that took a batch has contexts, and not
what stands beside one on its capability: caveats, priority, kind, expiry.
"""

from collections.abc import Iterator
from typing import Any

from avm.host.capability import Cap, address_of
from avm.host.chain import Slots, output_of
from avm.host.journal import Entry
from avm.host.state import Machine
from avm.past.labels import Labels, Lens
from avm.past.moments import sound
from avm.past.reading import Reader
from avm.past.states import oldest
from caps.errors import CapsError

# The places in a send's row, and how many there are of one with a reply, a deadline or a timer.
TO, AFTER_MS, APART, WHOLE = 0, 5, 6, 7

Line = list[Cap]


def targets_of(
    reader: Reader, sender: Machine, turn: int, receiver: bytes, wanted: range
) -> dict[int, Line]:
    """By the numbers of a channel, to what each message of a batch was sent; none where a slot is given up.

    The machine's journal is gone through up to `turn`; raises StoreDamaged.
    """
    kept = oldest(reader, sender)
    slots, follow = reader.slots(sender), Slots() if kept is None else Slots(kept.next_slot)
    found: dict[int, Line] = {}
    for link in reader.walk(sender, 0 if kept is None else kept.n + 1, turn + 1):
        entry, before = sound(sender, link).entry, follow.next
        follow.take(entry)
        for to, first, count in entry.fields.get("sent", ()):
            if to == receiver and first < wanted.stop and first + count > wanted.start:
                lens = Lens(sender.address, slots, Labels(), before, follow.next > before)
                lines = _lines(entry, lens, receiver)
                if len(lines) == count:
                    found.update(zip(range(first, first + count), lines, strict=True))
    return found


def _lines(entry: Entry, lens: Lens, receiver: bytes) -> list[Line]:
    """The batches of a turn to one receiver, in their order: what goes together, then what goes apart."""
    together: Line = []
    apart: list[Line] = []
    for send in _sends(entry):
        to = _target(lens, send[TO])
        if to is None:
            return []
        if address_of(to) == receiver:
            if len(send) == WHOLE and send[APART]:
                apart.append([to])
            else:
                together.append(to)
    return [together, *apart] if together else apart


def _sends(entry: Entry) -> Iterator[list[Any]]:
    """What a turn sent at once: neither timers nor cancels."""
    for said in output_of(entry):
        for send in said:
            if len(send) > 1 and (len(send) < WHOLE or send[AFTER_MS] is None):
                yield send


def _target(lens: Lens, reference: Any) -> Cap | None:
    try:
        return lens.cap_of(lens.handle(reference))
    except CapsError:
        return None


__all__ = ["targets_of"]
