"""Links as the core sees them: frames out, proofs of who speaks for whom, and where addresses live.

Step 7 of the journey. Who dials, when again, and what is said is decided here; the shell has the
sockets and the network's records.
"""

from collections.abc import Iterator
from hashlib import blake2b

from avm.host.channel import Frame, Told, Verdict, pack_frame
from avm.host.effects import Dial, Say, Seek
from avm.host.passage import Passage
from avm.host.peers import Link, Peer, Place, Proof
from avm.host.state import Channel, Host, Machine
from caps.certificate import Certificate, parse_certificate_untrusted
from caps.errors import CapsError
from caps.identity import parse_identity_untrusted

HALF_DAY_MS = 12 * 60 * 60 * 1000
# Back-off doubles at first; then it grows with the time that somebody has been away, by a part of it.
BACK_OFF_MS = 100
BACK_OFF_DOUBLINGS = 7
BACK_OFF_PART = 16
BACK_OFF_MS_MAX = 5 * 60 * 1000
TRIES_AT_A_PLACE = 3
PASSAGE_LANE = 1


def say(host: Host, link: Link, frame: Frame) -> None:
    """Says something now: nothing in it may be uncommitted."""
    effect = _said(link, frame)
    link.room -= len(effect.frame)
    host.effects.append(effect)


def say_after(host: Host, link: Link, frame: Frame) -> None:
    """Says something once all that holds now is committed."""
    host.group.after.append(_said(link, frame))


def say_passage(host: Host, link: Link, frame: Passage) -> None:
    """Says something about a machine that moves."""
    effect = Say(link.number, PASSAGE_LANE, pack_frame(frame))
    link.room -= len(effect.frame)
    host.effects.append(effect)


def say_passage_after(host: Host, link: Link, frame: Passage) -> None:
    """Says it once all that holds now is committed."""
    host.group.after.append(Say(link.number, PASSAGE_LANE, pack_frame(frame)))


def _said(link: Link, frame: Frame) -> Say:
    return Say(link.number, frame.sender[0] ^ frame.receiver[-1], pack_frame(frame))


# Proofs.


def prove(host: Host, address: bytes) -> Proof | None:
    """What shows that this host speaks for a machine or client of it; None when it does not."""
    known = host.proofs.get(address)
    if known is not None and host.now_ms < known.until_ms:
        return known
    owner = host.owner(address)
    identity = owner.identity if isinstance(owner, Machine) else b""
    incarnation = owner.incarnation if isinstance(owner, Machine) else 0
    made = host.keys.speak_for(address, identity, incarnation, host.now_ms)
    if made is None:
        return None
    until_ms = min(host.now_ms + HALF_DAY_MS, made[1].expiry_ms)
    proof = host.proofs[address] = Proof(made[0].to_bytes(), made[1].to_bytes(), until_ms)
    return proof


def proven(
    host: Host, link: Link, address: bytes, identity: bytes, certificate: bytes
) -> int | None:
    """The incarnation under which the other end speaks for an address; None when it does not."""
    # Checked once for each that is shown: a peer could have it done over and over.
    seen = blake2b(identity + certificate, digest_size=16).digest()
    before = link.proofs.get(address)
    if before is not None and before[0] == seen and host.now_ms < before[2]:
        return before[1]
    shown = _checked(address, identity, certificate, host.now_ms)
    if shown is None or not shown.is_for(link.peer, link.key):
        return None
    if len(link.proofs) >= host.limits.link_channels:
        link.proofs.clear()
    link.proofs[address] = (seen, shown.terms.incarnation, shown.expiry_ms)
    return shown.terms.incarnation


def _checked(
    address: bytes, identity: bytes, certificate: bytes, now_ms: int
) -> Certificate | None:
    """The certificate, when it holds now and is of this address, and not a host's for its own key."""
    try:
        known = parse_identity_untrusted(identity)
        shown = parse_certificate_untrusted(certificate)
        if known.address != address or shown.is_hosts_own:
            return None
        shown.check(known, now_ms)
    except CapsError:
        return None
    return shown


def read_proof(
    address: bytes, identity: bytes, certificate: bytes, now_ms: int
) -> tuple[bytes, int] | None:
    """Which host speaks for an address by this certificate, and under which incarnation."""
    shown = _checked(address, identity, certificate, now_ms)
    return None if shown is None else (shown.terms.host, shown.terms.incarnation)


# Where addresses live.


def place_of(host: Host, address: bytes) -> Place:
    """What is known of where an address lives."""
    place = host.places.get(address)
    if place is None:
        place = host.places[address] = Place(address)
    return place


def set_place(host: Host, address: bytes, where: bytes) -> Place:
    """An address lives at that host; an empty one: it is not known any more.

    Whether that is so, the host itself has to say: until then the next search is as far off as before.
    """
    place = place_of(host, address)
    if place.host != where:
        if place.host in host.peers:
            host.peers[place.host].places.pop(address, None)
        place.host = where
    if where:
        place.seeking = False
        peer_of(host, where).places[address] = None
    return place


def peer_of(host: Host, address: bytes) -> Peer:
    """What is known of another host."""
    peer = host.peers.get(address)
    if peer is None:
        peer = host.peers[address] = Peer(address)
    return peer


def link_to(host: Host, address: bytes) -> Link | None:
    """The link in use to another host, if there is one."""
    peer = host.peers.get(address)
    return host.links.get(peer.link) if peer is not None else None


def seek(host: Host, place: Place) -> None:
    """Has the network asked where an address lives, not before its time comes."""
    if place.seeking:
        return
    if host.now_ms < place.again_ms:
        host.deadlines.put(("seek", place.address), place.again_ms)
        return
    place.seeking = True
    host.effects.append(Seek(place.address))


def not_found(host: Host, address: bytes) -> None:
    """The network does not know it now: it is asked again, later each time."""
    place = place_of(host, address)
    place.seeking = False
    _put_off(host, place)
    if place.senders:
        host.deadlines.put(("seek", address), place.again_ms)


def dial(host: Host, peer: Peer) -> None:
    """Has a link made to another host, not before its time comes."""
    if peer.link or peer.dialing or host.roster.is_banned(peer.address):
        return
    if host.now_ms < peer.again_ms:
        host.deadlines.put(("dial", peer.address), peer.again_ms)
        return
    peer.dialing = True
    host.effects.append(Dial(peer.address))


def no_link(host: Host, address: bytes) -> None:
    """It could not be reached: again later; what lived there may live elsewhere by now."""
    peer = peer_of(host, address)
    peer.dialing = False
    _put_off(host, peer)
    if peer.tries % TRIES_AT_A_PLACE == 0:
        for one in list(peer.places):
            place = set_place(host, one, b"")
            if place.senders:
                seek(host, place)
    awaited = any(one.to == address for one in host.moves.leaving.values())
    if awaited or any(host.places[one].senders for one in peer.places):
        host.deadlines.put(("dial", address), peer.again_ms)


def _put_off(host: Host, one: Place | Peer) -> None:
    """It was tried in vain: the next time is later than the last."""
    one.again_ms = host.now_ms + _back_off_ms(one.address, one.tries)
    one.tries += 1


def seek_soon(host: Host) -> None:
    """Another host has come: what lives there need not wait for as long as it was away."""
    latest_ms = host.now_ms + _BACK_OFFS_MS[BACK_OFF_DOUBLINGS]
    for place in host.places.values():
        if place.senders and not place.host and not place.seeking and place.again_ms > latest_ms:
            place.again_ms = latest_ms
            host.deadlines.put(("seek", place.address), latest_ms)


def _back_offs_ms() -> Iterator[int]:
    for doubling in range(BACK_OFF_DOUBLINGS):
        yield BACK_OFF_MS << doubling
    most = BACK_OFF_MS << BACK_OFF_DOUBLINGS
    while most < BACK_OFF_MS_MAX:
        yield most
        most += most // BACK_OFF_PART
    yield BACK_OFF_MS_MAX


_BACK_OFFS_MS = tuple(_back_offs_ms())


def _back_off_ms(address: bytes, tries: int) -> int:
    """Doubling from a tenth of a second to 13, and by a sixteenth to five minutes.

    Less up to a half, which differs by host.
    """
    most = _BACK_OFFS_MS[min(tries, len(_BACK_OFFS_MS) - 1)]
    drawn = blake2b(address + tries.to_bytes(4, "big"), digest_size=2).digest()
    return most - most * int.from_bytes(drawn, "big") // 0x20000


# The receiver's word.


def room_of(host: Host, channel: Channel, base: int) -> int:
    """The last number that may be offered: one at first contact, else as the inbox has room."""
    if channel.taken <= base:
        return channel.taken + 1
    machine = host.machines.get(channel.receiver)
    waiting = len(machine.queue or ()) if machine is not None else 0
    free = max(1, host.limits.inbox_batches - waiting)
    return channel.taken + min(free, host.limits.channel_batches)


def tell_away(host: Host, channel: Channel, seq: int, verdict: Verdict) -> None:
    """Tells the sender's host a verdict once it is committed; one that is away asks for it."""
    if verdict[0] == "undelivered":
        verdict = verdict[:1]
    if verdict[0] != "applied":
        channel.verdicts[seq] = verdict
    incoming = host.arriving.get((channel.sender, channel.receiver))
    link = host.links.get(incoming.link) if incoming is not None else None
    if incoming is None or link is None:
        return
    room = room_of(host, channel, incoming.base)
    say_after(host, link, Told(channel.sender, channel.receiver, seq, verdict, room))
