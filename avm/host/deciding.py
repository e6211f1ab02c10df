"""An operator's decisions on frozen channels, each kept with its evidence; and who claims what. Pure.

Beside the journey. *Restart* begins a channel anew: both ends have to say so, and what one of them
has lost stays lost. *Accept* goes on from where the other end stands, where that is sound: what the
other host took under our numbers counts as taken, what of ours is in doubt has an unknown fate, and
no number, digest or message id is used again for something else.
"""

from avm.host import peering
from avm.host.audited import note
from avm.host.away import outgoing_of, unlink
from avm.host.cases import ROW, Claim, Contradiction, Decision
from avm.host.channel import SEQ_MAX
from avm.host.forgetting import drop_waiting
from avm.host.header import COUNT_MAX, DIGEST_BYTES, parse_header_untrusted
from avm.host.operate import done, refuse
from avm.host.state import Channel, Host, Machine
from avm.host.verdicts import BACK_THERE, SEQ_BYTES, restart
from caps.errors import Malformed

IN_DOUBT = "the operator let the channel go on from where the other host stands"
BOTH = "`avm-host channels restart` at both hosts"
# A message's ordinal begins beyond any that the other end can have taken.
ORDINAL_MAX = 2**55


def restart_channel(host: Host, request: int, sender: bytes, receiver: bytes) -> None:
    """Has a channel begin anew from this end; the operator of the other end has to say so too."""
    channel = host.channels.get((sender, receiver))
    if channel is None or not (channel.frozen or channel.digest):
        refuse(host, request, "there is no such channel to another host")
        return
    _decided(host, request, "restart", channel)
    restart(host, channel)


def accept_channel(host: Host, request: int, sender: bytes, receiver: bytes) -> None:
    """Has a frozen channel go on from where its other end stands, where that is sound."""
    channel = host.channels.get((sender, receiver))
    if channel is None or not channel.frozen:
        refuse(host, request, "there is no such frozen channel")
        return
    is_ours = host.owner(sender) is not None
    why = why_not_accept(host, channel)
    if why:
        refuse(host, request, why)
        return
    _decided(host, request, "accept", channel)
    if is_ours:
        _go_on_sending(host, channel)
    else:
        _go_on_taking(host, channel)
    host.counts["accepted"] += 1


def why_not_accept(host: Host, channel: Channel) -> str:
    """Why going on from where the other end stands would not be sound; empty where it is."""
    is_ours = host.owner(channel.sender) is not None
    return _why_not_sent(host, channel) if is_ours else _why_not_taken(channel)


def _decided(host: Host, request: int, act: str, channel: Channel) -> None:
    pair = (channel.sender, channel.receiver)
    decision = Decision(host.now_ms, act, *pair, channel.frozen, channel.evidence)
    host.cases.decided(decision, host.limits.cases)
    host.group.dirty[ROW] = host.cases
    note(host, f"channel-{act}", None, sender=pair[0], receiver=pair[1])
    value = {"sender": channel.sender, "receiver": channel.receiver, "was": channel.frozen}
    done(host, request, value)


# The sender's end: this host went back, or the two know different batches.


def _why_not_sent(host: Host, channel: Channel) -> str:
    if not isinstance(host.owner(channel.sender), Machine):
        return f"its sender is a client, which counts by itself: {BOTH}"
    if channel.frozen == BACK_THERE:
        return f"the other host has lost what it had taken, and its version lacks it: {BOTH}"
    if len(channel.evidence) != SEQ_BYTES + DIGEST_BYTES:
        return (
            f"it was frozen by an older avm-host, which did not keep where the other stands: {BOTH}"
        )
    taken, _ = _mark(channel)
    if not channel.taken <= taken <= SEQ_MAX or taken * COUNT_MAX > ORDINAL_MAX:
        return f"the other host says that it took number {taken:,}: {BOTH}"
    return ""


def _mark(channel: Channel) -> tuple[int, bytes]:
    """How far the other end took the channel, and the digest of the last that it took."""
    evidence = channel.evidence
    return int.from_bytes(evidence[:SEQ_BYTES], "big"), evidence[SEQ_BYTES:]


def _go_on_sending(host: Host, channel: Channel) -> None:
    pair = (channel.sender, channel.receiver)
    taken, digest = _mark(channel)
    drop_waiting(host, channel, IN_DOUBT)
    channel.sent = channel.taken = taken
    channel.sent_ordinal = max(channel.sent_ordinal, taken * COUNT_MAX)
    channel.taken_ordinal = channel.sent_ordinal
    channel.digest, channel.frozen, channel.evidence = digest, "", b""
    host.touch(channel)
    # A new one: what was heard of the old numbers must not count for those that are used now.
    before = host.outgoing.pop(pair, None)
    if before is not None:
        unlink(before)
    outgoing = outgoing_of(host, *pair)
    outgoing.durable = outgoing.offered = taken


# The receiver's end: the sender offers the next number after another history, which is believed; or
# another batch under a number that is taken, and then it is for the sender's end to compare again.


def _why_not_taken(channel: Channel) -> str:
    try:
        parse_header_untrusted(channel.evidence)
    except Malformed:
        return f"what the other host offered was not kept: {BOTH}"
    if channel.received != channel.taken:
        return "batches of it wait for their machine: accept when they have been taken"
    return ""


def _go_on_taking(host: Host, channel: Channel) -> None:
    pair = (channel.sender, channel.receiver)
    header = parse_header_untrusted(channel.evidence)
    if header.seq == channel.taken + 1:
        channel.digest = header.before
    channel.frozen, channel.evidence = "", b""
    host.touch(channel)
    # The sender waits for a mark, and offers nothing: it begins anew on another link.
    place = host.places.get(channel.sender)
    where = place.host if place is not None else host.hints.get(channel.sender, b"")
    for link in [one for one in host.links.values() if one.peer == where]:
        peering.close(host, link, "a channel goes on by the operator's decision")
    host.arriving.pop(pair, None)


# Two hosts of one address.


def contradicted(host: Host, address: bytes, incarnation: int, first: Claim, second: Claim) -> None:
    """The network holds two claims of one address under one incarnation.

    Kept where this host has to do with the address: anybody can contradict himself, and strangers
    must not crowd out what matters here.
    """
    host.counts["contradicted"] += 1
    if not _concerns(host, address):
        return
    one = Contradiction(host.now_ms, address, incarnation, first, second)
    if host.cases.contradicted(one, host.limits.cases):
        host.group.dirty[ROW] = host.cases


def _concerns(host: Host, address: bytes) -> bool:
    known = address == host.address or host.owner(address) is not None or address in host.places
    if known or address in host.peers or address in host.roster.known:
        return True
    return any(address in pair for pair in host.channels)
