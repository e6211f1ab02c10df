"""Which of a machine's turns sent a batch, as its journal says. Shell.

Beside the journey, for `cause`. The entry of a turn says which numbers of which channels it sent. A
number between two of those that no turn sent is a timer's, and the turn that set it is told by what
it was to send.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from avm.host.capability import Cap, address_of
from avm.host.chain import input_of, output_of
from avm.host.journal import Entry, now_of
from avm.host.state import Machine
from avm.machine.reference import plain_of
from avm.past.moments import newest_by, sound
from avm.past.reading import Reader

BLOCK = 256
# The places in a send's row.
TO, CONTENT, AFTER_MS, WHOLE = 0, 1, 5, 7


@dataclass(frozen=True, slots=True)
class Way:
    """A batch on its channel: from whom, to whom, and its number."""

    sender: bytes
    receiver: bytes
    seq: int


@dataclass(slots=True)
class Search:
    """One machine's journal, gone through from the newest turn that can have sent the batch.

    `taken` is the entry of the turn that took it; None where that is another host's.
    """

    reader: Reader
    machine: Machine
    way: Way
    taken: Entry | None
    slots: dict[int, Cap] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.reader.slots(self.machine)

    def run(self) -> tuple[int, bool] | None:
        """The turn, and whether it set a timer; None where the journal does not say it any more."""
        head = self.reader.head(self.machine)
        top = head
        if self.taken is not None and now_of(self.taken):
            top = newest_by(self.reader, self.machine, now_of(self.taken)) + 1
        found = self._below(top)
        # A machine that came from a host whose clock was ahead has later times than those it sent to.
        return found if found is not None or top == head else self._below(head)

    def _below(self, top: int) -> tuple[int, bool] | None:
        set_by: int | None = None
        sent_before = False
        for entry in self._down(top):
            sent = self._numbers(entry)
            if self.way.seq in sent:
                return entry.n, False
            if sent and sent.start > self.way.seq:
                set_by = None  # by this turn the timer had fired
                continue
            sent_before = sent_before or bool(sent)
            if set_by is None and self._sets_it(entry):
                set_by = entry.n
            if set_by is not None and sent_before:
                return set_by, True
        whole = not self.reader.first(self.machine)
        return (set_by, True) if set_by is not None and whole else None

    def _numbers(self, entry: Entry) -> range:
        """The numbers that a turn sent on this channel."""
        for receiver, first, count in entry.fields.get("sent", ()):
            if receiver == self.way.receiver:
                return range(first, first + count)
        return range(0)

    def _down(self, top: int) -> Iterator[Entry]:
        """The entries below `top`, the newest first."""
        while top > 0:
            start = max(0, top - BLOCK)
            block = [sound(self.machine, one) for one in self._walked(start, top)]
            for link in reversed(block):
                yield link.entry
            if not block or block[0].entry.n > start:
                return
            top = start

    def _walked(self, start: int, top: int) -> Iterator[Any]:
        first = self.reader.first(self.machine) or 0
        return self.reader.walk(self.machine, max(start, first), top)

    def _sets_it(self, entry: Entry) -> bool:
        """Whether a turn set a timer that may have sent the batch: its time had come, its words are these."""
        return any(
            len(send) == WHOLE and send[AFTER_MS] is not None and self._fits(entry, send)
            for said in output_of(entry)
            for send in said
        )

    def _fits(self, entry: Entry, send: list[Any]) -> bool:
        receiver = self._receiver(send[TO])
        if receiver is not None and receiver != self.way.receiver:
            return False
        if self.taken is None:
            return receiver is not None
        if now_of(entry) + send[AFTER_MS] > (now_of(self.taken) or now_of(entry) + send[AFTER_MS]):
            return False
        given = input_of(self.taken)
        said = [one[1] for one in given.messages if one] if given is not None else []
        return not said or said == [send[CONTENT]]

    def _receiver(self, reference: Any) -> bytes | None:
        """To whom a reference of the machine leads; None where that is not known any more."""
        reference = plain_of(reference)
        if type(reference) is list:
            return self.machine.address
        cap = self.slots.get(reference) if type(reference) is int else None
        return None if cap is None else address_of(cap)


__all__ = ["Search", "Way"]
