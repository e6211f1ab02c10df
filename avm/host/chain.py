"""Walking a machine's journal: numbers, links, shapes and references of its entries. Pure.

After the journey: what was written is read again, and held against itself. Nothing is executed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import cbor2

from avm.host import journal
from avm.host.journal import DamagedEntry, Entry
from avm.host.refer import slots_in
from caps.light import dataclass, field

# Number, entry and what was printed; no entry where it cannot be read, and then why.
Row = tuple[int, bytes | None, str | None]

ADDRESS_BYTES = 32
TYPES: dict[str, tuple[type, ...]] = {
    "sender": (bytes,),
    "seq": (int,),
    "changed": (bool,),
    "input": (bytes,),
    "output": (bytes,),
    "code": (bytes,),
    "python": (str,),
    "version": (str,),
    "incarnation": (int,),
    "reason": (str,),
    "index": (int,),
    "detail": (str,),
    "count": (int,),
    "word": (str,),
    "now_ms": (int,),
    "why": (str,),
    "digest": (bytes,),
    "body": (bytes,),
    "references": (list,),
    "generation": (int,),
    "from_ms": (int,),
    "mode": (str,),
    "slots": (list,),
    "sent": (list,),
}
STATES = (journal.SNAPSHOT, journal.CODE, journal.EDIT)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a journal, and at which turn."""

    n: int
    why: str


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place, with what it printed."""

    entry: Entry
    printed: str


def walk(rows: Iterable[Row], end: tuple[int, bytes] | None = None) -> Iterator[Link | Fault]:
    """The entries in order, each fault in its place; `end` is the number and the hash to end with.

    A journal may begin anywhere (what was before has been pruned). A fault in a link is told of
    the entry that was changed, the one before it.
    """
    last = -1
    chain: bytes | None = None
    for n, body, printed in rows:
        if last >= 0 and n != last + 1:
            yield Fault(last + 1, f"missing: turn {n} is the next")
            chain = None
        if body is None:
            yield Fault(n, printed or "cannot be read")
            last, chain = n, None
            continue
        try:
            entry = journal.decode(n, body)
        except DamagedEntry as damage:
            yield Fault(n, str(damage))
            last, chain = n, journal.hash_of(body)
            continue
        if chain is not None and entry.before != chain:
            yield Fault(last, f"not the entry that turn {n} was written after")
        why = shape_fault(entry)
        if why:
            yield Fault(n, why)
        else:
            yield Link(entry, printed or "")
        last, chain = n, entry.hash
    if end is not None:
        yield from _end_faults(last, chain, end)


def _end_faults(last: int, chain: bytes | None, end: tuple[int, bytes]) -> Iterator[Fault]:
    head, hash_ = end
    if last + 1 != head:
        yield Fault(last + 1, f"the journal ends before this turn, and the machine is at {head}")
    elif chain is not None and chain != hash_:
        yield Fault(last, "not the entry that the machine's row ends with")


def shape_fault(entry: Entry) -> str:
    """What is wrong with the form or the fields of an entry by itself, or nothing."""
    if (entry.form == journal.INIT) != (entry.n == 0):
        return f"an entry of the form {entry.name} does not stand here"
    if entry.n == 0 and entry.before != journal.NOTHING:
        return "the first entry follows none"
    for name, value in entry.fields.items():
        if type(value) not in TYPES[name]:
            return f"its {name} is a {type(value).__name__}"
    if "sender" in entry.fields and len(entry["sender"]) != ADDRESS_BYTES:
        return "its sender is no address"
    if "sent" in entry.fields and not (entry["sent"] and all(map(_is_sent, entry["sent"]))):
        return "what it sent is not told as it should be"
    try:
        input_of(entry)
        output_of(entry)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError):
        return "its input or its output cannot be read"
    return ""


def _is_sent(row: Any) -> bool:
    match row:
        case [bytes(receiver), int(first), int(count)]:
            return len(receiver) == ADDRESS_BYTES and first > 0 and count > 0
    return False


@dataclass(frozen=True, slots=True)
class Input:
    """What a turn was given: its time, its channel, and its messages as a worker saw them."""

    now_ms: int
    channel: str
    ordinal: int
    from_host: bool
    messages: list[list[Any]]

    @property
    def places(self) -> list[int]:
        """The places of the messages that were not inert."""
        return [place for place, message in enumerate(self.messages) if message]


def input_of(entry: Entry) -> Input | None:
    """The input of an entry; None where it has none, or was judged before there was one."""
    body = entry.fields.get("input")
    if not body:
        return None
    now_ms, channel, ordinal, from_host, messages = cbor2.loads(body)
    if not all(type(message) is list and len(message) in (0, 2, 5, 6) for message in messages):
        raise ValueError("not messages")
    return Input(now_ms, channel, ordinal, from_host, messages)


def output_of(entry: Entry) -> list[list[list[Any]]]:
    """The sends of an entry, message by message; none where it has none."""
    body = entry.fields.get("output")
    if not body:
        return []
    _verdict, changed, sends = cbor2.loads(body)
    if entry.fields.get("changed", changed) is not changed:
        raise ValueError("the entry and its output disagree")
    found: list[list[list[Any]]] = sends
    return found


def changes(entry: Entry) -> bool:
    """Whether a turn changed the state, and so gave slots to the capabilities it brought."""
    if entry.form == journal.INIT:
        return bool(cbor2.loads(entry["output"])[1])
    return bool(entry.fields.get("changed", False))


def is_signal(entry: Entry) -> bool:
    """Whether the input of an entry is a signal of the host, which has no channel."""
    given = input_of(entry)
    return entry.form == journal.SIGNAL or (given is not None and given.channel == "host")


def given_references(given: Input | None) -> list[Any]:
    """All references in an input."""
    found: list[Any] = []
    for message in given.messages if given is not None else ():
        if len(message) >= 5:
            found += [message[2], *message[3], *message[4]]
    return found


def sent_references(sends: list[list[list[Any]]]) -> list[Any]:
    """All references in an output."""
    found: list[Any] = []
    for said in sends:
        for send in said:
            found.append(send[0])
            if len(send) == 7:
                found += [*send[2], *([] if send[3] is None else [send[3]])]
    return found


def used_slots(entry: Entry) -> set[int]:
    """The slots that an entry refers to; what was new in its input has numbers below zero."""
    if "references" in entry.fields:
        return slots_in(entry["references"])
    given = slots_in(given_references(input_of(entry)))
    return given | slots_in(sent_references(output_of(entry)))


@dataclass(slots=True)
class Slots:
    """Which slots a machine has had, followed through its journal."""

    next: int = 0
    gone: set[int] = field(default_factory=set)

    def take(self, entry: Entry) -> str:
        """Goes over one entry; returns what is wrong with its references, or nothing."""
        used = used_slots(entry)
        fresh = -min(slots_in(given_references(input_of(entry))), default=0)
        if "references" in entry.fields:
            self.next = max(self.next, 1 + max(used, default=-1))
        why = self._fault(used, max(fresh, 0))
        if entry.form == journal.COLLECT:
            self.gone.update(entry["slots"])
        if changes(entry):
            self.next += max(fresh, 0)
        return why

    def _fault(self, used: set[int], fresh: int) -> str:
        for number in sorted(used):
            if number >= self.next or number < -fresh:
                return f"refers to slot {number}, which the machine never had"
            if number in self.gone:
                return f"refers to slot {number}, which was collected before"
        return ""


__all__ = [
    "STATES",
    "Fault",
    "Input",
    "Link",
    "Slots",
    "changes",
    "given_references",
    "input_of",
    "is_signal",
    "output_of",
    "sent_references",
    "shape_fault",
    "used_slots",
    "walk",
]
