"""What comes from other hosts: links, and frames, each given to the room that it concerns. Pure.

Steps 1 and 8 of the journey, between hosts. A link by which nonsense comes is closed.
"""

from avm.host import arrivals, ending, landing, links, moving, peering, verdicts
from avm.host.away import outgoing_of, wake
from avm.host.channel import (
    Again,
    End,
    Gone,
    Mark,
    Offer,
    Open,
    Part,
    Told,
    unpack_frame_untrusted,
)
from avm.host.effects import Unlink
from avm.host.exchange import Peers, Want
from avm.host.passage import Fetch, Landed, Move, Moved, Piece, Ready, Willing
from avm.host.peers import Link
from avm.host.state import Host
from caps.errors import Malformed
from caps.hostproof import HostProof
from caps.identity import Endpoint


def link_up(
    host: Host,
    number: int,
    proof: HostProof,
    room: int,
    endpoint: Endpoint | None,
    round_trip_ms: float,
) -> None:
    """A link to another host is up, which has proven its identity; it takes `room` bytes now."""
    if not peering.is_welcome(host, number, proof):
        return
    peer = links.peer_of(host, proof.address)
    host.links[number] = Link(number, peer.address, proof.identity, room, key=proof.key)
    if proof.expiry_ms is not None:
        host.deadlines.put(("key", number), proof.expiry_ms)
    peer.dialing, peer.tries, peer.again_ms = False, 0, 0
    # The newest link is the one to use: a host that died and came back is on no other.
    before, peer.link = host.links.get(peer.link), number
    if before is not None:
        verdicts.link_lost(host, before)
    else:
        links.seek_soon(host)
    peering.came_up(host, host.links[number], endpoint, round_trip_ms)
    peering.proved(host, proof)
    ending.tell(host, host.links[number])
    for address in list(peer.places):
        wake_all(host, address)
    moving.link_up(host, host.links[number])


def link_down(host: Host, number: int, fouled: bool) -> None:
    """A link is gone, with all that was on its way on it."""
    link = peering.unlinked(host, number)
    if link is not None:
        peering.went_down(host, link, fouled)


def wake_all(host: Host, address: bytes) -> None:
    """Goes on with all that is sent to an address of another host."""
    for sender in list(links.place_of(host, address).senders):
        wake(host, outgoing_of(host, sender, address))


def hear(host: Host, number: int, body: bytes) -> None:
    """A frame has come."""
    link = host.links.get(number)
    if link is None:
        return
    try:
        _hear(host, link, body)
    except (Malformed, arrivals.PeerBroken) as error:
        host.counts["malformed"] += 1
        host.effects.append(Unlink(number, str(error)))
        link_down(host, number, True)


def _hear(host: Host, link: Link, body: bytes) -> None:
    match unpack_frame_untrusted(body):
        case Open() as frame:
            arrivals.opened(host, link, frame)
        case Offer() as frame:
            arrivals.offered(host, link, frame)
        case Part() as frame:
            arrivals.parted(host, link, frame)
        case Mark() as frame:
            verdicts.marked(host, link, frame)
        case Told() as frame:
            verdicts.told(host, link, frame)
        case Again() as frame:
            verdicts.again(host, link, frame)
        case Gone() as frame:
            verdicts.gone(host, link, frame)
        case End() as frame:
            arrivals.ended(host, link, frame)
        case Want(since):
            peering.wanted(host, link, since)
        case Peers() as frame:
            peering.heard(host, link, frame)
        case Move() as frame:
            landing.asked(host, link, frame)
        case Willing() as frame:
            moving.willing(host, link, frame)
        case Ready() as frame:
            landing.ready(host, link, frame)
        case Fetch() as frame:
            moving.fetched(host, link, frame)
        case Piece() as frame:
            landing.pieced(host, link, frame)
        case Landed() as frame:
            moving.landed(host, link, frame)
        case Moved() as frame:
            moving.redirected(host, link, frame)
