"""Capabilities to a machine that leaves or comes, turned over in all that a host holds.

Beside the journey. A capability to a machine here is a plain record, to one elsewhere it is sealed.
When a machine moves away every record of one to it is sealed, and when it comes each is opened: so that
equal capabilities stay equal, wherever they came from.
"""

from collections.abc import Callable

from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, Cap, Local, Reply, Sealed, from_bytes, to_bytes, to_wire
from avm.host.operate import Create, Edit
from avm.host.state import Flight, Host, Machine, Timer
from caps.capability import CommonName, parse_wire_untrusted
from caps.errors import InvalidCapability

Change = Callable[[Cap], Cap]


def sealing(host: Host, address: bytes) -> Change:
    """Seals the capabilities to one machine, those inside contexts too."""

    def change(cap: Cap) -> Cap:
        if isinstance(cap, Local | Reply) and cap.address == address:
            return Sealed(address, to_wire(cap, host.keys.to_seal))
        return _inside(cap, change)

    return change


def opening(host: Host, address: bytes) -> Change:
    """Opens the capabilities to one machine, those inside contexts too; what is not valid stays."""

    def change(cap: Cap) -> Cap:
        if isinstance(cap, Sealed) and cap.address == address:
            return opened(host, cap.wire)
        return _inside(cap, change)

    return change


def opened(host: Host, wire: bytes) -> Cap:
    """What a wire form stands for here; one that is not valid stays sealed. Raises `Malformed`."""
    try:
        return host.keys.open_untrusted(wire)
    except InvalidCapability:
        parsed = parse_wire_untrusted(wire)
        return INVALID if isinstance(parsed, CommonName) else Sealed(parsed.address, wire)


def _inside(cap: Cap, change: Change) -> Cap:
    if not isinstance(cap, Local) or not cap.caps:
        return cap
    inner = tuple(map(change, cap.caps))
    return cap if inner == cap.caps else cap._replace(caps=inner)


def recast(host: Host, change: Change) -> None:
    """Changes every capability that the host holds; rows that differ go into the next commit."""
    for table, batches in (("outbox", host.outbox), ("inbox", host.inbox)):
        for place, batch in batches.items():
            if _changes(batch, change):
                host.group.dirty[(table, *place)] = batch
    for machine in host.machines.values():
        _slots(host, machine, change)
        _timers(host, machine, change)
        for ask in (machine.asks or {}).values():
            if ask.to is not None and (to := change(ask.to)) is not ask.to:
                assert isinstance(to, Local), "an ask's reply is the asker's own"
                ask.to = to
                host.group.dirty[("ask", machine.id, ask.number)] = ask
        _acts(machine, change)
        for flight in machine.flights or ():
            _flight(flight, change)
        for batch in machine.queue or ():
            batch.messages = _messages(batch.messages, change)
    for key, row in list(host.bound.items()):
        cap = from_bytes(row)
        if (other := change(cap)) is not cap:
            host.bound[key] = host.group.dirty[("name", *key)] = to_bytes(other)


def _slots(host: Host, machine: Machine, change: Change) -> None:
    for number, cap in list((machine.slots or {}).items()):
        other = change(cap)
        if other is cap:
            continue
        assert machine.slots is not None and machine.slot_of is not None
        machine.slots[number] = other
        if machine.slot_of.get(cap) == number:
            del machine.slot_of[cap]
        machine.slot_of.setdefault(other, number)
        host.group.dirty[("slot", machine.id, number)] = other


def _timers(host: Host, machine: Machine, change: Change) -> None:
    """A timer's name is the capability it sends to: where that changes, its row does."""
    for key, timer in list((machine.timers or {}).items()):
        caps = (timer.to, *timer.caps, *(() if timer.reply is None else (timer.reply,)))
        if all(change(cap) is cap for cap in caps):
            continue
        assert machine.timers is not None
        inner = tuple(map(change, timer.caps))
        reply = None if timer.reply is None else change(timer.reply)
        times = (timer.due_ms, timer.deadline_ms, timer.apart)
        other = Timer(change(timer.to), timer.content, inner, reply, *times)
        del machine.timers[key]
        host.group.dirty[("timer", machine.id, key)] = None
        host.deadlines.drop(("timer", machine.id, key))
        name = to_bytes(other.to)
        machine.timers[name] = other
        host.group.dirty[("timer", machine.id, name)] = other
        host.deadlines.put(("timer", machine.id, name), other.due_ms)


def _acts(machine: Machine, change: Change) -> None:
    """What waits to be done to a machine, or is being done and may be begun again."""
    flying = [flight.act for flight in machine.flights or ()]
    for act in (*flying, *(machine.acts or ())):
        if isinstance(act, Create | Edit):
            act.caps = tuple(map(change, act.caps))


def _flight(flight: Flight, change: Change) -> None:
    flight.fresh = [change(cap) for cap in flight.fresh]
    flight.fresh_of = {change(cap): place for cap, place in flight.fresh_of.items()}
    if flight.batch is not None:
        flight.batch.messages = _messages(flight.batch.messages, change)


def _changes(batch: Batch, change: Change) -> bool:
    """Changes the messages of a batch; whether anything did. Those on their way keep their replies."""
    if batch.body or (batch.header and not batch.digest):
        return False
    messages = _messages(batch.messages, change)
    differs = messages != batch.messages
    batch.messages = messages
    return differs


def _messages(messages: tuple[Said, ...], change: Change) -> tuple[Said, ...]:
    return tuple([_said(said, change) for said in messages])


def _said(said: Said, change: Change) -> Said:
    reply = None if said.reply is None else change(said.reply)
    return Said(change(said.to), said.content, tuple(map(change, said.caps)), reply)
