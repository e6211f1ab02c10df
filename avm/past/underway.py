"""What was on its way between two machines at a time of the past, made again. Shell.

Beside the journey, for `fork --all --at`. A batch that its sender had sent by then and its receiver took
later stands in the receiver's journal; one that is not taken yet is in the outbox still. A capability that
came with it and was not kept leads to nobody, a reply to its ask among them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avm.host import batch
from avm.host.batch import Batch, Said
from avm.host.capability import Cap, Local, Named, narrowed
from avm.host.chain import Slots, input_of
from avm.host.journal import Entry
from avm.host.outbox import size_of
from avm.host.state import Machine
from avm.machine.reference import is_narrowed
from avm.past.moments import Moment, sound
from avm.past.reading import Reader
from caps.caveats import parse_caveat_untrusted

DEADLINE_MS = 7 * 24 * 60 * 60 * 1000

Lost = Callable[[Machine, int], Cap]
# Of a sender and the numbers of its batches, to which capabilities their messages were sent.
Sent = Callable[[bytes, range], Mapping[int, Sequence[Cap]]]


@dataclass(frozen=True, slots=True)
class Ends:
    """How far a channel had come: numbers up to `taken` were taken, up to `sent` sent."""

    taken: int
    sent: int


@dataclass(slots=True)
class UnderWay:
    """The batches on their way to one machine, after one of its turns."""

    reader: Reader
    machine: Machine
    moment: Moment
    lost: Lost
    sent: Sent

    def batches(self, ends: dict[bytes, Ends]) -> Iterator[Batch]:
        """The batches of each sender from the one after `taken` to `sent`, in order, as far as they are known."""
        wanted = {sender: range(one.taken + 1, one.sent + 1) for sender, one in ends.items()}
        if not any(wanted.values()):
            return
        slots = self.reader.slots(self.machine)
        sent = {sender: self.sent(sender, numbers) for sender, numbers in wanted.items() if numbers}
        follow = Slots(self.moment.next_slot)
        for link in self.reader.walk(self.machine, self.moment.turn + 1, self.machine.head):
            entry = sound(self.machine, link).entry
            sender = entry.fields.get("sender", b"")
            before = follow.next
            follow.take(entry)
            if entry.fields.get("seq") in wanted.get(sender, ()):
                held = (
                    slots
                    if follow.next > before
                    else {n: c for n, c in slots.items() if n < before}
                )
                line = sent[sender].get(entry["seq"], ())
                yield self._batch(entry, held, before, line)
        for sender, numbers in wanted.items():
            for seq in numbers:
                row = self.reader.store.get(("outbox", sender, self.machine.address, seq))
                if row is not None:
                    yield batch.from_bytes(sender, self.machine.address, seq, row)

    def _batch(
        self, entry: Entry, slots: dict[int, Cap], next_slot: int, line: Sequence[Cap]
    ) -> Batch:
        """The batch of an entry, by what its turn was given; without messages where that is not known."""
        given = input_of(entry)
        said: list[Said] = []
        ordinal = 0
        if given is not None:
            ordinal = given.ordinal
            targets = line if len(line) == len(given.messages) else [None] * len(given.messages)
            both = zip(given.messages, targets, strict=True)
            said = [self._said(one, to, slots, next_slot) for one, to in both if one]
        size = sum(size_of(one.content, one.caps) for one in said)
        place = (entry["sender"], self.machine.address, entry["seq"], ordinal)
        return Batch(*place, self.moment.now_ms + DEADLINE_MS, tuple(said), size, len(said))

    def _said(
        self, message: list[Any], sent_to: Cap | None, slots: dict[int, Cap], next_slot: int
    ) -> Said:
        def cap(reference: Any) -> Cap:
            match reference:
                case str():
                    return Named(reference)
                case int():
                    slot = reference if reference >= 0 else next_slot - reference - 1
                    return slots.get(slot) or self.lost(self.machine, slot)
            if is_narrowed(reference):
                caveats = [parse_caveat_untrusted(one) for one in reference[1]]
                return narrowed(cap(reference[0]), caveats)
            if len(reference) == 2:
                return cap(reference[0])
            generation, priority, kind, expires_ms, context, inner = reference
            caps = tuple(map(cap, inner))
            return Local(
                self.machine.address, generation, priority, kind, expires_ms, context, caps
            )

        context, content, *more = message
        reply, inner, context_inner = more[:3] if more else (None, [], [])
        to = self._to(sent_to, context, tuple(map(cap, context_inner)))
        return Said(to, content, tuple(map(cap, inner)), None if reply is None else cap(reply))

    def _to(self, sent_to: Cap | None, context: bytes, caps: tuple[Cap, ...]) -> Local:
        """What a message was sent to, as its sender holds it; else what is known of that here.

        It was good when it was taken: that its generation was revoked since is no matter.
        """
        here, generation = self.machine.address, self.moment.generation
        if type(sent_to) is Local and (sent_to.address, sent_to.context) == (here, context):
            if self.machine.revoked < sent_to.generation <= generation:
                return sent_to
            return sent_to._replace(generation=generation)
        return Local(here, generation, 0, 0, None, context, caps)


__all__ = ["Ends", "UnderWay"]
