"""Batches on their way: out of a fold, to a machine here, a client, or into the outbox.

Step 7 of the journey, as far as it is decided. Everything here happens inside a fold: rows are
noted as dirty, and what leaves the host waits for the commit.
"""

from avm.host import journal
from avm.host.away import keep_away
from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, Cap, Local, Reply
from avm.host.effects import Deliver, Verdict
from avm.host.entry import append
from avm.host.judging import good_for_client
from avm.host.links import tell_away
from avm.host.returning import may_not_drop, own_copy
from avm.host.scheduler import Queue
from avm.host.state import RUNNING, SUSPENDED, Ask, Client, Host, Machine, Making, Mode, Status
from caps.codec import encode_content
from caps.value import Failed

CAP_BYTES = 100
NOT_HERE = "no machine of this address is known here"
# The deadline of an outcome: it waits for as long as its machine is there.
NEVER_MS = 2**62
# With these nothing has happened to what was asked.
NOTHING_HAPPENED = ("undelivered", "refused", "rejected")
# The tag of an outcome, before the array of its parts.
FAILED_HEAD = 3


def size_of(content: bytes, caps: tuple[Cap, ...]) -> int:
    """What a message counts against the limits, in bytes."""
    return len(content) + CAP_BYTES * (1 + len(caps))


def send(
    host: Host, sender: bytes, receiver: bytes, messages: list[Said], deadline_ms: int
) -> Batch:
    """Gives messages their place in the channel and sends them on their way."""
    channel = host.channel(sender, receiver)
    channel.sent += 1
    size = sum(size_of(said.content, said.caps) for said in messages)
    batch = Batch(
        sender,
        receiver,
        channel.sent,
        channel.sent_ordinal,
        deadline_ms,
        tuple(messages),
        size,
        len(messages),
    )
    channel.sent_ordinal += len(messages)
    host.touch(channel)
    route(host, batch)
    return batch


def route(host: Host, batch: Batch) -> None:
    """Brings a batch to where its receiver lives."""
    owner = host.owner(batch.receiver)
    if isinstance(owner, Client):
        if give_client(host, owner, batch)[0] == "rejected":
            outcomes(host, batch, "rejected", "")
            _count_taken(host, batch)
        return
    if batch.receiver == host.address:
        keep(host, batch)
        for_host(host, batch)
        return
    if owner is None and (host.networked or batch.seq > 1 or has_moved(host, batch.receiver)):
        # Numbers that another host has seen are not used again: the batch waits for a network.
        keep_away(host, batch)
        return
    if owner is None:
        forget_channel(host, (batch.sender, batch.receiver))
        outcomes(host, batch, "undelivered", NOT_HERE)
        return
    if why := why_not(host, owner, batch):
        outcomes(host, batch, "undelivered", why)
        void(host, owner, batch, why)
        return
    keep(host, batch)
    host.channel(batch.sender, batch.receiver).received = batch.seq
    enqueue(host, owner, batch)


def for_host(host: Host, batch: Batch) -> None:
    """Puts a batch in line that is for the host itself: machines are to be made for its sender."""
    line = host.making.get(batch.sender)
    if line is None:
        line = host.making[batch.sender] = Making()
    line.batches.append(batch)
    if batch.messages and not any(said.reply for said in batch.messages):
        line.over = batch.seq
    host.channel(batch.sender, batch.receiver).received = batch.seq


def has_moved(host: Host, address: bytes) -> bool:
    """Whether a machine lived here and is at another host, on its way there, or in a file."""
    carried = host.moves.carried.get(address)
    is_out = carried is not None and carried.is_out
    return is_out or address in host.moves.leaving or address in host.moves.redirects


def why_not(host: Host, machine: Machine, batch: Batch) -> str:
    """Why a batch is not taken; the host's own word to a machine that may resume always is."""
    if machine.status is RUNNING:
        return ""
    if machine.status is Status.HALTED:
        return "the machine is halted"
    fails = machine.status is SUSPENDED and machine.mode is Mode.FAIL
    return "the machine is suspended" if fails and batch.sender != host.address else ""


def void(host: Host, machine: Machine, batch: Batch, why: str = "") -> None:
    """Journals that a batch was not taken, by its deadline or for `why`; the mark goes on over it."""
    fields = (batch.sender, batch.seq, host.now_ms, why or "deadline", batch.count)
    append(host, machine, journal.VOID, *fields)
    host.counts["void"] += 1
    take_mark(host, batch)
    tell(host, batch, ["undelivered", why] if why else ["undelivered"])


def _count_taken(host: Host, batch: Batch) -> None:
    channel = host.channel(batch.sender, batch.receiver)
    if channel.taken == batch.seq - 1:
        channel.taken = channel.received = batch.seq
        channel.taken_ordinal = batch.ordinal + batch.count


def keep(host: Host, batch: Batch) -> None:
    """Keeps a batch in its sender's outbox until its verdict."""
    key = (batch.sender, batch.receiver, batch.seq)
    host.outbox[key] = batch
    host.group.add(("outbox", *key), batch)
    sender = host.owner(batch.sender)
    if sender is not None:
        sender.outbox_bytes += batch.size


def hold(host: Host, batch: Batch) -> None:
    """Makes a client's batch durable that its machine cannot take yet, and says so."""
    key = (batch.receiver, batch.sender, batch.seq)
    if key in host.inbox or (batch.sender, batch.receiver, batch.seq) in host.outbox:
        return
    host.inbox[key] = batch
    host.group.add(("inbox", *key), batch)
    if not batch.digest:
        host.group.after.append(Verdict(batch.sender, batch.receiver, batch.seq, ["held"]))


def settle(host: Host, batch: Batch) -> None:
    """Takes a batch with its verdict out of the outbox or inbox, in the verdict's commit."""
    key = (batch.sender, batch.receiver, batch.seq)
    host.deadlines.drop(("batch", *key))
    dirty = host.group.dirty
    if host.outbox.pop(key, None) is not None:
        row = ("outbox", *key)
        sender = host.owner(batch.sender)
        if sender is None:
            _forget_channel(host, batch)
        else:
            _give_room(host, sender, batch.size)
    elif host.inbox and host.inbox.pop((batch.receiver, batch.sender, batch.seq), None) is not None:
        row = ("inbox", batch.receiver, batch.sender, batch.seq)
    else:
        return
    if row in host.group.new:
        del dirty[row]
    else:
        dirty[row] = None


def bare(host: Host, batch: Batch) -> None:
    """What is left of a batch without its body takes no more room than its header."""
    sender, size = host.owner(batch.sender), min(batch.size, len(batch.header))
    if sender is not None:
        _give_room(host, sender, batch.size - size)
    batch.size = size


def _give_room(host: Host, sender: Machine | Client, size: int) -> None:
    before = sender.outbox_bytes
    sender.outbox_bytes -= size
    most = host.limits.outbox_bytes
    if isinstance(sender, Machine) and before > most >= sender.outbox_bytes:
        make_ready(host, sender)


def forget_channel(host: Host, pair: tuple[bytes, bytes]) -> None:
    """Forgets a channel, in the next commit."""
    if host.channels.pop(pair, None) is not None:
        host.group.dirty[("channel", *pair)] = None


def _forget_channel(host: Host, batch: Batch) -> None:
    """Forgets the channel of a machine that is gone with the last batch that it sent."""
    channel = host.channel(batch.sender, batch.receiver)
    if host.owner(batch.sender) is not None or batch.sender == host.address:
        return
    if channel.sent == channel.taken:
        forget_channel(host, (batch.sender, batch.receiver))


def enqueue(host: Host, machine: Machine, batch: Batch) -> None:
    """Puts a batch into a machine's queue."""
    if machine.queue is None:
        machine.queue = Queue()
    machine.queue.push(batch)
    make_ready(host, machine)


def make_ready(host: Host, machine: Machine) -> None:
    """Lists a machine to be looked at for dispatch."""
    if not machine.listed:
        machine.listed = True
        host.ready.append(machine)


def give_client(host: Host, client: Client, batch: Batch) -> list[object]:
    """Has a client take a batch of another one, or of another host; the verdict."""
    client.channels.add((batch.sender, client.address))
    index = _barred(host, batch)
    if index is not None:
        return ["rejected", index]
    to_client(host, client, batch)
    return ["applied"]


def _barred(host: Host, batch: Batch) -> int | None:
    """The place of a client's first message whose capability is not valid, or not good for it."""
    for index, said in enumerate(batch.messages):
        good = type(said.to) is not Local or good_for_client(said.to, batch.sender, host.now_ms)
        if said.to == INVALID or not good:
            host.counts["invalid"] += 1
            return index
    return None


def to_client(host: Host, client: Client, batch: Batch) -> None:
    """A client takes no turns: its asks are closed here, in the commit of the answer."""
    kept: list[Said] = []
    for said in batch.messages:
        if type(said.to) is not Reply:
            kept.append(said)
            continue
        ask = client.asks.pop(said.to.ask, None)
        late = said.to.deadline_ms <= host.now_ms and batch.sender != host.address
        if ask is None or late or ask.deadline_ms != said.to.deadline_ms:
            if ask is not None:
                client.asks[ask.number] = ask
            host.counts["inert"] += 1
            continue
        host.group.dirty[("ask", client.id, ask.number)] = None
        host.deadlines.drop(("ask", client.id, ask.number))
        kept.append(said)
    _count_taken(host, batch)
    if not kept or not (client.connected or client.durable or client.stored):
        return
    batch.messages = tuple(kept)
    keep(host, batch)
    client.waiting[(batch.sender, batch.seq)] = batch
    if client.connected:
        host.group.after.append(Deliver(client.address, batch))


def withdraw(host: Host, batch: Batch) -> None:
    """Takes the messages out of a batch whose deadline has passed; its header stays in line.

    Its sender has the room again, or machines that wait for each other would do so for good.
    """
    outcomes(host, batch, "undelivered", "the deadline passed")
    batch.messages = ()
    key = (batch.sender, batch.receiver, batch.seq)
    if key in host.outbox:
        bare(host, batch)
        host.group.dirty[("outbox", *key)] = batch
    elif (batch.receiver, batch.sender, batch.seq) in host.inbox:
        host.group.dirty[("inbox", batch.receiver, batch.sender, batch.seq)] = batch


def outcomes(host: Host, batch: Batch, why: str, detail: str, special: int = -1) -> None:
    """Gives each ask of a batch that was not applied its outcome.

    The message at `special` was refused by the machine itself with `detail` as its word; the
    others are rejected because of it.
    """
    sender = host.owner(batch.sender)
    if sender is None or isinstance(sender, Client):
        return
    asked = batch.own_replies()
    messages = own_copy(host, batch) if asked and why in NOTHING_HAPPENED else ()
    for index, reply in asked:
        back = messages[index] if messages else None
        if why == "refused" and index != special:
            outcome(host, sender, reply.ask, "rejected", "", back)
        else:
            outcome(host, sender, reply.ask, why, detail, back)


def outcome(
    host: Host,
    owner: Machine | Client,
    number: int,
    why: str,
    detail: str,
    back: Said | None = None,
) -> None:
    """Gives one ask the outcome that is no answer; nothing happens when it has one already.

    `back` is the message that asked, where it is known that it was not taken: what may not be dropped
    of it returns with the outcome.
    """
    asks = owner.asks or {}
    ask = asks.get(number)
    if ask is None or ask.closing:
        return
    host.counts[why] += 1
    if back is not None and may_not_drop(back):
        answer_ask(host, owner, ask, failed(why, detail, back.content), back.caps)
    else:
        answer_ask(host, owner, ask, failed(why, detail), ())


def answer_ask(
    host: Host, owner: Machine | Client, ask: Ask, body: bytes, caps: tuple[Cap, ...]
) -> None:
    """What the host itself says to an ask, which is closed by it."""
    host.deadlines.drop(("ask", owner.id, ask.number))
    said = Said(Reply(owner.address, ask.number, ask.deadline_ms), body, caps, None)
    if isinstance(owner, Machine):
        ask.closing = True
        host.group.dirty[("ask", owner.id, ask.number)] = ask
    send(host, host.address, owner.address, [said], NEVER_MS)


def failed(why: str, detail: str, back: bytes = b"") -> bytes:
    """The content of an outcome that is no answer; `back` is that of the ask, where it returns."""
    body = encode_content(Failed(why, detail))[0]
    return body[:FAILED_HEAD] + b"\x83" + body[FAILED_HEAD + 1 :] + back if back else body


def tell(host: Host, batch: Batch, verdict: list[object]) -> None:
    """Tells a client the verdict of its batch, once it is committed."""
    client = host.clients.get(batch.sender)
    if client is None:
        if batch.digest:
            tell_away(host, host.channel(batch.sender, batch.receiver), batch.seq, verdict)
        return
    channel = host.channel(batch.sender, batch.receiver)
    if channel.sent and not batch.header:
        return  # The operator's own channel, which nobody listens at.
    if verdict[0] != "applied":
        channel.verdicts[batch.seq] = verdict
        close_asks(host, client, batch)
    host.group.after.append(Verdict(client.address, batch.receiver, batch.seq, verdict))


def close_asks(host: Host, client: Client, batch: Batch) -> None:
    """Of a client's batch that was not applied the verdict tells all there is to know.

    Its asks are open already if it was on its way to another host, whose machine may have come here.
    """
    asks = [reply.ask for _index, reply in batch.own_replies()]
    if not batch.messages:  # Withdrawn: what it asked is known from the asks.
        place = (batch.receiver, batch.seq)
        asks = [one.number for one in client.asks.values() if (one.receiver, one.seq) == place]
    for ask in asks:
        if client.asks.pop(ask, None) is not None:
            host.group.dirty[("ask", client.id, ask)] = None
            host.deadlines.drop(("ask", client.id, ask))


def take_mark(host: Host, batch: Batch) -> None:
    """Advances the applied mark over a batch that has its verdict."""
    channel = host.channel(batch.sender, batch.receiver)
    assert batch.seq == channel.taken + 1, "verdicts come in the order of the channel"
    channel.taken = batch.seq
    channel.taken_ordinal = batch.ordinal + batch.count
    if batch.position:
        channel.position = batch.position
    if channel.received <= channel.taken:  # also what never waited: see `void`
        channel.received, channel.received_ordinal = channel.taken, channel.taken_ordinal
    if batch.digest:
        channel.digest = batch.digest
    host.touch(channel)
    settle(host, batch)
