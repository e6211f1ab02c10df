"""One turn that never was: what a machine would have made of a message at a turn of its past. Shell.

Beside the journey, for `call --at`. The state of that turn is made again in a worker, which takes
one more; nothing is kept and nothing leaves.
"""

from dataclasses import dataclass
from typing import Any

from avm.errors import AvmError
from avm.host.capability import Cap, Local, Named, Reply, kind_of
from avm.host.state import Machine
from avm.limits import Limits
from avm.machine import frames
from avm.machine.turn import APPLIED, REFUSED
from avm.past.difference import shown_send
from avm.past.labels import Lens
from avm.past.moments import Moment
from avm.past.paths import Change, changes
from avm.past.reading import Reader
from avm.past.states import load_at, loaded_state
from avm.run.worker import Timed, WorkerLost
from caps.jsonform import Json

ASKER = bytes(32)
YOU = "you"
# The reply is the first capability that is new to the machine.
REPLY = -1


class NotThen(AvmError):
    """The capability was not good at that turn; the text says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """A message that asks: to which capability, its content and the capabilities in it."""

    to: Local
    content: bytes
    caps: tuple[Cap, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it: `outcome` is applied, refused or rejected, `why` the word or the traceback.

    `answers` are the contents sent to the one who asks, `sends` all else; capabilities by their names.
    """

    outcome: str
    why: str
    answers: list[Json]
    sends: list[dict[str, Json]]
    changed: list[Change]
    printed: str


def ask_at(
    reader: Reader,
    machine: Machine,
    worker: Timed,
    lens: Lens,
    moment: Moment,
    question: Question,
    limits: Limits,
) -> Answered:
    """Takes the turn; raises NotThen, NoSuchTurn, CannotRerun, WorkerLost.

    `lens` is that of the moment; it learns the capabilities that the message brings.
    """
    _check_then(moment, question.to)
    load_at(reader, machine, worker, moment.turn)
    before = loaded_state(machine, worker)
    given = _input(machine, lens, moment, question)
    worker.within(limits.turn_s)
    frame = frames.pack([frames.TURN, machine.id, 0, frames.MESSAGES, given])
    try:
        answer = frames.unpack_untrusted(next(iter(worker.exchange([frame], 1))))
    except WorkerLost as lost:
        return Answered("rejected", str(lost), [], [], [], "")
    frames.check_answer(answer, frames.TURN)
    output, printed = frames.unpack_output_untrusted(answer[3]), answer[4]
    if output[0] != APPLIED:
        outcome = "refused" if output[0] == REFUSED else "rejected"
        return Answered(outcome, output[3] or output[2], [], [], [], printed)
    worker.within(None)
    changed: list[Change] = []
    if output[1]:
        states = (lens.state(*before), lens.state(*loaded_state(machine, worker)))
        changed = list(changes(*states, lens.label))
    said = [send for message in output[2] for send in message]
    answers = [_content(send, lens) for send in said if send[0] == REPLY and len(send) > 1]
    sends = [shown_send(send, lens) for send in said if send[0] != REPLY]
    return Answered("applied", "", answers, sends, changed, printed)


def _check_then(moment: Moment, to: Local) -> None:
    """What the host judges of a capability before a turn."""
    if to.generation > moment.generation:
        raise NotThen(f"rejected: the capability is newer than turn {moment.turn}")
    if to.expires_ms is not None and to.expires_ms <= moment.now_ms:
        raise NotThen(f"rejected: the capability had expired by turn {moment.turn}")
    if to.caveats:
        raise NotThen("rejected: the capability is narrowed: ask by the one it was made of")


def _input(machine: Machine, lens: Lens, moment: Moment, question: Question) -> bytes:
    """The input of the turn, its time being that of the turn before; a new channel's first message."""
    references = _References(machine, lens, moment)
    reply = references.of(Reply(ASKER, 0, moment.now_ms))
    assert reply == REPLY, "nobody else asks"
    inner = [references.of(cap) for cap in question.caps]
    context_inner = [references.of(cap) for cap in question.to.caps]
    message = [question.to.context, question.content, reply, inner, context_inner]
    channel = frames.channel_name(ASKER, machine.address)
    return frames.pack([moment.now_ms, channel, 0, False, [message]])


class _References:
    """Gives what the message brings its references, as the host does, and the lens their slots."""

    def __init__(self, machine: Machine, lens: Lens, moment: Moment) -> None:
        self._address = machine.address
        self._first = moment.next_slot
        self._slot_of = {cap: slot for slot, cap in lens.slots.items()}
        self._slots = dict(lens.slots)
        self._fresh = 0
        lens.slots = self._slots

    def of(self, cap: Cap) -> Any:
        """The reference of a capability that comes with the message."""
        if isinstance(cap, Named):
            return cap.name
        if isinstance(cap, Local) and cap.address == self._address and not cap.caveats:
            inner = [self.of(one) for one in cap.caps]
            return [cap.generation, cap.priority, cap.kind, cap.expires_ms, cap.context, inner]
        if cap not in self._slot_of:
            self._fresh += 1
            slot = self._slot_of[cap] = self._first + self._fresh - 1
            self._slots[slot] = cap
        slot = self._slot_of[cap]
        place = slot if slot < self._first else self._first - slot - 1
        kind = kind_of(cap)
        return [place, kind] if kind else place


def _content(send: list[Any], lens: Lens) -> Json:
    return lens.content_json(send[1], send[2] if len(send) > 2 else [])


__all__ = ["ASKER", "YOU", "Answered", "NotThen", "Question", "ask_at"]
