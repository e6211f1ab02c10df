"""Making machines as a power that is granted: a capability to the host itself, which names the code. Pure.

Steps 4 to 6 of the journey for a batch that is for the host. A factory is an ordinary machine that holds
such a capability; what it is asked it asks the host, and the host takes the first turn of a new machine.
The batch waits in the factory's outbox, and its verdict is in the commit with which the machine begins:
so each ask makes one machine or none, wherever the host dies. The answer is what `init` sends to the reply.
Where none is made the factory, which is the operator's, hears why, and hears it as *rejected*: what is
*refused* may come from whomever a machine that was made has passed the reply to. A message that asks
nothing ends the power: of what was asked before and is not made yet, nothing is.
"""

from collections.abc import Mapping
from typing import Any

from avm.host.about import NOTHING, Unspeakable, metadata_of
from avm.host.acts import Needs
from avm.host.audited import granted, named, note
from avm.host.batch import Batch
from avm.host.capability import NULL, Cap, Local
from avm.host.commons import Declined, draw
from avm.host.creating import (
    ENTROPY_BYTES,
    Unborn,
    begin_life,
    birth_of,
    conceive,
    first_turn,
)
from avm.host.effects import SendCode, ToWorker
from avm.host.journal import hash_of_code
from avm.host.operate import Create, act_on, erase, refuse
from avm.host.outbox import outcome, outcomes, take_mark, withdraw
from avm.host.state import Flight, Host, Machine, Making, Status
from avm.machine import frames
from avm.machine.turn import REFUSED
from caps.codec import dumps_plain, encode_content, loads_plain_untrusted
from caps.errors import Malformed
from caps.light import dataclass
from caps.slots import Foreign
from caps.value import freeze

MAKE = "make"
# Before the word of an `init` that refused, and before how one broke, or why there was none.
NO, BROKE = "refused: ", "broke: "
CONTEXT_BYTES_MAX = 1024
STEM_CHARS_MAX = 64
# The number of an ask is what is behind the stem in the name of a machine that is made.
NUMBER_DIGITS = 19
# So many machines one factory is allowed, where its operator says nothing, and so many it can be.
AT_MOST, AT_MOST_MAX = 100, 10_000


def make_capability(
    host: bytes, code: bytes, stem: str, about: Mapping[str, str] = NOTHING
) -> Local:
    """The capability to have machines of this code made, which are called after `stem`.

    `about` is what the identity of each says about it beside its name and type.
    """
    more = [about] if about else []
    return Local(host, 0, 0, 0, None, dumps_plain([MAKE, code, stem, *more]), ())


def made_by(host: Host, cap: Cap) -> tuple[bytes, str, Mapping[str, str]] | None:
    """The code, the stem and the text that a capability of this host's is for; None of any other."""
    if type(cap) is not Local or cap.address != host.address:
        return None
    try:
        said = loads_plain_untrusted(cap.context, max_bytes=CONTEXT_BYTES_MAX, depth=2)
    except Malformed:
        return None
    match said:
        case [str(word), bytes(code), str(stem), *more] if word == MAKE:
            about = more[0] if more and type(more[0]) is dict else NOTHING
            good = make_capability(host.address, code, stem, about)
            return (code, stem, about) if cap == good else None
    return None


def codes_made(host: Host, machine: Machine) -> list[bytes]:
    """The codes of what a machine has made here: none, but of a factory."""
    found = [made_by(host, cap) for cap in (machine.slots or {}).values()]
    return [made[0] for made in found if made is not None]


def longest_name(stem: str) -> str:
    """As long as the name of a machine that is made can be."""
    return f"{stem}-{'9' * NUMBER_DIGITS}"


def create_factory(
    host: Host,
    request: int,
    sender: bytes,
    name: str,
    bundle: bytes,
    makes: bytes,
    stem: str,
    at_most: int,
    entropy: bytes,
    about: Mapping[str, str] = NOTHING,
) -> None:
    """Creates a machine, of `bundle`, that is given the power to have `at_most` of `makes` made.

    `about` is what the identity of each that is made says about it beside its name and type.
    """
    if name in host.names:
        refuse(host, request, f"{name} exists: choose another --name, or leave it away")
        return
    stem = stem[:STEM_CHARS_MAX]
    try:
        metadata_of(longest_name(stem), about)
    except Unspeakable as error:
        refuse(host, request, f"{name} is not created: {error}", 2)
        return
    code = hash_of_code(makes)
    cap = make_capability(host.address, code, stem, about)
    content = encode_content(freeze({"host": Foreign(0), "at_most": at_most}))[0]
    machine = conceive(host, name, hash_of_code(bundle), entropy)
    act_on(host, machine, Create(request, sender, bundle, content, (cap,), {code: makes}))


@dataclass(slots=True)
class Make:
    """Takes the first turn of a machine that a factory asks for; without it there is no machine."""

    batch: Batch
    needs: Needs = Needs.WORKER
    kind: int = frames.TURN
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        worker, code = flight.machine.worker, flight.machine.code
        assert worker is not None
        batch, said = self.batch, self.batch.messages[0]
        place = (frames.channel_name(batch.sender, host.address), batch.ordinal)
        told = first_turn(host, flight, place, said.reply or NULL, said.content, said.caps)
        begun: list[Any] = [ToWorker(worker.id, frames.pack(frame)) for frame in told]
        if code not in worker.codes:
            worker.codes.add(code)
            begun.insert(0, SendCode(worker.id, code))
        return begun

    def finish(self, host: Host, flight: Flight) -> bool:
        machine, batch, answer = flight.machine, self.batch, flight.answer
        assert answer is not None
        if not _may_make(host, batch):
            self._undo(host, machine, "")
            return False
        if answer[0]:
            is_refused = answer[0] == REFUSED
            word = f"{NO}{answer[2]}" if is_refused else f"{BROKE}{answer[3] or answer[2]}"
            self._undo(host, machine, word)
            return False
        try:
            birth = birth_of(host, flight)
        except Unborn as error:
            self._undo(host, machine, f"{BROKE}{error}")
            return False
        begin_life(host, flight, batch.sender, birth)
        given = {"by": batch.sender, "code": machine.code}
        brought = granted(batch.messages[0].caps)
        note(host, "created", machine, **given, granted=brought, names=named(birth.names))
        _end(host, batch)
        _too_late(host, batch)
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        self._undo(host, machine, f"{BROKE}{why}")

    def _undo(self, host: Host, machine: Machine, word: str) -> None:
        erase(host, machine)
        _say_no(host, self.batch, word)


def begin(host: Host) -> None:
    """Begins what is next of each factory; one by one, for verdicts come in the order of the channel."""
    if host.draining:
        return
    for sender in list(host.making):
        while (line := host.making.get(sender)) is not None and line.machine is None:
            _begin_next(host, line)


def _begin_next(host: Host, line: Making) -> None:
    batch = line.batches[0]
    if batch.messages and batch.deadline_ms <= host.now_ms:
        withdraw(host, batch)
    if not batch.messages:
        _end(host, batch)
        return
    made = made_by(host, batch.messages[0].to) if len(batch.messages) == 1 else None
    if made is None or not _may_make(host, batch):
        _say_no(host, batch, "")
        return
    code, stem, about = made
    try:
        entropy = draw(host, ENTROPY_BYTES)
        machine = conceive(host, _free_name(host, stem, batch.seq), code, entropy, about)
    except (Declined, Unspeakable) as word:
        _say_no(host, batch, f"{NO}{word}")
        return
    line.machine = machine
    act_on(host, machine, Make(batch))


def _may_make(host: Host, batch: Batch) -> bool:
    """Whether the factory is there still and has ended nothing: what it has asked for ends with it."""
    maker = host.machines.get(batch.sender)
    is_there = maker is not None and maker.status is not Status.HALTED
    return is_there and batch.seq > host.making[batch.sender].over


def _free_name(host: Host, stem: str, number: int) -> str:
    """A name that no machine has, from the number of the ask on."""
    while (name := f"{stem}-{number}") in host.names:
        number += 1
    return name


def _end(host: Host, batch: Batch) -> None:
    """The batch has its verdict; the next of its factory can begin."""
    line = host.making[batch.sender]
    line.machine = None
    line.batches.popleft()
    if not line.batches:
        del host.making[batch.sender]
    take_mark(host, batch)


def _say_no(host: Host, batch: Batch, word: str) -> None:
    _end(host, batch)
    host.counts["unmade"] += 1
    outcomes(host, batch, "rejected", word)


def _too_late(host: Host, batch: Batch) -> None:
    """The machine was made, and the time to hear of it is over."""
    owner = host.owner(batch.sender)
    for _index, reply in batch.own_replies():
        if owner is not None and reply.deadline_ms <= host.now_ms:
            outcome(host, owner, reply.ask, "late", "applied, without an answer by the deadline")


def overdue(host: Host, sender: bytes, seq: int) -> None:
    """The deadline of a batch that waits to be made one; undecided while its turn is being taken."""
    line = host.making.get(sender)
    batch = next((one for one in line.batches if one.seq == seq), None) if line else None
    if line is None or batch is None or not batch.messages:
        return
    machine = line.machine if batch is line.batches[0] else None
    if machine is not None and machine.flights:
        return
    withdraw(host, batch)
    if machine is not None:
        erase(host, machine)


__all__ = [
    "AT_MOST",
    "AT_MOST_MAX",
    "Make",
    "begin",
    "codes_made",
    "create_factory",
    "longest_name",
    "made_by",
    "make_capability",
    "overdue",
]
