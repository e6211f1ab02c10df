"""Clients: senders and receivers that are no machines, with channels like any other.

A session of the command line is one. It offers batches with its own sequence, hears the verdict
after the commit, and after a break asks for the mark and offers the rest again.
"""

from avm.host import commons, ending
from avm.host.arrivals import drop_arriving
from avm.host.audited import note
from avm.host.away import keep_away
from avm.host.batch import Batch, Said
from avm.host.capability import Local, Reply, to_wire
from avm.host.effects import Deliver, Done, Mark, Publish, Verdict
from avm.host.outbox import (
    CAP_BYTES,
    NOT_HERE,
    enqueue,
    forget_channel,
    give_client,
    has_moved,
    hold,
    settle,
    void,
    why_not,
)
from avm.host.peers import Pair
from avm.host.state import RUNNING, SUSPENDED, Ask, Channel, Client, Host, Machine

# The client by which the operator offers failed batches again.
OPERATOR = "operator"
# A later deadline is noted when the batch becomes durable, and judged at its turn in any case.
SOON_MS = 60 * 60 * 1000
# More than any client keeps in flight: one that confirms none of its verdicts waits here.
VERDICTS_MAX = 4096


def open_client(
    host: Host, address: bytes, durable: bool, name: str = "", tag: bytes = b""
) -> Client:
    """A client connects, for the first time or again; what waits for it is delivered."""
    client = host.clients.get(address)
    if client is None:
        client = Client(host.new_id(), address, durable, name, tag)
        host.clients[address] = client
        if durable:
            store_client(host, client)
    client.connected = True
    host.deadlines.drop(("client", address))
    _drop_deliveries(host, address)
    for batch in sorted(client.waiting.values(), key=lambda one: (one.sender, one.seq)):
        host.group.after.append(Deliver(address, batch))
    return client


def _drop_deliveries(host: Host, address: bytes) -> None:
    """Drops what is about to be delivered: it waits behind what was not heard before, or nobody is there."""
    committing = host.committing.after if host.committing is not None else []
    for effects in (host.effects, committing, host.group.after):
        effects[:] = [
            one for one in effects if not (type(one) is Deliver and one.client == address)
        ]


def store_client(host: Host, client: Client) -> None:
    """Makes a client known to the store, from its first batch on."""
    client.stored = True
    host.touch(client)


def mark(host: Host, client: bytes, request: int, receiver: bytes) -> None:
    """A client asks what of its channel is taken; it is told when that is durable."""
    channel = host.channels.get((client, receiver)) or Channel(client, receiver)
    row = (channel.taken, channel.taken_ordinal, channel.position, dict(channel.verdicts))
    host.group.after.append(Mark(client, request, receiver, *row))


def ear(host: Host, client: bytes, request: int, context: bytes) -> None:
    """A client wants a capability to itself; it is told once its row is in the store, to hold."""
    host.effects.append(Publish(client))
    wire = to_wire(Local(client, 0, 0, 0, None, context, ()), host.keys.to_seal)
    note(host, "listening", None, client=client)
    host.group.after.append(Done(request, wire))


def offer(
    host: Host,
    client: Client,
    receiver: bytes,
    seq: int,
    messages: list[Said],
    deadline_ms: int,
    position: bytes,
    splits: bool,
) -> None:
    """A client offers a batch; it is taken once, in order, or told why not."""
    pair = (client.address, receiver)
    channel = host.channels.get(pair) or host.channel(*pair)
    client.channels.add(pair)
    if seq != channel.received + 1:
        _out_of_line(host, channel, seq)
        return
    content = caps = 0
    for said in messages:
        content += len(said.content)
        caps += len(said.caps)
    count = len(messages)
    size = content + CAP_BYTES * (count + caps)
    after = host.group.after
    limits = host.limits
    if count > limits.batch_messages or content > limits.batch_bytes or not messages:
        after.append(Verdict(client.address, receiver, seq, ["too large"]))
        return
    owner = host.owner(receiver)
    machine = owner if isinstance(owner, Machine) else None
    unheard = len(channel.verdicts) >= VERDICTS_MAX
    queue = None if machine is None else machine.queue
    crowded = queue is not None and queue.size >= limits.inbox_batches
    # What another host has taken of is waited for, also while there is no network.
    common = receiver == host.address
    away = (
        owner is None
        and not common
        and (host.networked or channel.sent > 0 or has_moved(host, receiver))
    )
    if away:
        waiting = channel.received - channel.taken
        # A client whose outbox is full goes on, one batch at a time, where nothing of it waits.
        laden = waiting and client.outbox_bytes > limits.outbox_bytes
        crowded = bool(laden) or waiting >= limits.inbox_batches
    if host.full or host.draining or unheard or crowded:
        after.append(Verdict(client.address, receiver, seq, ["busy"]))
        return
    if not client.stored:
        store_client(host, client)
    batch = Batch(
        client.address,
        receiver,
        seq,
        channel.received_ordinal,
        deadline_ms,
        tuple(messages),
        size,
        count,
        position,
        splits,
    )
    channel.received = seq
    channel.received_ordinal += count
    if common:
        _to_commons(host, channel, client, batch)
        return
    if away:
        _to_away(host, client, channel, batch)
        return
    if isinstance(owner, Client):
        _to_other(host, channel, owner, batch)
        return
    if machine is None:
        _not_here(host, channel, batch)
        return
    if machine.status is not RUNNING and (why := why_not(host, machine, batch)):
        void(host, machine, batch, why)
        return
    if deadline_ms < host.now_ms + SOON_MS:
        host.deadlines.put(("batch", client.address, receiver, seq), deadline_ms)
    if machine.status is SUSPENDED:
        hold(host, batch)
    enqueue(host, machine, batch)


def _out_of_line(host: Host, channel: Channel, seq: int) -> None:
    """Answers an offer that is not the next of its channel: it was taken, it waits, or one is missing."""
    place = (channel.sender, channel.receiver, seq)
    if seq <= channel.taken:
        verdict = channel.verdicts.get(seq, ["applied"])
        host.group.after.append(Verdict(*place, verdict))
    elif seq > channel.received:
        host.group.after.append(Verdict(*place, ["expected", channel.received + 1]))
    elif (channel.receiver, channel.sender, seq) in host.inbox:
        host.group.after.append(Verdict(*place, ["held"]))


def _to_away(host: Host, client: Client, channel: Channel, batch: Batch) -> None:
    """A batch for another host is durable before it leaves, and its asks with it."""
    channel.sent, channel.sent_ordinal = batch.seq, batch.ordinal + batch.count
    keep_away(host, batch)
    for _index, reply in batch.own_replies():
        open_ask(host, client, batch, reply)


def _to_commons(host: Host, channel: Channel, client: Client, batch: Batch) -> None:
    """A batch for the host's own common capabilities, which are asked at once."""
    verdict: list[object] = ["applied"]
    for index, said in enumerate(batch.messages):
        if not commons.is_common(said.to):
            verdict = ["rejected", index]
            break
    else:
        for _index, reply in batch.own_replies():
            open_ask(host, client, batch, reply)
        for said in batch.messages:
            commons.answer_client(host, client, said)
    _taken_at_once(host, channel, batch, verdict)


def _to_other(host: Host, channel: Channel, other: Client, batch: Batch) -> None:
    """A batch for another client, which takes it at once."""
    sender = host.clients[batch.sender]
    for _index, reply in batch.own_replies():
        open_ask(host, sender, batch, reply)
    other.channels.add((batch.sender, batch.receiver))
    _taken_at_once(host, channel, batch, give_client(host, other, batch))


def _taken_at_once(host: Host, channel: Channel, batch: Batch, verdict: list[object]) -> None:
    if verdict[0] != "applied":
        channel.verdicts[batch.seq] = verdict
    channel.taken, channel.taken_ordinal = batch.seq, batch.ordinal + batch.count
    if batch.position:
        channel.position = batch.position
    host.touch(channel)
    host.group.after.append(Verdict(batch.sender, batch.receiver, batch.seq, verdict))


def open_ask(host: Host, client: Client, batch: Batch, reply: Reply) -> None:
    """Opens an ask of a client, in the commit that makes its batch durable."""
    ask = Ask(reply.ask, None, reply.deadline_ms, batch.receiver, batch.seq)
    client.asks[reply.ask] = ask
    host.group.dirty[("ask", client.id, reply.ask)] = ask
    host.deadlines.put(("ask", client.id, reply.ask), reply.deadline_ms)


def _not_here(host: Host, channel: Channel, batch: Batch) -> None:
    channel.taken = channel.base = batch.seq
    channel.taken_ordinal = batch.ordinal + batch.count
    if batch.position:
        channel.position = batch.position
    verdict: list[object] = ["undelivered", NOT_HERE]
    channel.verdicts[batch.seq] = verdict
    host.touch(channel)
    host.group.after.append(Verdict(batch.sender, batch.receiver, batch.seq, verdict))


def confirm(host: Host, client: Client, receiver: bytes, seq: int) -> None:
    """A client has heard all verdicts up to this one; they need not be kept."""
    channel = host.channels.get((client.address, receiver))
    if channel is None or not channel.verdicts:
        return
    for heard in [one for one in channel.verdicts if one <= seq]:
        del channel.verdicts[heard]
        host.touch(channel)


def received(host: Host, client: Client, sender: bytes, seq: int) -> None:
    """A client has taken a batch that was delivered to it."""
    batch = client.waiting.pop((sender, seq), None)
    if batch is not None:
        settle(host, batch)


def close_client(host: Host, client: Client, ended: bool) -> None:
    """A client's connection is gone; one that has `ended` does not come back."""
    client.connected = False
    if client.durable:
        return
    if ended and not _has_batches(host, client):
        end_client(host, client)
        return
    idle_ms = round(host.limits.client_idle_s * 1000)
    host.deadlines.put(("client", client.address), host.now_ms + idle_ms)


def _has_batches(host: Host, client: Client) -> bool:
    channels = (host.channels.get(key) for key in client.channels)
    return any(one is not None and one.received > one.taken for one in channels)


def expire_client(host: Host, address: bytes) -> None:
    """A client that has been away for long is forgotten, once nothing of it is in a queue."""
    client = host.clients.get(address)
    if client is None or client.connected:
        return
    if _has_batches(host, client):
        idle_ms = round(host.limits.client_idle_s * 1000)
        host.deadlines.put(("client", address), host.now_ms + idle_ms)
        return
    end_client(host, client)


def _say_end(host: Host, client: Client, pair: Pair) -> None:
    """Another host may forget a client's channels, and what it kept for answering it."""
    incoming, outgoing = host.arriving.get(pair), host.outgoing.pop(pair, None)
    drop_arriving(host, pair)
    if outgoing is not None:
        host.places[outgoing.receiver].senders.pop(outgoing.sender, None)
    channel = host.channels.get(pair)
    if channel is None:
        return
    # What counts as sent was sent to another host, or had been taken by a machine before it left.
    if pair[0] == client.address and channel.sent:
        link = host.links.get(outgoing.link) if outgoing is not None else None
        ending.end(host, pair, client.tag, link)
    elif pair[1] == client.address and _is_from_afar(host, channel):
        back = (client.address, pair[0])
        known = host.channels.get(back)
        if back not in host.endings and (known is None or not known.sent):
            link = host.links.get(incoming.link) if incoming is not None else None
            ending.end(host, back, client.tag, link, has_sent=False)


def _is_from_afar(host: Host, channel: Channel) -> bool:
    """Whether another host has the sender's end of a channel."""
    is_here = host.owner(channel.sender) is not None
    return not is_here and bool(channel.digest or has_moved(host, channel.sender))


def end_client(host: Host, client: Client) -> None:
    """Forgets a client, with its asks, its channels and what waits for it."""
    dirty = host.group.dirty
    for batch in list(client.waiting.values()):
        settle(host, batch)
    client.waiting.clear()
    _drop_deliveries(host, client.address)
    for number in client.asks:
        dirty[("ask", client.id, number)] = None
        host.deadlines.drop(("ask", client.id, number))
    # A channel to it may be open by which nothing has come yet.
    opened = (pair for pair in host.arriving if pair[1] == client.address)
    for pair in sorted({*client.channels, *opened}):
        _say_end(host, client, pair)
        forget_channel(host, pair)
    host.proofs.pop(client.address, None)
    if client.stored:
        dirty[("client", client.address)] = None
    host.group.after.append(Publish(client.address))
    host.keys.drop(client.address)
    del host.clients[client.address]
