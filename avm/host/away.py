"""Batches on their way to other hosts: kept, and offered in order once they are committed.

Step 7 of the journey. A batch is sealed and chained in the fold that sends it. It leaves when its
commit is durable, its receiver's host is linked, and that host has marked how far the channel is
taken and has room. Large bodies go in instalments, in turn with those of other channels.
"""

from avm.host.batch import Batch, Said
from avm.host.capability import NULL, Named
from avm.host.channel import HINTS_MAX, PART_BYTES, Offer, Open, Part
from avm.host.ending import holds_back
from avm.host.header import NO_DIGEST, Header, digest_of_body, digest_of_header, pack_body
from avm.host.links import dial, peer_of, place_of, prove, say, seek, set_place
from avm.host.peers import Link, Outgoing
from avm.host.state import Channel, Host


def keep_away(host: Host, batch: Batch) -> None:
    """Keeps a batch for another host in its sender's outbox, as the bytes that will be offered."""
    channel = host.channel(batch.sender, batch.receiver)
    chain_on(host, channel, batch)
    key = (batch.sender, batch.receiver, batch.seq)
    host.outbox[key] = batch
    host.group.add(("outbox", *key), batch)
    host.group.away.append(batch)
    owner = host.owner(batch.sender)
    if owner is not None:
        owner.outbox_bytes += batch.size
    host.touch(channel)


def chain_on(host: Host, channel: Channel, batch: Batch) -> None:
    """Makes a batch the next of its channel between hosts: sealed, with its header; one that was
    withdrawn has no body.
    """
    body = pack_body(batch.messages, host.keys.to_seal) if batch.messages else b""
    before = channel.digest or NO_DIGEST
    place = (batch.sender, batch.receiver, batch.seq, batch.ordinal, batch.count)
    header = Header(*place, batch.deadline_ms, before, digest_of_body(body)).to_bytes()
    channel.digest = digest_of_header(header)
    batch.header, batch.body, batch.hints = header, body, _addresses(batch)
    batch.messages = _asks(batch.messages)


def _asks(messages: tuple[Said, ...]) -> tuple[Said, ...]:
    """What is kept of messages beside the body: the replies, each in its place."""
    count = len(messages)
    while count and messages[count - 1].reply is None:
        count -= 1
    return tuple([Said(NULL, b"", (), said.reply) for said in messages[:count]])


def _addresses(batch: Batch) -> tuple[bytes, ...]:
    """Whose capabilities a batch hands on: where they live goes with it."""
    found: dict[bytes, None] = {}
    for said in batch.messages:
        for cap in (*said.caps, *((said.reply,) if said.reply is not None else ())):
            if not isinstance(cap, Named) and cap.address not in (batch.sender, batch.receiver):
                found[cap.address] = None
        if len(found) >= HINTS_MAX:
            break
    return tuple(found)[:HINTS_MAX]


def _hints(host: Host, batch: Batch) -> list[tuple[bytes, bytes]]:
    hints: list[tuple[bytes, bytes]] = []
    for address in batch.hints:
        place = host.places.get(address)
        where = host.address if host.owner(address) is not None else place.host if place else b""
        where = where or host.hints.get(address, b"")
        if where:
            hints.append((address, where))
    return hints


def hear_hints(host: Host, hints: list[tuple[bytes, bytes]]) -> None:
    """Remembers where addresses are said to live, the latest of them."""
    for address, where in hints:
        if host.owner(address) is None and where != host.address:
            host.hints.pop(address, None)
            host.hints[address] = where
    while len(host.hints) > host.limits.hints:
        del host.hints[next(iter(host.hints))]


def outgoing_of(host: Host, sender: bytes, receiver: bytes) -> Outgoing:
    """The sender's end of a channel."""
    key = (sender, receiver)
    outgoing = host.outgoing.get(key)
    if outgoing is None:
        outgoing = host.outgoing[key] = Outgoing(sender, receiver)
        outgoing.confirmed = host.channel(sender, receiver).taken
        place_of(host, receiver).senders[sender] = None
    return outgoing


def leave(host: Host, batches: list[Batch]) -> None:
    """These batches are durable: they may leave."""
    for batch in batches:
        outgoing = outgoing_of(host, batch.sender, batch.receiver)
        outgoing.durable = max(outgoing.durable, batch.seq)
        wake(host, outgoing)


def wake(host: Host, outgoing: Outgoing) -> None:
    """Goes on with a channel as far as possible now: finds, dials, opens, or lists it to offer."""
    channel = host.channels.get((outgoing.sender, outgoing.receiver))
    if channel is None or channel.frozen or outgoing.durable <= channel.taken:
        return
    if outgoing.receiver in host.moves.leaving or not host.networked:
        return
    place = place_of(host, outgoing.receiver)
    if not place.host and outgoing.receiver in host.hints:
        set_place(host, outgoing.receiver, host.hints.pop(outgoing.receiver))
    if not place.host:
        seek(host, place)
        return
    peer = peer_of(host, place.host)
    link = host.links.get(peer.link)
    if link is None:
        dial(host, peer)
    elif outgoing.link != link.number:
        _begin(host, link, outgoing, channel.base)
    elif outgoing.marked and not outgoing.listed and has_more(outgoing):
        outgoing.listed = True
        link.ready.append(outgoing)


def _begin(host: Host, link: Link, outgoing: Outgoing, base: int) -> None:
    pair = (outgoing.sender, outgoing.receiver)
    proof = prove(host, outgoing.sender)
    if proof is None or holds_back(host, link, pair):
        return
    outgoing.link, outgoing.marked, outgoing.at = link.number, False, 0
    say(host, link, Open(*pair, proof.identity, proof.certificate, base))


def unlink(outgoing: Outgoing) -> None:
    """The channel is open on no link any more."""
    outgoing.link, outgoing.marked, outgoing.at, outgoing.listed = 0, False, 0, False


def drop_outgoing(host: Host, pair: tuple[bytes, bytes]) -> None:
    """Forgets the sender's end of a channel to another host."""
    outgoing = host.outgoing.pop(pair, None)
    if outgoing is not None:
        unlink(outgoing)
    place = host.places.get(pair[1])
    if place is not None:
        place.senders.pop(pair[0], None)


def has_more(outgoing: Outgoing) -> bool:
    """Whether there is a batch that may be offered now."""
    return outgoing.next <= min(outgoing.durable, outgoing.room)


def offer_all(host: Host) -> None:
    """Offers what may be offered, channels in turn, as far as the links take it."""
    for link in host.links.values():
        while link.ready and link.room > 0:
            outgoing = link.ready.popleft()
            outgoing.listed = False
            if outgoing.link == link.number and outgoing.marked and has_more(outgoing):
                _offer_part(host, link, outgoing)
                wake(host, outgoing)


def _offer_part(host: Host, link: Link, outgoing: Outgoing) -> None:
    pair = (outgoing.sender, outgoing.receiver)
    batch = host.outbox.get((*pair, outgoing.next))
    if batch is None:  # it has its verdict
        outgoing.next, outgoing.at = outgoing.next + 1, 0
        return
    at, body = outgoing.at, batch.body
    part = body[at : at + PART_BYTES]
    if at:
        say(host, link, Part(*pair, batch.seq, at, part))
    else:
        outgoing.offered = max(outgoing.offered, batch.seq)
        hints = _hints(host, batch)
        say(host, link, Offer(*pair, batch.header, len(body), part, outgoing.confirmed, hints))
    outgoing.at = at + len(part)
    if outgoing.at >= len(body):
        outgoing.next, outgoing.at = outgoing.next + 1, 0
