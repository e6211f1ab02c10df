"""From capabilities to a machine's own references and back: its slot table.

A reference is a slot number, an own capability as a literal, a common name, the place of a capability
that is new to the machine in this turn's input (-1, -2, ..), or one of these with caveats more.
"""

from typing import Any

from avm.host.capability import Cap, Local, Named, NotNarrowed, Reply, Sealed, narrowed
from avm.host.revoking import is_revoked
from avm.host.state import Flight, Host, Machine
from avm.machine.reference import inner_of, is_narrowed
from caps.caveats import CAVEATS_MAX, parse_caveat_untrusted
from caps.errors import Malformed

DEPTH_MAX = 64
COMMONS = frozenset({"null~"})
LOCAL_BYTES = 128


class BadReference(Exception):
    """A worker's answer refers to what the machine does not hold."""


class ContextTooLarge(Exception):
    """A context with the capabilities in it is larger than 1 KiB."""


def to_reference(machine: Machine, cap: Cap, flight: Flight) -> Any:
    """The reference of a capability that comes to a machine; a new one is noted as fresh."""
    if type(cap) is Named:
        return cap.name
    if type(cap) is Local and cap.address == machine.address and _is_literal(machine, cap, flight):
        inner = [to_reference(machine, one, flight) for one in cap.caps]
        return [cap.generation, cap.priority, cap.kind, cap.expires_ms, cap.context, inner]
    if machine.slot_of is not None:
        slot = machine.slot_of.get(cap)
        if slot is not None:
            return slot
    place = flight.fresh_of.get(cap)
    if place is None:
        flight.fresh.append(cap)
        place = flight.fresh_of[cap] = -len(flight.fresh)
    return place


def _is_literal(machine: Machine, cap: Local, flight: Flight) -> bool:
    """Whether an own capability that comes back is what the machine sealed: else it stays opaque."""
    return not cap.caveats and not is_revoked(machine, cap.generation, flight.now_ms)


def from_reference(host: Host, machine: Machine, flight: Flight, reference: Any) -> Cap:
    """The capability that a worker's reference stands for; `BadReference` when there is none."""
    cap = resolve(host, machine, flight, reference)
    if type(cap) is Local and cap.caps and _context_bytes(cap) > host.limits.context_bytes:
        raise ContextTooLarge
    return cap


def _context_bytes(cap: Local) -> int:
    return wire_bytes(cap._replace(caveats=()))


def resolve(host: Host, machine: Machine, flight: Flight, reference: Any) -> Cap:
    """The same, though it may be too large to be sent; `BadReference`."""
    return _resolve(host, machine, flight, reference, 0)


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
    if type(reference) is not list or depth > DEPTH_MAX:
        raise BadReference("not a reference")
    if is_narrowed(reference):
        return _narrowed(_resolve(host, machine, flight, reference[0], depth + 1), reference[1])
    if len(reference) != 6:
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
    return Local(machine.address, generation, priority, kind, expires, context, caps)


def _narrowed(cap: Cap, caveats: Any) -> Cap:
    if type(caveats) is not list or not 0 < len(caveats) <= CAVEATS_MAX:
        raise BadReference("not the caveats of a capability")
    try:
        return narrowed(cap, [parse_caveat_untrusted(_octets(one)) for one in caveats])
    except (Malformed, NotNarrowed) as error:
        raise BadReference(str(error)) from None


def _octets(value: Any) -> bytes:
    if type(value) is not bytes:
        raise BadReference("not a caveat")
    return value


def wire_bytes(cap: Cap) -> int:
    """At most how many bytes a capability's context takes when it is sealed."""
    match cap:
        case Local():
            inside = len(cap.context) + sum(map(len, cap.caveats))
            return LOCAL_BYTES + inside + sum(wire_bytes(one) for one in cap.caps)
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
            found |= slots_in(inner_of(reference))
    return found
