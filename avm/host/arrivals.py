"""Batches that come from other hosts: checked in order, and put in line like any other.

The first step of a message's journey at its second host: who speaks for the sender is proven when
the channel is opened; then each batch is held against the mark, the chain of headers and the room
there is, its capabilities are opened, and it waits for its turn. The sender keeps it until then.
"""

from collections.abc import Sequence

from avm.host.audited import refused
from avm.host.away import hear_hints, outgoing_of, wake
from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, Cap
from avm.host.channel import VERDICTS_MAX, Again, End, Gone, Mark, Offer, Open, Part, Told
from avm.host.forgetting import forget
from avm.host.header import (
    NO_DIGEST,
    Header,
    digest_of_body,
    digest_of_header,
    parse_header_untrusted,
    unpack_body_untrusted,
)
from avm.host.links import (
    prove,
    proven,
    room_of,
    say,
    say_after,
    say_passage,
    set_place,
    tell_away,
)
from avm.host.outbox import enqueue, give_client, hold, take_mark, void, why_not
from avm.host.passage import Moved
from avm.host.peers import Incoming, Link, Pair, Partial
from avm.host.state import SUSPENDED, Channel, Client, Host
from avm.host.verdicts import TWO_VERSIONS, freeze
from caps.errors import InvalidCapability, Malformed

NONE_BODY = b"\xf6"


class PeerBroken(Exception):
    """The other host says what no host would; the link to it is closed."""


def opened(host: Host, link: Link, frame: Open) -> None:
    """Another host begins a channel to a machine or client of this one."""
    pair = (frame.sender, frame.receiver)
    if len(link.incoming) >= host.limits.link_channels and pair not in link.incoming:
        host.counts["crowded"] += 1
        say(host, link, Gone(*pair))
        return
    incarnation = proven(host, link, frame.sender, frame.identity, frame.certificate)
    owner = host.owner(frame.receiver)
    redirect = host.moves.redirects.get(frame.receiver)
    if owner is None and redirect is not None and incarnation is not None:
        say_passage(host, link, Moved(*pair, redirect.identity, redirect.certificate))
        return
    if incarnation is not None and _awaits(host, link, pair):
        return
    channel = host.channels.get(pair)
    stale = channel is not None and incarnation is not None and incarnation < channel.epoch
    proof = prove(host, frame.receiver) if owner is not None else None
    if incarnation is None or proof is None or stale or host.owner(frame.sender) is not None:
        # Who spoke for a machine before it moved may have said so before it heard of that.
        unproven = incarnation is None
        host.counts["unproven" if unproven else "outdated" if stale else "not_here"] += 1
        if unproven or stale:
            refused(host, "not proven to speak for a machine")
        say(host, link, Gone(*pair))
        return
    if channel is not None and channel.frozen:
        return
    _lives_at(host, frame.sender, link.peer)
    link.incoming[pair] = None
    taken, received, digest = frame.base, frame.base, NO_DIGEST
    known = channel or Channel(*pair, taken=taken, received=received)
    if channel is not None:
        taken, digest = channel.taken, channel.digest or NO_DIGEST
    latest = _last_digest(host, pair) or digest
    base = frame.base if channel is None else 0
    host.arriving[pair] = Incoming(link.number, incarnation, base, latest)
    verdicts = [(seq, list(verdict)) for seq, verdict in known.verdicts.items()]
    room = room_of(host, known, base)
    proofs = (proof.identity, proof.certificate)
    say_after(host, link, Mark(*pair, *proofs, taken, digest, room, verdicts))


def _lives_at(host: Host, address: bytes, where: bytes) -> None:
    """Who sends lives there: what is to be sent to it and waited for another host goes on."""
    place = host.places.get(address)
    if place is None:
        hear_hints(host, [(address, where)])
    elif place.host != where:
        set_place(host, address, where)
        for sender in list(place.senders):
            wake(host, outgoing_of(host, sender, address))


def _awaits(host: Host, link: Link, pair: Pair) -> bool:
    """Whether the receiver is between two hosts: it is said at which it is once that is known."""
    if pair[1] not in host.moves.leaving or len(link.awaiting) >= host.limits.link_channels:
        return False
    link.awaiting[pair] = None
    return True


def _last_digest(host: Host, pair: Pair) -> bytes:
    """The digest of the last header received; what waits for its turn is held durable, or asked anew."""
    channel, before = host.channels.get(pair), host.arriving.get(pair)
    if channel is None:
        return b""
    if before is not None:
        return before.digest
    last = host.inbox.get((channel.receiver, channel.sender, channel.received))
    return b"" if last is None else last.digest


def closed(host: Host, link: Link, pair: Pair, others: Sequence[Link]) -> None:
    """The link of a channel is gone; it is remembered as long as something of it is under way.

    The sender's end may believe it open on any of the others: they were taken in another order there,
    or what was said on this one came late, out of a life that has ended.
    """
    incoming, channel = host.arriving.get(pair), host.channels.get(pair)
    if incoming is None or incoming.link != link.number:
        return
    incoming.partial = None
    if channel is None or channel.received == channel.taken:
        del host.arriving[pair]
    for other in others:
        say(host, other, Again(*pair, 1, "closed"))


def drop_arriving(host: Host, pair: Pair) -> None:
    """Forgets the receiver's end of a channel, and what of a batch has come."""
    incoming = host.arriving.pop(pair, None)
    link = host.links.get(incoming.link) if incoming is not None else None
    if incoming is not None and link is not None:
        _drop_partial(link, incoming)
        link.incoming.pop(pair, None)


def close_channels(host: Host, address: bytes) -> None:
    """Who sends from other hosts to what is gone opens its channel anew, and hears where it lives."""
    for pair in [pair for pair in host.arriving if pair[1] == address]:
        link = host.links.get(host.arriving[pair].link)
        drop_arriving(host, pair)
        if link is not None:
            say_after(host, link, Again(*pair, 1, "closed"))


def ended(host: Host, link: Link, frame: End) -> None:
    """A sender is gone for good: its channels are forgotten, where nothing of it is under way."""
    pair = (frame.sender, frame.receiver)
    channel = host.channels.get(pair)
    if _incoming(host, link, frame) is None:
        return
    if channel is None or channel.received == channel.taken:
        drop_arriving(host, pair)
        forget(host, link, pair)


def _incoming(host: Host, link: Link, frame: Offer | Part | End) -> Incoming | None:
    incoming = host.arriving.get((frame.sender, frame.receiver))
    if incoming is None or incoming.link != link.number:
        host.counts["stray"] += 1
        if not isinstance(frame, Part) and (frame.sender, frame.receiver) not in link.awaiting:
            say(host, link, Again(frame.sender, frame.receiver, 1, "closed"))
        return None
    return incoming


def offered(host: Host, link: Link, frame: Offer) -> None:
    """A batch, whole or its first part."""
    incoming = _incoming(host, link, frame)
    if incoming is None:
        return
    header = parse_header_untrusted(frame.header)
    pair = (header.sender, header.receiver)
    if pair != (frame.sender, frame.receiver):
        raise PeerBroken("a header of another channel")
    _drop_partial(link, incoming)
    hear_hints(host, frame.hints)
    if not _is_next(host, link, incoming, header, frame):
        return
    if frame.size > host.limits.arrival_bytes:
        raise PeerBroken(f"a batch of {frame.size} bytes")
    if len(frame.part) == frame.size:
        _arrive(host, link, incoming, header, frame.header, frame.part)
    elif link.partial_bytes + frame.size > host.limits.link_bytes or _is_busy(host, *pair):
        # The rest of a body that nobody has room for need not come.
        say(host, link, Again(*pair, header.seq, "busy"))
    else:
        link.partial_bytes += frame.size
        incoming.partial = Partial(frame.header, frame.size, bytearray(frame.part))


def parted(host: Host, link: Link, frame: Part) -> None:
    """Another instalment of a body; one that does not fit is of a batch offered again since."""
    incoming = _incoming(host, link, frame)
    partial = incoming.partial if incoming is not None else None
    if incoming is None or partial is None:
        return
    header = parse_header_untrusted(partial.header)
    if frame.seq != header.seq or frame.at != len(partial.body):
        host.counts["stray"] += 1
        return
    if len(partial.body) + len(frame.part) > partial.size:
        raise PeerBroken("a body longer than its batch says")
    partial.body += frame.part
    if len(partial.body) == partial.size:
        _drop_partial(link, incoming)
        _arrive(host, link, incoming, header, partial.header, bytes(partial.body))


def _drop_partial(link: Link, incoming: Incoming) -> None:
    if incoming.partial is not None:
        link.partial_bytes -= incoming.partial.size
        incoming.partial = None


def _is_next(host: Host, link: Link, incoming: Incoming, header: Header, frame: Offer) -> bool:
    """Whether it is the batch that is expected; what was taken already hears its verdict again."""
    pair = (frame.sender, frame.receiver)
    channel = host.channels.get(pair)
    if channel is None:
        channel = Channel(*pair, taken=incoming.base, received=incoming.base)
    for heard in [seq for seq in channel.verdicts if seq <= frame.confirmed]:
        del channel.verdicts[heard]
        host.touch(channel)
    if header.seq <= channel.taken:
        verdict = channel.verdicts.get(header.seq, ["applied"])
        room = room_of(host, channel, incoming.base)
        say_after(host, link, Told(*pair, header.seq, verdict, room))
        return False
    if header.seq <= channel.received:
        if _is_another(host, incoming, channel, header.seq, frame.header):
            # Its verdicts would be taken for those of what was offered now: it is open no more.
            freeze(host, channel, TWO_VERSIONS, frame.header)
            drop_arriving(host, pair)
        return False
    if channel.frozen:
        return False
    if header.seq == channel.received + 1:
        incoming.asked = 0
        return True
    if incoming.asked != channel.received + 1:
        incoming.asked = channel.received + 1
        say(host, link, Again(*pair, incoming.asked, "expected"))
    return False


def _is_another(host: Host, incoming: Incoming, channel: Channel, seq: int, octets: bytes) -> bool:
    """Whether what waits here under a number is not what is offered now, as far as that is known."""
    known = incoming.digest
    if seq < channel.received:
        held = host.inbox.get((channel.receiver, channel.sender, seq))
        known = b"" if held is None else held.digest
    return known not in (b"", NO_DIGEST, digest_of_header(octets))


def _arrive(
    host: Host, link: Link, incoming: Incoming, header: Header, octets: bytes, body: bytes
) -> None:
    """A whole batch, the next of its channel."""
    pair = (header.sender, header.receiver)
    if body and digest_of_body(body) != header.body:
        raise PeerBroken("a body that is not its header's")
    known = host.channels.get(pair)
    first = known is None or known.taken == known.received == incoming.base
    if header.before != incoming.digest and not (first and incoming.digest == NO_DIGEST):
        freeze(host, host.channel(*pair), TWO_VERSIONS, octets)
        return
    if _is_busy(host, *pair):
        say(host, link, Again(*pair, header.seq, "busy"))
        return
    messages = _messages(host, header, body)
    digest = digest_of_header(octets)
    if known is None and messages and all(said.to == INVALID for said in messages):
        # A stranger: nothing is kept, and its channel begins anew.
        incoming.base, incoming.digest = header.seq, digest
        host.counts["strangers"] += 1
        refused(host, "not valid, of a stranger")
        room = header.seq + 1
        say(host, link, Told(*pair, header.seq, ["rejected", 0, "stranger"], room))
        return
    channel = host.channel(*pair)
    if known is None:
        channel.taken = channel.received = incoming.base
        channel.taken_ordinal = channel.received_ordinal = header.ordinal
    channel.epoch = max(channel.epoch, incoming.incarnation)
    place = (*pair, header.seq, header.ordinal, header.deadline_ms)
    batch = Batch(*place, messages, len(body), header.count)
    batch.header, batch.digest = octets, digest
    channel.received, channel.received_ordinal = header.seq, header.ordinal + header.count
    incoming.digest = digest
    _line_up(host, channel, batch)


def _is_busy(host: Host, sender: bytes, receiver: bytes) -> bool:
    machine = host.machines.get(receiver)
    channel = host.channels.get((sender, receiver))
    waiting = len(machine.queue or ()) if machine is not None else 0
    # What waits has its verdict before the sender confirms any: a mark holds them all.
    unheard = 0
    if channel is not None:
        unheard = len(channel.verdicts) + channel.received - channel.taken
    crowded = waiting >= host.limits.inbox_batches or unheard >= VERDICTS_MAX
    return host.full or host.draining or crowded


def _messages(host: Host, header: Header, body: bytes) -> tuple[Said, ...]:
    """The messages of a body; of one that is none, one message that is not valid."""
    if not body:
        return ()

    def open_untrusted(wire: bytes) -> Cap:
        try:
            return host.keys.open_untrusted(wire)
        except InvalidCapability:
            return INVALID

    try:
        return unpack_body_untrusted(body, header, open_untrusted, host.limits.arrival_bytes)
    except Malformed:
        host.counts["malformed"] += 1
        return (Said(INVALID, NONE_BODY, (), None),)


def _line_up(host: Host, channel: Channel, batch: Batch) -> None:
    """Gives a batch to whom it is for; what is not taken is undelivered at once."""
    owner = host.owner(batch.receiver)
    if isinstance(owner, Client):
        if not batch.messages:
            _undelivered(host, channel, batch)
            return
        verdict = give_client(host, owner, batch)
        if channel.taken < batch.seq:
            take_mark(host, batch)
        channel.digest = batch.digest
        host.touch(channel)
        tell_away(host, channel, batch.seq, verdict)
        return
    if owner is None:
        _undelivered(host, channel, batch)
        return
    if why := why_not(host, owner, batch):
        void(host, owner, batch, why)
        return
    host.deadlines.put(("batch", batch.sender, batch.receiver, batch.seq), batch.deadline_ms)
    if owner.status is SUSPENDED:
        hold(host, batch)
    enqueue(host, owner, batch)


def _undelivered(host: Host, channel: Channel, batch: Batch) -> None:
    take_mark(host, batch)
    tell_away(host, channel, batch.seq, ["undelivered"])


__all__ = [
    "PeerBroken",
    "close_channels",
    "closed",
    "drop_arriving",
    "ended",
    "offered",
    "opened",
    "parted",
]
