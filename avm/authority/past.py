"""What a machine's journal says of its capabilities: where each came from, and where it went. Pure.

Beside the journey. A slot is given by the turn that changed the state and brought the capability; a
`collect` entry ends it. What a turn sends is in its entry, by the machine's own references.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from avm.authority.holding import OPERATOR
from avm.host import journal
from avm.host.capability import Cap, Local, Named, address_of, narrowed
from avm.host.chain import Link, changes, given_references, input_of, output_of
from avm.host.journal import Entry
from avm.host.refer import slots_in
from avm.machine.reference import is_narrowed, plain_of
from caps.caveats import parse_caveat_untrusted

UNKNOWN = b""
TO, CAPS, REPLY, WHOLE = 0, 2, 3, 7  # the places in a send's row


class Arrival(NamedTuple):
    """How a slot came to be: in which turn, from whom, in which of their batches."""

    turn: int
    sender: bytes
    seq: int


class Handed(NamedTuple):
    """A capability that a turn sent: to whom, and what it was.

    `slot` is the slot it was passed on from, or -1 of the machine's own and of what was not kept; no
    `cap` where the table does not have it any more; `UNKNOWN` where it is not known to whom. `whole` is that
    all that is in its context is known too.
    """

    turn: int
    to: bytes
    cap: Cap | None
    slot: int
    whole: bool = True


@dataclass(slots=True)
class Past:
    """What one journal says; `begins` is the first slot that it tells of."""

    begins: int = 0
    arrivals: dict[int, Arrival] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    sent: dict[tuple[bytes, int], int] = field(default_factory=dict)
    generations: dict[int, int] = field(default_factory=dict)


def past_of(
    address: bytes,
    links: Iterable[Link],
    slots: Mapping[int, Cap],
    begins: int = 0,
    machines: AbstractSet[bytes] = frozenset(),
) -> Past:
    """Goes through a journal, whole or from a snapshot on that had `begins` slots.

    `machines` are the addresses of those that are here.
    """
    past = Past(begins)
    reader = _Walk(address, slots, machines, past, begins)
    for link in links:
        reader.take(link.entry)
    return past


@dataclass(slots=True)
class _Walk:
    address: bytes
    slots: Mapping[int, Cap]
    machines: AbstractSet[bytes]
    past: Past
    next: int

    def take(self, entry: Entry) -> None:
        match entry.form:
            case journal.INIT | journal.TURN | journal.SIGNAL:
                self._turn(entry)
            case journal.EDIT | journal.CODE if "references" in entry.fields:
                above = 1 + max(slots_in(entry["references"]), default=-1)
                self._arrive(entry.n, OPERATOR, 0, above - self.next)
            case journal.COLLECT:
                self.past.dropped.update(dict.fromkeys(entry["slots"], entry.n))
            case journal.GENERATION:
                self.past.generations[entry["generation"]] = entry.n

    def _turn(self, entry: Entry) -> None:
        fields = entry.fields
        for receiver, first, count in fields.get("sent", ()):
            for seq in range(first, first + count):
                self.past.sent[(receiver, seq)] = entry.n
        fresh = -min(slots_in(given_references(input_of(entry))), default=0)
        interned = fresh > 0 and changes(entry)
        self._hand(entry, interned)
        if interned:
            self._arrive(entry.n, fields.get("sender", UNKNOWN), fields.get("seq", 0), fresh)

    def _arrive(self, turn: int, sender: bytes, seq: int, count: int) -> None:
        arrival = Arrival(turn, sender, seq)
        for _ in range(count):
            self.past.arrivals[self.next] = arrival
            self.next += 1

    def _hand(self, entry: Entry, interned: bool) -> None:
        for said in output_of(entry):
            for row in said:
                if len(row) == WHOLE and row[CAPS]:
                    to = self._receiver(entry, row[TO], interned)
                    for reference in row[CAPS]:
                        if type(reference) is not str:
                            slot = self._slot(reference, interned)
                            cap = self._cap(reference, interned)
                            inside = slots_in([reference])
                            whole = all(self._cap(one, interned) is not None for one in inside)
                            self.past.handed.append(Handed(entry.n, to, cap, slot, whole))

    def _slot(self, reference: Any, interned: bool) -> int:
        reference = plain_of(reference)
        if type(reference) is not int:
            return -1
        if reference >= 0:
            return reference
        return self.next - reference - 1 if interned else -1

    def _cap(self, reference: Any, interned: bool) -> Cap | None:
        """What a reference stands for; None where that is not known any more."""
        if type(reference) is str:
            return Named(reference)
        if type(reference) is int:
            return self.slots.get(self._slot(reference, interned))
        if len(reference) == 2 and not is_narrowed(reference):
            return self._cap(reference[0], interned)
        if len(reference) == 2:
            cap = self._cap(reference[0], interned)
            caveats = [parse_caveat_untrusted(one) for one in reference[1]]
            return None if cap is None else narrowed(cap, caveats)
        generation, priority, kind, expires, context, inner = reference
        caps = [self._cap(one, interned) for one in inner]
        known = tuple(cap for cap in caps if cap is not None)
        return Local(self.address, generation, priority, kind, expires, context, known)

    def _receiver(self, entry: Entry, reference: Any, interned: bool) -> bytes:
        """To whom a turn sent: what it says where it can be read, else who is left of those it names.

        A client is not named there, but a client's ask is answered where the turn that took it answers.
        """
        reference = plain_of(reference)
        if type(reference) is list:
            return self.address
        cap = self._cap(reference, interned)
        if cap is not None:
            return address_of(cap)
        sender: bytes = entry.fields.get("sender", UNKNOWN)
        others = {row[0] for row in entry.fields.get("sent", ())}
        given = input_of(entry)
        if given and any(len(one) >= 5 and one[2] == reference for one in given.messages):
            passed_on = sender not in others and sender in self.machines
            return UNKNOWN if passed_on else sender
        return others.pop() if len(others) == 1 else UNKNOWN


__all__ = ["UNKNOWN", "Arrival", "Handed", "Past", "past_of"]
