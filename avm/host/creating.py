"""How a machine begins: its keys and its name, its first turn, and what is written of it. Over a `Host`; pure.

Beside the journey. Whoever has it made, an operator or a factory, it begins with the commit of its
`init`; before that there is nothing of it but what memory holds.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from avm.host import capability, journal, kinds
from avm.host.about import NOTHING, metadata_of
from avm.host.capability import Cap
from avm.host.effects import Publish
from avm.host.entry import append
from avm.host.plan import Plan, Unfit, carry_out, plan_sends, sent_by
from avm.host.refer import BadReference, ContextTooLarge, from_reference, intern, to_reference
from avm.host.state import Flight, Host, Machine, Status
from avm.machine import frames
from caps.codec import encode_state
from caps.identity import RootKey
from caps.light import dataclass
from caps.slots import Me

ENTROPY_BYTES = 88
ME = encode_state(Me())[0]
# Nothing at all, control characters and line ends, a blank or the mark of common capabilities at the end.
UNSAYABLE = re.compile(r"|.*[\x00-\x1f\x7f-\x9f\u2028\u2029].*|.*[\s~]", re.DOTALL)
NAME_CHARS_SHOWN = 40


class Unborn(Exception):
    """A first turn that makes no machine; the text says why."""


@dataclass(slots=True)
class Birth:
    """What a first turn amounts to, checked, before anything has changed."""

    plan: Plan
    names: dict[str, Cap]
    has_signal: bool


def conceive(
    host: Host, name: str, code: bytes, entropy: bytes, about: Mapping[str, str] = NOTHING
) -> Machine:
    """A machine with an address, keys and a free name, which waits for its first turn.

    `entropy` is ENTROPY_BYTES fresh random bytes, `about` what its identity says beside name and type.
    Raises `Unspeakable` before anything has changed.
    """
    metadata = metadata_of(name, about)
    seed, secret, nonce = entropy[:32], entropy[32:64], entropy[64:ENTROPY_BYTES]
    identity = RootKey(seed).identity(metadata)
    sealed = host.keys.close_machine(seed, secret, nonce)
    address = identity.address
    number = host.new_id()
    status = Status.CREATING
    machine = Machine(number, address, name, status, code, sealed, identity.to_bytes())
    host.machines[address] = host.by_id[number] = host.names[name] = machine
    host.keys.add_machine(address, sealed)
    return machine


def first_turn(
    host: Host,
    flight: Flight,
    place: tuple[str, int],
    reply: Cap,
    content: bytes,
    caps: tuple[Cap, ...],
) -> list[list[Any]]:
    """What a worker that has the code is told; `place` is the channel of the message and its ordinal."""
    machine = flight.machine
    flight.now_ms = host.now_ms
    flight.fresh, flight.fresh_of, flight.came = [], {}, None
    inner = [to_reference(machine, cap, flight) for cap in (reply, *caps)]
    said = [ME, content, inner[0], inner[1:], []]
    flight.given = frames.pack([flight.now_ms, *place, False, [said]])
    return [
        [frames.LOAD, machine.id, machine.code, None, [], 0, 0],
        [frames.TURN, machine.id, flight.token, frames.INIT, flight.given],
    ]


def birth_of(host: Host, flight: Flight) -> Birth:
    """What the answer to a first turn that was applied amounts to; raises `Unborn`."""
    machine, answer = flight.machine, flight.answer
    assert answer is not None
    try:
        plan = plan_sends(host, flight, answer[2])
        kinds.check(flight, answer[2])  # of references that the plan has resolved
        told = frames.unpack_names_untrusted(answer[3] if len(answer) > 3 else None)
        has_signal, pairs = told
        names = {
            name: from_reference(host, machine, flight, reference) for name, reference in pairs
        }
    except (Unfit, BadReference, ContextTooLarge, frames.BadFrame) as error:
        raise Unborn(str(error)) from None
    return Birth(plan, names, has_signal)


def why_unsayable(names: Iterable[str]) -> str:
    """Why one of these names, which `init` answers, cannot be said as MACHINE.name; empty for none.

    An operator's question: a factory's asker has what was answered at hand, and a machine that is there
    keeps its names.
    """
    wrong = next((name for name in names if UNSAYABLE.fullmatch(name)), None)
    if wrong is None:
        return ""
    why = "a name is not empty, has no control characters, and ends with neither a blank nor ~"
    return f"init answers a capability as {wrong[:NAME_CHARS_SHOWN]!r}, which is no MACHINE.name: {why}"


def begin_life(host: Host, flight: Flight, sender: bytes, birth: Birth) -> None:
    """Writes a machine's first entry, and carries out what its first turn sends."""
    machine, answer, plan = flight.machine, flight.answer, birth.plan
    assert answer is not None
    sent = sent_by(host, machine, plan)
    runtime = (machine.code, host.python, host.version, 1)
    fields = (sender, flight.given, flight.output, *runtime, *([sent] if sent else []))
    append(host, machine, journal.INIT, *fields, printed=flight.printed)
    machine.status, machine.loaded = Status.RUNNING, True
    machine.has_signal = birth.has_signal
    host.spans.begin(machine.id, machine.snapshot_at)
    machine.python, machine.version = host.python, host.version
    machine.now_ms = flight.now_ms
    for name, cap in birth.names.items():
        row = capability.to_bytes(cap)
        host.bound[(machine.id, name)] = host.group.dirty[("name", machine.id, name)] = row
    if answer[1]:
        intern(host, machine, flight)
    carry_out(host, machine, plan, flight.now_ms)
    host.group.after.append(Publish(machine.address))


__all__ = [
    "ENTROPY_BYTES",
    "Birth",
    "Unborn",
    "begin_life",
    "birth_of",
    "conceive",
    "first_turn",
    "why_unsayable",
]
