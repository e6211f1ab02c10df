"""Slots of a journal turned over into those of another run of it, and back. Pure.

Beside the journey, for new code on recorded inputs. A turn gives slots to the capabilities that it
brings only where it changes the state: new code may change it in other turns than the record, and
from there on the two count differently.
"""

from dataclasses import dataclass, field
from typing import Any

from avm.machine.reference import inner_of, with_inner


@dataclass(slots=True)
class Numbering:
    """The next slot of the record and of the run, and which slot is which.

    Below `same` each is itself. What the run holds and the record does not has no number there; what
    the record holds and the run does not is brought to it again when it comes.
    """

    recorded: int = 0
    own: int = 0
    same: int = 0
    there: dict[int, int] = field(default_factory=dict)
    back: dict[int, int] = field(default_factory=dict)

    @classmethod
    def at(cls, following: int) -> "Numbering":
        """Both as the record has them, `following` being the next slot."""
        return cls(following, following, following)

    @property
    def in_step(self) -> bool:
        """Whether every number of the one is that of the other."""
        return self.recorded == self.own == self.same

    def given(self, messages: list[list[Any]], fresh: int) -> tuple[list[list[Any]], list[int]]:
        """Recorded messages as the run has them, and what they bring to it, as the record calls it.

        `fresh` is how many capabilities were new to the record.
        """
        if self.in_step:
            return messages, [-1 - place for place in range(fresh)]
        brought: dict[int, int] = {}

        def turned(reference: Any) -> Any:
            if type(reference) is list and len(reference) == 2:
                return [turned(reference[0]), reference[1]]
            if type(reference) is list:
                return with_inner(reference, [turned(one) for one in inner_of(reference)])
            if type(reference) is not int:
                return reference
            slot = self._slot(reference)
            if slot is not None:
                return slot
            return brought.setdefault(reference, -1 - len(brought))

        shown: list[list[Any]] = []
        for message in messages:
            if len(message) >= 5:
                inner = [turned(one) for one in message[3]]
                about = [turned(one) for one in message[4]]
                message = [*message[:2], turned(message[2]), inner, about, *message[5:]]
            shown.append(message)
        return shown, list(brought)

    def _slot(self, reference: int) -> int | None:
        if 0 <= reference < self.same:
            return reference
        return self.there.get(reference)

    def told(self, reference: Any, brought: list[int]) -> Any:
        """A reference of the run as the record calls it; one that it does not have, by a name."""
        if type(reference) is list and len(reference) == 2:
            place = self.told(reference[0], brought)
            return [place, reference[1]] if type(place) is int else place
        if type(reference) is list:
            return with_inner(reference, [self.told(one, brought) for one in inner_of(reference)])
        if type(reference) is not int:
            return reference
        if reference < 0:
            return brought[-1 - reference] if -reference <= len(brought) else lost(reference)
        if reference < self.same:
            return reference
        return self.back.get(reference, lost(reference))

    def told_sends(self, sends: list[Any], brought: list[int]) -> list[list[list[Any]]]:
        """What the run sent, message by message, as the record would have it."""
        if self.in_step:
            return sends
        return [[self._told_send(send, brought) for send in said] for said in sends]

    def _told_send(self, send: list[Any], brought: list[int]) -> list[Any]:
        to = self.told(send[0], brought)
        if len(send) < 3:
            return [to, *send[1:]]
        inner = [self.told(one, brought) for one in send[2]]
        reply = None if send[3] is None else self.told(send[3], brought)
        return [to, send[1], inner, reply, *send[4:]]

    def after(self, fresh: int, interned: bool, brought: list[int], interned_own: bool) -> None:
        """A turn was taken, and what it brought was kept by the record, by the run, or not."""
        first = self.recorded
        self.recorded += fresh if interned else 0
        if not interned_own:
            return
        if first == self.own == self.same and interned:
            self.same = self.own = self.recorded
            return
        for place, reference in enumerate(brought):
            slot = self.own + place
            known = reference if reference >= 0 else first - 1 - reference if interned else None
            if known is not None:
                self.there[known], self.back[slot] = slot, known
        self.own += len(brought)


def lost(reference: int) -> str:
    """What a capability is called that only the run holds."""
    return f"slot {reference} of the new code"
