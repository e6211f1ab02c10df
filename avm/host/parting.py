"""A machine's end at the host that it leaves, all of it in one commit.

Beside the journey. What waits for it is sent on, like what other hosts' machines are sent; what it has
sent goes with it, and where that waits here already it is as if it had come from the new host. Marks
and numbers go on from where they are.
"""

from typing import Any

from avm.host import parcel
from avm.host.acts import Needs, Snapshot
from avm.host.arrivals import close_channels
from avm.host.away import chain_on, drop_outgoing
from avm.host.batch import Batch
from avm.host.capability import Cap, from_bytes, to_wire
from avm.host.clients import open_ask
from avm.host.effects import Export, Publish
from avm.host.header import digest_of_header, pack_body
from avm.host.links import link_to, say_passage_after
from avm.host.making import codes_made
from avm.host.moves import LEAVING, Leaving, key_of, leaving_bytes
from avm.host.operate import refuse
from avm.host.outbox import forget_channel, hold, settle
from avm.host.parcel import Parcel, Row, Sent, Waiting
from avm.host.passage import ITEM_BYTES_MAX, Ready
from avm.host.peers import Incoming
from avm.host.placing import forget
from avm.host.recast import recast, sealing
from avm.host.state import Channel, Client, Flight, Host, Machine, Status
from avm.machine import frames
from caps.light import dataclass

READY_MS = 5_000
# More than a row of a parcel has beside what it carries: a batch, a channel, a verdict, a word.
ROW = 2_048


@dataclass(slots=True)
class Leave:
    """Takes a machine's state whole, and with that its leave; it waits until nothing is in flight.

    Without a host to go to it goes into the file `name`, with all of its journal if `whole`.
    """

    request: int
    to: bytes
    name: str
    whole: bool = True
    needs: Needs = Needs.STATE
    kind: int = frames.SNAPSHOT
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        return Snapshot().start(host, flight)

    def finish(self, host: Host, flight: Flight) -> bool:
        machine = flight.machine
        if problem := why_not(host, machine, self.to):
            self._refuse(host, machine, problem)
            return True
        assert flight.answer is not None
        why = flight.answer[5]
        holds = Snapshot().finish(host, flight)
        if why or not holds:
            self._refuse(host, machine, why or "its worker is broken")
            return holds
        depart(host, machine, self.to, self.name, self.request)
        if not self.to:
            host.group.after.append(Export(machine.address, self.whole))
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        self._refuse(host, machine, why)

    def _refuse(self, host: Host, machine: Machine, why: str) -> None:
        what = "move" if self.to else "be exported"
        refuse(host, self.request, f"{machine.name} cannot {what}: {why}")


def why_not(host: Host, machine: Machine, to: bytes) -> str:
    """Why a machine cannot leave for a host, or a file, now, as far as that is known here."""
    if host.roster.is_banned(to):
        return f"that host is banned: `peers unban {to.hex()}`"
    if machine.status not in (Status.RUNNING, Status.SUSPENDED):
        return f"it is {machine.status.name.lower()}"
    if not to and machine.status is not Status.SUSPENDED:
        return f"it is running: `avm-host suspend {machine.name}` first"
    own = [one for pair, one in host.channels.items() if machine.address in pair]
    if any(one.frozen for one in own):
        return "a channel of it is frozen: `avm-host channels`"
    if codes_made(host, machine) or machine.address in host.making:
        return "it has machines made at this host, and could not elsewhere"
    if _size(host, machine, own) > ITEM_BYTES_MAX:
        return f"it holds more than {ITEM_BYTES_MAX:,} bytes beside its journal"
    return ""


def _size(host: Host, machine: Machine, channels: list[Channel]) -> int:
    """About how many bytes a machine's parcel will have, or its state where that is more."""
    size = len(parcel.to_bytes(_pack(host, machine, [], [], [])))
    for batch in [one for key, one in host.outbox.items() if key[0] == machine.address]:
        is_here = batch.messages and not batch.header
        size += len(pack_body(batch.messages, host.keys.to_seal) if is_here else batch.body) + ROW
    words = sum(len(one.messages) for one in machine.queue or () if one.sender == host.address)
    size += sum(ROW + ROW * len(one.verdicts) for one in channels) + ROW * words
    return max(size, machine.state_bytes) + 2 * ROW


def depart(host: Host, machine: Machine, to: bytes, name: str, request: int) -> None:
    """Ends a machine here; it is nowhere until the other host has taken it up, or refused it."""
    address, incarnation = machine.address, machine.incarnation + 1
    close_channels(host, address)
    words = _give_back(host, machine)
    sent = _take_along(host, machine, incarnation)
    rows = _channels(host, machine, incarnation)
    packed = parcel.to_bytes(_pack(host, machine, words, sent, rows))
    _erase(host, machine)
    recast(host, sealing(host, address))
    keys = machine.sealed_keys
    host.keys.leave(address)
    names = (machine.name, name)
    left = Leaving(address, to, incarnation, machine.id, *names, keys, packed, request)
    host.moves.leaving[address] = left
    host.group.dirty[key_of(LEAVING, address)] = leaving_bytes(left)
    host.group.after.append(Publish(address))
    say_ready(host, left)


def say_ready(host: Host, left: Leaving) -> None:
    """Tells the other host once it is committed, and again while nothing is heard of it."""
    link = link_to(host, left.to)
    if link is not None:
        say_passage_after(host, link, Ready(left.address, left.incarnation, left.name_there))
        host.deadlines.put(("ready", left.address), host.now_ms + READY_MS)


def _give_back(host: Host, machine: Machine) -> list[parcel.Word]:
    """Has what waits for the machine sent on by those here who sent it; the host's own words go along."""
    words: list[parcel.Word] = []
    queue, machine.queue = machine.queue, None
    for batch in sorted(queue or (), key=lambda one: (one.sender, one.seq)):
        if batch.sender == host.address:
            said = [(to_wire(one.to, host.keys.to_seal), one.content) for one in batch.messages]
            words.append(said)
            settle(host, batch)
        elif batch.sender == machine.address:
            continue
        elif batch.digest:
            settle(host, batch)
        else:
            _send_on(host, batch)
    return words


def _send_on(host: Host, batch: Batch) -> None:
    channel = host.channel(batch.sender, batch.receiver)
    chain_on(host, channel, batch)
    key = (batch.sender, batch.receiver, batch.seq)
    place = ("inbox", batch.receiver, batch.sender, batch.seq)
    if host.inbox.pop(place[1:], None) is not None:
        _drop_row(host, place)
    owner = host.owner(batch.sender)
    if key in host.outbox:
        host.group.dirty[("outbox", *key)] = batch
    else:
        host.outbox[key] = batch
        host.group.add(("outbox", *key), batch)
        if owner is not None:
            owner.outbox_bytes += batch.size
    host.group.away.append(batch)
    if isinstance(owner, Client):
        for _index, reply in batch.own_replies():
            open_ask(host, owner, batch, reply)
    host.touch(channel)


def _drop_row(host: Host, row: Any) -> None:
    if row in host.group.new:
        host.group.dirty.pop(row, None)
    else:
        host.group.dirty[row] = None


def _take_along(host: Host, machine: Machine, incarnation: int) -> list[Sent]:
    """The machine's outbox. What waits at machines here stays there, as if it had come already."""
    address = machine.address
    rows: list[Sent] = []
    for key in sorted(key for key in host.outbox if key[0] == address):
        receiver, batch = key[1], host.outbox[key]
        owner = host.owner(receiver)
        if isinstance(owner, Client):
            continue
        if owner is None:
            rows.append(_sent(host, batch))
        else:
            said = batch.messages
            chain_on(host, host.channel(address, receiver), batch)
            rows.append(_sent(host, batch))
            batch.messages, batch.body, batch.hints = said, b"", ()
            batch.digest = digest_of_header(batch.header)
            if receiver != address:
                come = Incoming(0, incarnation, 0, batch.digest)
                host.arriving[(address, receiver)] = come
        del host.outbox[key]
        _drop_row(host, ("outbox", *key))
        if owner is None or receiver == address:
            host.deadlines.drop(("batch", *key))
        elif owner.status is Status.SUSPENDED:
            # Like all that comes after it, before which a crash must not leave a gap.
            hold(host, batch)
    return rows


def _sent(host: Host, batch: Batch) -> Sent:
    replies = [
        None if said.reply is None else to_wire(said.reply, host.keys.to_seal)
        for said in batch.messages
    ]
    numbers = (batch.seq, batch.ordinal, batch.count, batch.deadline_ms, batch.size)
    return (batch.receiver, *numbers, batch.header, batch.body, replies, list(batch.hints))


def _channels(host: Host, machine: Machine, incarnation: int) -> list[Row]:
    """The machine's end of each of its channels; the other end stays where it is here."""
    address = machine.address
    rows: list[Row] = []
    for pair in sorted(pair for pair in host.channels if address in pair):
        channel = host.channels[pair]
        other = pair[0] if pair[1] == address else pair[1]
        owner = host.owner(other)
        stays = owner is not None and other != address
        epoch = owner.incarnation if isinstance(owner, Machine) else channel.epoch
        taken = (channel.taken, channel.taken_ordinal)
        if pair[0] == address:
            sent = (channel.sent, channel.sent_ordinal)
            rows.append((*pair, *sent, *taken, channel.digest, epoch, channel.base, []))
        else:
            told = [] if stays else [(seq, list(one)) for seq, one in channel.verdicts.items()]
            digest = b"" if stays else channel.digest
            rows.append((*pair, 0, 0, *taken, digest, epoch, 0, told))
        if pair[0] == address:
            drop_outgoing(host, pair)
        if stays:
            _keep_end(host, channel, other, incarnation)
        else:
            forget_channel(host, pair)
    return rows


def _keep_end(host: Host, channel: Channel, other: bytes, incarnation: int) -> None:
    """The end of a channel that stays, now one to or from another host."""
    channel.epoch = incarnation
    if channel.sender != other:
        channel.sent = channel.sent_ordinal = channel.base = 0
        channel.digest, channel.verdicts = b"", {}
    elif other in host.clients:
        channel.sent = max(channel.sent, channel.received)
        channel.sent_ordinal = max(channel.sent_ordinal, channel.received_ordinal)
    host.touch(channel)


def _pack(
    host: Host,
    machine: Machine,
    words: list[parcel.Word],
    sent: list[Sent],
    rows: list[Row],
) -> Parcel:
    def wire(cap: Cap) -> bytes:
        return to_wire(cap, host.keys.to_seal)

    asks = [
        (
            ask.number,
            None if ask.to is None else wire(ask.to),
            ask.deadline_ms,
            ask.receiver,
            ask.seq,
            # The outcome goes along as a word of the host.
            ask.closing,
        )
        for ask in (machine.asks or {}).values()
    ]
    timers: list[Waiting] = [
        (
            wire(timer.to),
            timer.content,
            [wire(cap) for cap in timer.caps],
            None if timer.reply is None else wire(timer.reply),
            timer.due_ms,
            timer.deadline_ms,
            timer.apart,
        )
        for timer in (machine.timers or {}).values()
    ]
    names = [
        (said, wire(from_bytes(row)))
        for (number, said), row in host.bound.items()
        if number == machine.id
    ]
    return Parcel(
        identity=machine.identity,
        incarnation=machine.incarnation + 1,
        generation=machine.generation + 1,
        status=machine.status.value,
        mode=machine.mode.value,
        why=machine.why,
        code=machine.code,
        has_signal=bool(machine.has_signal),
        python=machine.python,
        version=machine.version,
        head=machine.head,
        chain=machine.chain,
        now_ms=machine.now_ms,
        next_slot=machine.next_slot,
        next_ask=machine.next_ask,
        snapshot_at=machine.snapshot_at,
        state_bytes=machine.state_bytes,
        failed=machine.failed,
        refused=machine.refused,
        slots=[(number, wire(cap)) for number, cap in (machine.slots or {}).items()],
        names=names,
        asks=asks,
        timers=timers,
        channels=rows,
        outbox=sent,
        words=words,
        revoked=machine.revoked,
        ends=[(end.generation, end.from_ms) for end in machine.ends],
        uses=[(proof, *use) for proof, use in (machine.uses or {}).items()],
    )


def _erase(host: Host, machine: Machine) -> None:
    """Takes a machine out of the core's tables and the store, but for its history and its code."""
    dirty, number = host.group.dirty, machine.id
    for slot in machine.slots or ():
        dirty[("slot", number, slot)] = None
    for proof in machine.uses or ():
        dirty[("use", number, proof)] = None
    for key in [key for key in host.bound if key[0] == number]:
        del host.bound[key]
        dirty[("name", *key)] = None
    for kind, keys in (("timer", list(machine.timers or ())), ("ask", list(machine.asks or ()))):
        for one in keys:
            dirty[(kind, number, one)] = None
            host.deadlines.drop((kind, number, one))
    machine.uses = None
    machine.slots = machine.slot_of = machine.timers = machine.asks = machine.signals = None
    machine.queue = None
    host.machines.pop(machine.address, None)
    host.by_id.pop(number, None)
    if host.names.get(machine.name) is machine:
        del host.names[machine.name]
    host.proofs.pop(machine.address, None)
    host.spans.young.pop(number, None)
    dirty[("machine", number)] = None
    machine.status = Status.HALTED
    forget(host, machine)
    acts, machine.acts = machine.acts, None
    for act in acts or ():
        act.abandon(host, machine, "it is leaving this host")
