"""Why what is sent to another host is not taken yet, in words for the operator. Over a `Host`; pure.

Beside step 7 of the journey. Reads only: what is done about it is decided where it is done.
"""

from collections import Counter

from avm.host.peers import Outgoing, Pair
from avm.host.state import Channel, Host
from caps.light import dataclass

SHOWN = 12
NO_NETWORK = "this host is in no network: `avm-host run --listen IP:PORT`"


@dataclass(frozen=True, slots=True)
class Delay:
    """What is waited for, and the host where the receiver is said to live, if one is known.

    `is_stuck`: nothing comes of it until something changes; else it may be a matter of moments.
    """

    why: str = ""
    host: bytes = b""
    is_stuck: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """How many batches other hosts are owed, how many of them are stuck, and frozen channels."""

    waiting: int
    stuck: int
    frozen: int


def delay_of(host: Host, pair: Pair) -> Delay:
    """Why the next batch of a channel is not taken yet; an empty reason where none waits."""
    channel, outgoing = host.channels.get(pair), host.outgoing.get(pair)
    place = host.places.get(pair[1])
    at = place.host if place is not None and outgoing is not None else b""
    if channel is None or (channel.frozen and not _sends(host, channel)):
        return Delay(host=at)
    if channel.frozen:
        return Delay(f"the channel is frozen: {channel.frozen}", at, True)
    if outgoing is None or channel.sent <= channel.taken:
        return Delay(host=at)
    leaving = host.moves.leaving.get(pair[1])
    if leaving is not None:
        return Delay("its receiver is on its way to another host", leaving.to)
    if not host.networked:
        return Delay(NO_NETWORK, at, True)
    return _of_place(host, outgoing, at) if at else _of_search(host, pair[1])


def _sends(host: Host, channel: Channel) -> bool:
    return host.owner(channel.sender) is not None


def _of_search(host: Host, receiver: bytes) -> Delay:
    place = host.places.get(receiver)
    if place is None or not place.tries:
        return Delay(f"the network is asked where {_start(receiver)} is")
    return Delay(f"the network does not know where {_start(receiver)} is", b"", True)


def _of_place(host: Host, outgoing: Outgoing, at: bytes) -> Delay:
    name, peer = f"host {_start(at)}", host.peers.get(at)
    link = host.links.get(peer.link) if peer is not None else None
    if host.roster.is_banned(at):
        return Delay(f"{name} is banned: `avm-host peers unban {at.hex()[:SHOWN]}`", at, True)
    if link is None and peer is not None and peer.tries:
        return Delay(f"{name} does not answer", at, True)
    if link is None:
        return Delay(f"{name} is dialed", at)
    if outgoing.link != link.number or not outgoing.marked:
        return Delay(f"{name} has not said yet how far it has taken this channel", at)
    if outgoing.next <= outgoing.durable and (outgoing.waited_ms or outgoing.next > outgoing.room):
        return Delay(f"{name} has no room for more now", at)
    return Delay(f"{name} has not said yet what became of it", at)


def owed_by_channel(host: Host) -> Counter[Pair]:
    """How many batches other hosts are owed on each channel: not taken yet, and within their time.

    One that was withdrawn at its deadline has no body any more, and one that came from another host has
    the digest of its header: neither will be delivered from here.
    """
    batches = host.outbox.values()
    return Counter((one.sender, one.receiver) for one in batches if one.body and not one.digest)


def owed(host: Host) -> Owed:
    """What other hosts are owed in all."""
    counts = owed_by_channel(host)
    stuck = sum(count for pair, count in counts.items() if delay_of(host, pair).is_stuck)
    frozen = sum(bool(one.frozen) for one in host.channels.values())
    return Owed(counts.total(), stuck, frozen)


def _start(address: bytes) -> str:
    return f"{address.hex()[:SHOWN]}.."
