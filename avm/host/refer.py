"""From capabilities to a machine's own references and back: its slot table.

A reference is a slot number, an own capability as a literal, a common name, or the place of a
capability that is new to the machine in this turn's input (-1, -2, ..). A number stands beside its
kind where the capability has one.
"""

from typing import Any

from avm.host.capability import Cap, Local, Named, Reply, Sealed, kind_of
from avm.host.state import Flight, Host, Machine
from caps.kinds import covers

DEPTH_MAX = 64
LOCAL_BYTES = 128
COMMONS = frozenset({"null~", "time~", "random~", "inspect~"})


class BadReference(Exception):
    """A worker's answer refers to what the machine does not hold."""


class ContextTooLarge(Exception):
    """A context with the capabilities in it is larger than 1 KiB."""


def to_reference(machine: Machine, cap: Cap, flight: Flight) -> Any:
    """The reference of a capability that comes to a machine; a new one is noted as fresh."""
    if type(cap) is Named:
        return cap.name
    if type(cap) is Local and cap.address == machine.address:
        inner = [to_reference(machine, one, flight) for one in cap.caps]
        return [cap.generation, cap.priority, cap.kind, cap.expires_ms, cap.context, inner]
    if machine.slot_of is not None:
        slot = machine.slot_of.get(cap)
        if slot is not None:
            return _with_kind(flight, slot, cap)
    place = flight.fresh_of.get(cap)
    if place is None:
        flight.fresh.append(cap)
        place = flight.fresh_of[cap] = -len(flight.fresh)
    return _with_kind(flight, place, cap)


def _with_kind(flight: Flight, place: int, cap: Cap) -> Any:
    kind = kind_of(cap)
    if not kind:
        return place
    if flight.came is None:
        flight.came = {}
    flight.came[place] = flight.came.get(place, 0) + 1
    return [place, kind]


def from_reference(host: Host, machine: Machine, flight: Flight, reference: Any) -> Cap:
    """The capability that a worker's reference stands for; `BadReference` when there is none."""
    cap = _resolve(host, machine, flight, reference, 0)
    if type(cap) is Local and cap.caps and wire_bytes(cap) > host.limits.context_bytes:
        raise ContextTooLarge
    return cap


def _resolve(host: Host, machine: Machine, flight: Flight, reference: Any, depth: int) -> Cap:
    if type(reference) is int:
        try:
            if reference >= 0:
                return (machine.slots or {})[reference]
            return flight.fresh[-reference - 1]
        except (KeyError, IndexError):
            raise BadReference(f"no capability {reference}") from None
    if type(reference) is str:
        if reference not in COMMONS:
            raise BadReference(f"no common capability {reference[:20]!r}")
        return Named(reference)
    if type(reference) is list and len(reference) == 2 and type(reference[0]) is int:
        return _resolve(host, machine, flight, reference[0], depth)
    if type(reference) is not list or len(reference) != 6 or depth > DEPTH_MAX:
        raise BadReference("not a reference")
    generation, priority, kind, expires, context, inner = reference
    if (
        type(generation) is not int
        or not 0 <= generation <= machine.generation
        or type(priority) is not int
        or not -1000 <= priority <= 1000
        or type(kind) is not int
        or not 0 <= kind <= 3
        or not (expires is None or (type(expires) is int and 0 <= expires < 2**63))
        or type(context) is not bytes
        or len(context) > host.limits.context_bytes
        or type(inner) is not list
    ):
        raise BadReference("not an own capability")
    caps = tuple(_resolve(host, machine, flight, one, depth + 1) for one in inner)
    if not all(covers(kind, kind_of(one)) for one in caps):
        raise BadReference("an own capability of less kind than one in its context")
    return Local(machine.address, generation, priority, kind, expires, context, caps)


def wire_bytes(cap: Cap) -> int:
    """At most how many bytes a capability's context takes when it is sealed."""
    match cap:
        case Local():
            return LOCAL_BYTES + len(cap.context) + sum(wire_bytes(one) for one in cap.caps)
        case Reply():
            return LOCAL_BYTES + 32
        case Sealed():
            return len(cap.wire) + 8
        case Named():
            return len(cap.name) + 8


def intern(host: Host, machine: Machine, flight: Flight) -> None:
    """Gives the turn's new capabilities their slots; numbers are never used again."""
    if machine.slots is None or machine.slot_of is None:
        machine.slots, machine.slot_of = {}, {}
    for cap in flight.fresh:
        number = machine.next_slot
        machine.slots[number] = cap
        machine.slot_of[cap] = number
        host.group.dirty[("slot", machine.id, number)] = cap
        machine.next_slot += 1


def collect(host: Host, machine: Machine, held: set[int]) -> list[int]:
    """Drops the slots that a state no longer refers to; returns their numbers."""
    slots = machine.slots or {}
    gone = sorted(slots.keys() - held)
    for number in gone:
        cap = slots.pop(number)
        if machine.slot_of is not None:
            machine.slot_of.pop(cap, None)
        host.group.dirty[("slot", machine.id, number)] = None
    return gone


def slots_in(references: list[Any]) -> set[int]:
    """The slot numbers in a list of references, those inside contexts too."""
    found: set[int] = set()
    for reference in references:
        if type(reference) is int:
            found.add(reference)
        elif type(reference) is list:
            found |= {reference[0]} if len(reference) == 2 else slots_in(reference[5])
    return found
