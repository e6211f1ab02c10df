"""The core's knowledge as rows of the store, and back. Pure.

A row is encoded once for each commit, with what holds when the store takes the group.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import cbor2

from avm.host import auditlog, capability, cases, ending, moves, roster
from avm.host import batch as batches
from avm.host.away import outgoing_of
from avm.host.capability import Cap, Local, Named, Reply, Sealed
from avm.host.operate import REMOVE_ALL
from avm.host.outbox import enqueue, for_host
from avm.host.state import (
    Ask,
    Channel,
    Client,
    End,
    Ending,
    Host,
    Machine,
    Mode,
    Status,
    Timer,
    Use,
)

MARKS = Struct(">4Q")
STATUSES = {one.value: one for one in Status}
MODES = {one.value: one for one in Mode}

Rows = Callable[[str], Iterator[tuple[tuple[Any, ...], bytes]]]


def encode(thing: Any) -> bytes | None:
    """One row's value; None stands for a row that is deleted."""
    match thing:
        case None | bytes():
            return thing
        case Channel():
            return _channel(thing)
        case batches.Batch():
            return batches.to_bytes(thing)
        case Machine():
            return _machine(thing)
        case Ask():
            to = None if thing.to is None else capability.to_row(thing.to)
            row = [to, thing.deadline_ms, thing.receiver, thing.seq, thing.closing]
            return cbor2.dumps(row)
        case Timer():
            return _timer(thing)
        case Use():
            return cbor2.dumps(list(thing))
        case Client():
            return cbor2.dumps([thing.id, thing.durable, thing.name, thing.tag])
        case roster.Roster():
            return roster.to_bytes(thing)
        case Ending():
            return ending.to_bytes(thing)
        case auditlog.AuditLog():
            return auditlog.to_bytes(thing)
        case cases.Cases():
            return cases.to_bytes(thing)
        case Local() | Reply() | Sealed() | Named():
            return capability.to_bytes(thing)
        case _:
            raise AssertionError(f"no row for {type(thing).__name__}")


def _channel(channel: Channel) -> bytes:
    marks = MARKS.pack(channel.sent, channel.sent_ordinal, channel.taken, channel.taken_ordinal)
    away = channel.digest or channel.base or channel.frozen
    if not channel.position and not channel.verdicts and not away:
        return marks
    more: list[Any] = [channel.position, list(map(list, channel.verdicts.items()))]
    if away:
        more += [channel.digest, channel.epoch, channel.base, channel.frozen, channel.evidence]
    return marks + cbor2.dumps(more)


def decode_channel(sender: bytes, receiver: bytes, body: bytes) -> Channel:
    """The channel of a row; nothing is received that was not taken."""
    sent, sent_ordinal, taken, taken_ordinal = MARKS.unpack_from(body)
    channel = Channel(sender, receiver, sent, sent_ordinal, taken, taken_ordinal)
    channel.received, channel.received_ordinal = taken, taken_ordinal
    if len(body) > MARKS.size:
        channel.position, verdicts, *away = cbor2.loads(body[MARKS.size :])
        channel.verdicts = dict(verdicts)
        if away:
            channel.digest, channel.epoch, channel.base, channel.frozen, channel.evidence = away
    return channel


def _machine(machine: Machine) -> bytes:
    chain = [machine.head, machine.chain, machine.now_ms, machine.next_slot, machine.next_ask]
    since = [machine.snapshot_at, machine.bytes_since, machine.turns_since, machine.state_bytes]
    counts = [machine.failed, machine.refused]
    return cbor2.dumps([_lasting(machine), chain, since, counts])


def _lasting(machine: Machine) -> bytes:
    """What seldom changes of a machine, encoded once."""
    state = (machine.status, machine.mode, machine.why)
    code = (machine.code, machine.has_signal, machine.python, machine.version)
    keys_end = (machine.revoked, machine.ends)
    about = (*state, *code, machine.generation, machine.incarnation, *keys_end, machine.untold)
    if machine.lasting is None or machine.lasting[0] != about:
        life = [machine.address, machine.name, machine.status.value, machine.mode.value]
        keys = [machine.identity, machine.sealed_keys, machine.generation, machine.incarnation]
        if keys_end != (-1, ()) or machine.untold:
            keys += [machine.revoked, list(map(list, machine.ends))]
        if machine.untold:
            keys.append(list(machine.untold))
        machine.lasting = (about, cbor2.dumps([life, [machine.why, *code], keys]))
    return machine.lasting[1]


def decode_machine(number: int, body: bytes) -> Machine:
    """The machine of a row."""
    lasting, chain, since, counts = cbor2.loads(body)
    life, code, keys = cbor2.loads(lasting)
    status, mode = STATUSES[life[2]], MODES[life[3]]
    machine = Machine(number, life[0], life[1], status, code[1], keys[1], keys[0], bool(code[2]))
    machine.mode, machine.why = mode, code[0]
    machine.python, machine.version = code[3], code[4]
    machine.generation, machine.incarnation = keys[2:4]
    if len(keys) > 4:
        machine.revoked, machine.ends = keys[4], tuple(End(*row) for row in keys[5])
    if len(keys) > 6:
        machine.untold = tuple(keys[6])
    machine.head, machine.chain, machine.now_ms = chain[:3]
    machine.next_slot, machine.next_ask = chain[3:]
    machine.snapshot_at, machine.bytes_since, machine.turns_since, machine.state_bytes = since
    machine.failed, machine.refused = counts
    return machine


def _timer(timer: Timer) -> bytes:
    to = capability.to_row(timer.to)
    inner = [capability.to_row(cap) for cap in timer.caps]
    reply = None if timer.reply is None else capability.to_row(timer.reply)
    times = [timer.due_ms, timer.deadline_ms, timer.apart]
    return cbor2.dumps([to, timer.content, inner, reply, *times])


def decode_timer(body: bytes) -> Timer:
    """The timer of a row."""
    to, content, inner, reply, due_ms, deadline_ms, apart = cbor2.loads(body)
    caps = tuple(capability.from_row(row) for row in inner)
    back: Cap | None = None if reply is None else capability.from_row(reply)
    return Timer(capability.from_row(to), content, caps, back, due_ms, deadline_ms, apart)


def decode_ask(number: int, body: bytes) -> Ask:
    to, deadline_ms, receiver, seq, closing = cbor2.loads(body)
    own = None if to is None else capability.from_row(to)
    assert own is None or isinstance(own, Local), "an ask's reply is the asker's own"
    return Ask(number, own, deadline_ms, receiver, seq, bool(closing))


def load(host: Host, rows: Rows) -> None:
    """Fills a new host with what the store holds; nothing is decided here."""
    _load_machines(host, rows)
    _load_uses(host, rows)
    _load_clients(host, rows)
    for (sender, receiver), body in rows("channel"):
        host.channels[(sender, receiver)] = decode_channel(sender, receiver, body)
        for address in (sender, receiver):
            if address in host.clients:
                host.clients[address].channels.add((sender, receiver))
    _load_owned(host, rows)
    _load_batches(host, rows)
    for (key,), body in rows("meta"):
        if key == "peers":
            host.roster = roster.from_bytes(body)
        elif key == "cases":
            host.cases = cases.from_bytes(body)
        elif key == "audit":
            host.audit = auditlog.from_bytes_untrusted(body)
        elif isinstance(key, str) and key.startswith("end "):
            ending.load(host, body)
        else:
            _load_move(host, str(key), body)


def _load_move(host: Host, key: str, body: bytes) -> None:
    """What was on its way here when the host died begins anew; nothing of it is kept."""
    number = moves.load(host.moves, key, body)
    host.next_id = max(host.next_id, number + 1)
    if key.startswith(moves.LANDING):
        host.group.dirty[("meta", key)] = None
        host.group.cuts.append((number, REMOVE_ALL))
    if key.startswith(moves.REDIRECT):
        address = bytes.fromhex(key[-64:])
        host.deadlines.put(("redirect", address), host.moves.redirects[address].until_ms)


def _load_machines(host: Host, rows: Rows) -> None:
    for (number,), body in rows("machine"):
        machine = decode_machine(number, body)
        host.machines[machine.address] = host.by_id[number] = host.names[machine.name] = machine
        host.next_id = max(host.next_id, number + 1)
        if machine.has_signal and machine.status is not Status.HALTED:
            machine.signals = [*machine.untold, "restarted"]
    host.bound.update(rows("name"))
    for (number, slot), body in rows("slot"):
        machine = host.by_id[number]
        if machine.slots is None or machine.slot_of is None:
            machine.slots, machine.slot_of = {}, {}
        cap = capability.from_bytes(body)
        machine.slots[slot] = cap
        machine.slot_of[cap] = slot


def _load_uses(host: Host, rows: Rows) -> None:
    for (number, proof), body in rows("use"):
        machine = host.by_id[number]
        machine.uses = machine.uses or {}
        machine.uses[proof] = Use(*cbor2.loads(body))


def _load_clients(host: Host, rows: Rows) -> None:
    for (address,), body in rows("client"):
        number, durable, name, tag = cbor2.loads(body)
        client = Client(number, address, bool(durable), name, tag, stored=True)
        host.clients[address] = client
        host.next_id = max(host.next_id, number + 1)
        if not durable:
            idle_ms = round(host.limits.client_idle_s * 1000)
            host.deadlines.put(("client", address), host.now_ms + idle_ms)


def _load_owned(host: Host, rows: Rows) -> None:
    clients = {client.id: client for client in host.clients.values()}
    for (number, ask_number), body in rows("ask"):
        ask = decode_ask(ask_number, body)
        owner = host.by_id.get(number) or clients[number]
        if owner.asks is None:
            owner.asks = {}
        owner.asks[ask_number] = ask
        if not ask.closing:
            host.deadlines.put(("ask", number, ask_number), ask.deadline_ms)
    for (number, key), body in rows("timer"):
        machine = host.by_id[number]
        timer = decode_timer(body)
        machine.timers = machine.timers or {}
        machine.timers[key] = timer
        host.deadlines.put(("timer", number, key), timer.due_ms)


def _load_batches(host: Host, rows: Rows) -> None:
    for (sender, receiver, seq), body in rows("outbox"):
        batch = batches.from_bytes(sender, receiver, seq, body)
        host.outbox[(sender, receiver, seq)] = batch
        host.deadlines.put(("batch", sender, receiver, seq), batch.deadline_ms)
        owner = host.owner(sender)
        if owner is not None:
            owner.outbox_bytes += batch.size
        if receiver in host.machines:
            host.channel(sender, receiver).received = seq
            enqueue(host, host.machines[receiver], batch)
        elif receiver in host.clients:
            host.clients[receiver].waiting[(sender, seq)] = batch
        elif receiver == host.address:
            for_host(host, batch)
        elif batch.header:
            _load_away(host, batch)
    for (receiver, sender, seq), body in rows("inbox"):
        batch = batches.from_bytes(sender, receiver, seq, body)
        host.inbox[(receiver, sender, seq)] = batch
        host.deadlines.put(("batch", sender, receiver, seq), batch.deadline_ms)
        channel = host.channel(sender, receiver)
        channel.received, channel.received_ordinal = seq, batch.ordinal + batch.count
        if (
            sender in host.clients
        ):  # Of a batch that is held and none taken there is no channel's row.
            host.clients[sender].channels.add((sender, receiver))
        enqueue(host, host.machines[receiver], batch)


def _load_away(host: Host, batch: batches.Batch) -> None:
    """A batch for another host: it may have been offered before the crash."""
    channel = host.channel(batch.sender, batch.receiver)
    if batch.sender in host.clients:
        channel.received, channel.received_ordinal = batch.seq, batch.ordinal + batch.count
    outgoing = outgoing_of(host, batch.sender, batch.receiver)
    outgoing.durable = outgoing.offered = max(outgoing.durable, batch.seq)
