"""A machine taken up at the host that it comes to, all of it in one commit.

Beside the journey. Its capabilities are opened wherever this host holds them sealed. A channel with
somebody here becomes one within the host: what one end has taken and the other has not heard of yet is
settled, and what is still to be taken waits here.
"""

from avm.host import ending, journal
from avm.host.arrivals import drop_arriving
from avm.host.away import drop_outgoing, outgoing_of
from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, NULL, Cap, Local, Sealed, to_bytes
from avm.host.clients import OPERATOR
from avm.host.effects import Publish
from avm.host.entry import append
from avm.host.header import parse_header_untrusted, unpack_body_untrusted
from avm.host.moves import CARRIED, CARRIED_MAX, REDIRECT, Carried, carried_bytes, key_of
from avm.host.operate import void_all
from avm.host.outbox import (
    NEVER_MS,
    enqueue,
    give_client,
    make_ready,
    outcomes,
    send,
    settle,
    void,
    why_not,
)
from avm.host.parcel import Parcel, Row, Sent
from avm.host.peers import Outgoing, Pair
from avm.host.recast import opened, opening, recast
from avm.host.state import Ask, Channel, Client, End, Host, Machine, Mode, Status, Timer, Use
from avm.host.verdicts import end_batch
from caps.errors import Malformed


def why_not_adopted(host: Host, address: bytes, parcel: Parcel) -> str:
    """Why a machine cannot be taken up: what this host knows of its channels is something else."""
    sent = _rows(host, parcel)
    for pair in sorted({pair for pair in host.channels if address in pair} | set(sent)):
        channel = host.channels.get(pair)
        row = sent.get(pair)
        if host.owner(pair[0] if pair[1] == address else pair[1]) is None or channel is None:
            continue
        if channel.frozen:
            return "a channel to it is frozen here: `avm-host channels`"
        taken = row[4] if row is not None else 0
        if pair[1] == address and not (channel.taken <= taken <= channel.sent or row is None):
            return "it took other batches than were sent from here"
        if pair[0] == address and row is not None and not taken <= channel.taken <= row[2]:
            return "it sent other batches than were taken here"
    return ""


def adopt(
    host: Host, address: bytes, number: int, parcel: Parcel, keys: bytes, name: str
) -> Machine:
    """Makes a machine live here by this name, under the number where its history is already."""
    machine = _machine(host, address, number, parcel, keys, name)
    host.proofs.pop(address, None)
    host.machines[address] = host.by_id[number] = host.names[machine.name] = machine
    host.keys.add_machine(address, machine.sealed_keys)
    if host.moves.redirects.pop(address, None) is not None:
        host.group.dirty[key_of(REDIRECT, address)] = None
    if address in host.moves.carried:
        remember(host, Carried(address, name, machine.incarnation, False, host.now_ms))
    host.hints.pop(address, None)
    for pair in [pair for pair in host.arriving if pair[0] == address]:
        if host.owner(pair[1]) is not None:
            drop_arriving(host, pair)
    recast(host, opening(host, address))
    _holdings(host, machine, parcel)
    rows = _rows(host, parcel)
    pairs = {pair for pair in host.channels if address in pair} | set(rows)
    sent, lines = _by_receiver(parcel), _lines(host, address)
    # The host's own comes first: what becomes of the others' batches is told by it.
    for pair in sorted(pairs, key=lambda one: (one[0] != host.address, one)):
        channel, row = host.channel(*pair), rows.get(pair)
        if pair[0] == address:
            _sending(host, machine, channel, row, sent.get(pair[1], []))
        else:
            _receiving(host, machine, channel, row, lines.get(pair[0], []))
        host.touch(channel)
    _end_clients(host, machine, sent)
    place = host.places.pop(address, None)
    if place is not None and place.host in host.peers:
        host.peers[place.host].places.pop(address, None)
    for word in parcel.words:
        said = [Said(opened(host, wire), content, (), None) for wire, content in word]
        send(host, host.address, address, said, NEVER_MS)
    append(host, machine, journal.INCARNATION, host.now_ms, machine.incarnation)
    append(host, machine, journal.GENERATION, host.now_ms, machine.generation)
    if machine.status is Status.SUSPENDED and machine.mode is Mode.FAIL:
        void_all(host, machine, "the machine is suspended")
    host.group.after.append(Publish(address))
    make_ready(host, machine)
    return machine


def remember(host: Host, one: Carried) -> None:
    """Notes that a machine went into a file or came out of one, or has lived on here since."""
    carried = host.moves.carried
    carried.pop(one.address, None)
    carried[one.address] = one
    host.group.dirty[key_of(CARRIED, one.address)] = carried_bytes(one)
    while len(carried) > CARRIED_MAX:
        oldest = min(carried.values(), key=lambda other: other.at_ms)
        del carried[oldest.address]
        host.group.dirty[key_of(CARRIED, oldest.address)] = None


def _rows(host: Host, parcel: Parcel) -> dict[Pair, Row]:
    """The machine's ends of its channels, but for those with clients of this host that have ended."""
    ended = {end for pair in host.endings for end in (pair, pair[::-1])}
    return {row[:2]: row for row in parcel.channels if row[:2] not in ended}


def _by_receiver(parcel: Parcel) -> dict[bytes, list[Sent]]:
    sent: dict[bytes, list[Sent]] = {}
    for one in parcel.outbox:
        sent.setdefault(one[0], []).append(one)
    return sent


def _lines(host: Host, address: bytes) -> dict[bytes, list[tuple[bytes, bytes, int]]]:
    """What was to go to the machine, by who here sent it, in order."""
    lines: dict[bytes, list[tuple[bytes, bytes, int]]] = {}
    for key in sorted(key for key in host.outbox if key[1] == address):
        lines.setdefault(key[0], []).append(key)
    return lines


def _end_clients(host: Host, machine: Machine, sent: dict[bytes, list[Sent]]) -> None:
    """That clients of this host have ended is known where the machine is now: nothing goes to them."""
    for pair in [pair for pair in host.endings if pair[1] == machine.address]:
        ending.forget(host, pair)
        for one in sent.get(pair[0], []):
            batch = _away(host, machine, one)
            outcomes(host, batch, "unknown", "the client has ended")
            settle(host, batch)


def _machine(
    host: Host, address: bytes, number: int, parcel: Parcel, keys: bytes, name: str
) -> Machine:
    machine = Machine(
        number,
        address,
        name,
        Status(parcel.status),
        parcel.code,
        host.keys.take_machine(address, keys, parcel.generation),
        parcel.identity,
        parcel.has_signal,
    )
    machine.mode, machine.why = Mode(parcel.mode), parcel.why
    machine.python, machine.version = parcel.python, parcel.version
    machine.incarnation, machine.generation = parcel.incarnation, parcel.generation
    machine.head, machine.chain, machine.now_ms = parcel.head, parcel.chain, parcel.now_ms
    machine.next_slot, machine.next_ask = parcel.next_slot, parcel.next_ask
    machine.snapshot_at, machine.state_bytes = parcel.snapshot_at, parcel.state_bytes
    machine.revoked, machine.ends = parcel.revoked, tuple(End(*one) for one in parcel.ends)
    machine.failed = parcel.failed
    machine.refused = parcel.refused
    if parcel.has_signal:
        machine.signals = ["restarted"]
    return machine


def _holdings(host: Host, machine: Machine, parcel: Parcel) -> None:
    """Slots, names, asks and timers."""
    dirty, number = host.group.dirty, machine.id
    if parcel.slots:
        machine.slots, machine.slot_of = {}, {}
        for slot, wire in parcel.slots:
            cap = opened(host, wire)
            machine.slots[slot] = cap
            machine.slot_of.setdefault(cap, slot)
            dirty[("slot", number, slot)] = cap
    for proof, count, expires_ms in parcel.uses:
        machine.uses = machine.uses or {}
        machine.uses[proof] = dirty[("use", number, proof)] = Use(count, expires_ms)
    for name, wire in parcel.names:
        host.bound[(number, name)] = dirty[("name", number, name)] = to_bytes(opened(host, wire))
    for ask_number, to, deadline_ms, receiver, seq, closing in parcel.asks:
        own = None if to is None else opened(host, to)
        assert own is None or isinstance(own, Local), "an ask's reply is the asker's own"
        machine.asks = machine.asks or {}
        ask = machine.asks[ask_number] = Ask(ask_number, own, deadline_ms, receiver, seq, closing)
        dirty[("ask", number, ask_number)] = ask
        if not closing:
            host.deadlines.put(("ask", number, ask_number), deadline_ms)
    for where, content, wires, back, due_ms, deadline_ms, apart in parcel.timers:
        target = opened(host, where)
        inner = tuple(opened(host, wire) for wire in wires)
        reply = None if back is None else _reply(host, machine, back)
        machine.timers = machine.timers or {}
        timer = Timer(target, content, inner, reply, due_ms, deadline_ms, apart)
        key = to_bytes(target)
        machine.timers[key] = dirty[("timer", number, key)] = timer
        host.deadlines.put(("timer", number, key), due_ms)
    host.touch(machine)


def _reply(host: Host, machine: Machine, wire: bytes) -> Cap:
    """What a timer asks with: another's stays sealed, where no reply is made of it."""
    cap = opened(host, wire)
    if isinstance(cap, Local) and cap.address != machine.address:
        return Sealed(cap.address, wire)
    return cap


# Channels.


def _receiving(
    host: Host,
    machine: Machine,
    channel: Channel,
    row: Row | None,
    line: list[tuple[bytes, bytes, int]],
) -> None:
    """The machine is the receiver; `line` is what waits for it."""
    sender = channel.sender
    if row is None:
        row = (sender, machine.address, 0, 0, channel.taken, channel.taken_ordinal, b"", 0, 0, [])
    _, _, _, _, taken, taken_ordinal, digest, epoch, _, verdicts = row
    owner = host.owner(sender)
    channel.epoch = epoch if owner is None else 0
    if owner is None:
        channel.taken = channel.received = taken
        channel.taken_ordinal = channel.received_ordinal = taken_ordinal
        channel.digest, channel.verdicts = digest, dict(verdicts)
        if sender == host.address:
            channel.sent, channel.sent_ordinal = taken, taken_ordinal
        return
    outgoing = outgoing_of(host, sender, machine.address)
    told = dict(verdicts)
    for seq in range(channel.taken + 1, taken + 1):
        end_batch(host, outgoing, seq, told.get(seq, ["applied"]))
    drop_outgoing(host, (sender, machine.address))
    channel.digest, channel.base = b"", 0
    channel.received, channel.received_ordinal = channel.taken, channel.taken_ordinal
    for key in [key for key in line if key in host.outbox]:
        batch = _bring_in(host, host.outbox[key])
        channel.received, channel.received_ordinal = batch.seq, batch.ordinal + batch.count
        if isinstance(owner, Client):
            _to_inbox(host, owner, batch)
        enqueue(host, machine, batch)
    if isinstance(owner, Client) and sender != host.keys.client(OPERATOR)[0]:
        channel.sent = channel.sent_ordinal = 0  # It counts by itself; the operator's does not.


def _to_inbox(host: Host, client: Client, batch: Batch) -> None:
    """A client's batch that waits here is kept for its receiver."""
    key = (batch.sender, batch.receiver, batch.seq)
    del host.outbox[key]
    host.group.dirty[("outbox", *key)] = None
    client.outbox_bytes -= batch.size
    place = (batch.receiver, batch.sender, batch.seq)
    host.inbox[place] = batch
    host.group.dirty[("inbox", *place)] = batch


def _bring_in(host: Host, away: Batch) -> Batch:
    """A batch that was to go to another host, as one within this one; it stays in the outbox."""
    if not away.body:
        outcomes(host, away, "undelivered", "the deadline passed")
    messages: tuple[Said, ...] = ()
    if away.body:
        try:
            header = parse_header_untrusted(away.header)
            known = lambda wire: opened(host, wire)
            messages = unpack_body_untrusted(away.body, header, known, len(away.body))
        except Malformed:
            messages = (Said(INVALID, b"\xf6", (), None),)
    place = (away.sender, away.receiver, away.seq, away.ordinal, away.deadline_ms)
    batch = Batch(*place, messages, away.size, away.count, away.position, away.splits)
    key = (batch.sender, batch.receiver, batch.seq)
    host.outbox[key] = batch
    host.group.dirty[("outbox", *key)] = batch
    return batch


def _sending(
    host: Host, machine: Machine, channel: Channel, row: Row | None, sent: list[Sent]
) -> None:
    """The machine is the sender."""
    if row is None:
        return
    receiver = channel.receiver
    _, _, number, ordinal, taken, taken_ordinal, digest, epoch, base, _ = row
    owner = host.owner(receiver)
    heard = channel.taken if owner is not None else taken
    told, channel.verdicts = channel.verdicts, {}
    channel.sent, channel.sent_ordinal = number, ordinal
    channel.taken, channel.taken_ordinal = taken, taken_ordinal
    if channel.received < taken:  # as after a start
        channel.received, channel.received_ordinal = taken, taken_ordinal
    channel.epoch = epoch if owner is None else 0
    channel.digest, channel.base = digest, base
    batches = [_away(host, machine, one) for one in sent]
    if owner is None:
        if receiver == host.address:
            return
        outgoing = outgoing_of(host, machine.address, receiver)
        for batch in batches:
            outgoing.offered = batch.seq
            host.group.away.append(batch)
        return
    channel.digest, channel.base = b"", 0
    ended = Outgoing(machine.address, receiver)
    for seq in range(taken + 1, heard + 1):
        end_batch(host, ended, seq, told.get(seq, ["applied"]))
    if isinstance(owner, Client):
        _keep_waiting(host, machine, owner)
    came = _came(owner, machine.address)
    for batch in batches:
        if batch.seq > heard:
            _to_here(host, channel, owner, batch, came.get(batch.seq))


def _keep_waiting(host: Host, machine: Machine, client: Client) -> None:
    """What a client here has not heard yet stands in its sender's outbox, though its verdict is known."""
    for batch in client.waiting.values():
        if batch.sender == machine.address:
            key = (batch.sender, batch.receiver, batch.seq)
            host.outbox[key] = host.group.dirty[("outbox", *key)] = batch
            host.deadlines.put(("batch", *key), batch.deadline_ms)
            machine.outbox_bytes += batch.size


def _away(host: Host, machine: Machine, sent: Sent) -> Batch:
    receiver, seq, ordinal, count, deadline_ms, size, header, body, replies, hints = sent
    asks: list[Said] = []
    for wire in replies:
        reply: Cap | None = None if wire is None else opened(host, wire)
        asks.append(Said(NULL, b"", (), reply))
    place = (machine.address, receiver, seq, ordinal, deadline_ms)
    batch = Batch(*place, tuple(asks), size, count)
    batch.header, batch.body, batch.hints = header, body, tuple(hints)
    key = (machine.address, receiver, seq)
    host.outbox[key] = batch
    host.group.dirty[("outbox", *key)] = batch
    machine.outbox_bytes += size
    return batch


def _came(owner: Machine | Client, sender: bytes) -> dict[int, Batch]:
    """What has come of the machine from its old host already, and waits or is in flight here."""
    if isinstance(owner, Client):
        return {}
    flying = [one.batch for one in owner.flights or () if one.batch is not None]
    waiting = [*flying, *(owner.queue or ())]
    return {one.seq: one for one in waiting if one.sender == sender}


def _to_here(
    host: Host, channel: Channel, owner: Machine | Client, batch: Batch, came: Batch | None
) -> None:
    """A batch to somebody here that has no verdict yet."""
    key = (batch.sender, batch.receiver, batch.seq)
    if came is not None:
        if not came.messages:  # Its deadline has passed in line, and who asked is here only now.
            outcomes(host, batch, "undelivered", "the deadline passed")
        came.header, came.digest, came.size = b"", b"", batch.size
        host.outbox[key] = came
        host.group.dirty[("outbox", *key)] = came
        place = (batch.receiver, batch.sender, batch.seq)
        if host.inbox.pop(place, None) is not None:
            host.group.dirty[("inbox", *place)] = None
        channel.received = batch.seq
        return
    inside = _bring_in(host, batch)
    if isinstance(owner, Client):
        settle(host, inside)
        verdict = give_client(host, owner, inside)
        if verdict[0] != "applied":
            outcomes(host, inside, "rejected", "")
            channel.taken, channel.taken_ordinal = batch.seq, batch.ordinal + batch.count
        return
    why = why_not(host, owner, inside)
    if why:
        outcomes(host, inside, "undelivered", why)
        void(host, owner, inside, why)
        return
    channel.received = batch.seq
    enqueue(host, owner, inside)


__all__ = ["adopt", "remember", "why_not_adopted"]
