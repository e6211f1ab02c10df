"""Which hosts this one keeps links to, and what it tells them of others. Over a `Host`; pure.

Beside the journey. A host dials the best of those it knows until it has a few links, gives up the
worst idle one when it has too many, tells each peer whom it reached, and does what the operator says.
"""

from avm.host import ending, landing, moving
from avm.host.arrivals import closed
from avm.host.audited import refused
from avm.host.channel import pack_frame
from avm.host.effects import Dial, Say, Unlink
from avm.host.exchange import PEERS_MAX, Peers, Want
from avm.host.links import no_link, peer_of
from avm.host.operate import done, refuse
from avm.host.peers import Link
from avm.host.roster import RETRY_MS, Known
from avm.host.state import Host
from avm.host.verdicts import link_lost
from caps.hostproof import HostProof
from caps.identity import Endpoint

LANE = 0
TELL_MS = 1_000
# A host that tells more often than that on end is not heard.
HEARD_AHEAD = 4
UPKEEP_MS = 30_000
# So long a new link is spared: what it was made for comes within that.
SPARED_MS = 5_000
# A link that held so long was a good one: its host is dialed again soon.
STEADY_MS = 60_000
# So much better a host has to be for another's link to be given up for it.
BETTER = 0.1
ROW = ("meta", "peers")
TELL, TRIM, UPKEEP = ("peers", "tell"), ("peers", "trim"), ("peers", "upkeep")
ITSELF = "this is the host itself"
FOUL = 5.0
# In the place of a teller.
BEACON = b"beacon"
NODE_ROW = ("meta", "node")
# A host that was only heard of is forgotten after so many.
HINT_TRIES = 4


def begin(host: Host) -> None:
    """There is a network: dials those known from before."""
    for known in host.roster.known.values():
        known.tries = 0
    if host.roster.known:
        upkeep(host)


def known_of(host: Host, address: bytes) -> Known:
    """What the roster has on a host."""
    linked = [link.peer for link in host.links.values()]
    return host.roster.of(address, host.limits, host.now_ms, linked)


def endpoints(host: Host) -> tuple[Endpoint, ...]:
    """Where the other hosts are that are known, those first that were reached last."""
    known = [one for one in host.roster.known.values() if not one.banned]
    known.sort(key=lambda one: one.reached_ms, reverse=True)
    return tuple(dict.fromkeys(where for one in known for where in one.best()))


# Links.


def is_welcome(host: Host, number: int, proof: HostProof) -> bool:
    """Whether a new link may stay; one to a banned host, this one, or by a replaced key is closed."""
    known = host.roster.known.get(proof.address)
    peer = host.peers.get(proof.address)
    if known is not None and known.banned:
        host.counts["banned"] += 1
        refused(host, "a banned host")
        if peer is not None:
            peer.dialing = False
        host.effects.append(Unlink(number, "banned"))
        return False
    if proof.address == host.address:
        # Another place where this host's keys are: a link from there could speak as the host itself.
        _turn_away(host, number, proof.address, "itself", ITSELF)
        return False
    if known is not None and known.has_replaced(proof.incarnation, proof.key):
        _turn_away(host, number, proof.address, "replaced", "its host has shown a newer key")
        return False
    return True


TURNED_AWAY = {"itself": "the host's own keys, elsewhere", "replaced": "a key that was replaced"}


def _turn_away(host: Host, number: int, address: bytes, what: str, why: str) -> None:
    host.counts[what] += 1
    refused(host, TURNED_AWAY[what])
    host.effects.append(Unlink(number, why))
    peer = host.peers.get(address)
    if peer is not None and peer.dialing:
        # Whoever is there is not who was dialed: that is tried elsewhere, and again.
        no_link(host, address)
        not_made(host, address)
        moving.link_lost(host, address)


def proved(host: Host, proof: HostProof) -> None:
    """A host has shown a key: none of an earlier number is taken from it any more."""
    known = known_of(host, proof.address)
    if proof.certificate is not None and proof.incarnation > known.incarnation:
        known.incarnation, known.key = proof.incarnation, proof.key
        host.group.dirty[ROW] = host.roster
        for link in list(host.links.values()):
            if link.peer == proof.address and link.key != proof.key:
                close(host, link, "its host has shown a newer key")


def key_over(host: Host, number: int) -> None:
    """The certificate of the key by which a link was proven has ended, and the link with it."""
    link = host.links.get(number)
    if link is not None:
        close(host, link, "the certificate of its host's key has ended")


def came_up(host: Host, link: Link, endpoint: Endpoint | None, round_trip_ms: float) -> None:
    """A link is up: its host is asked whom it reached, and the others will hear of it."""
    known = known_of(host, link.peer)
    host.roster.reached(known, endpoint, round_trip_ms, host.now_ms)
    link.since_ms = host.now_ms
    _say(host, link, Want(known.heard))
    for request, _ in host.dials.pop(link.peer, ()):
        done(host, request, {"host": link.peer.hex()})
    if len(host.links) > host.limits.links:
        host.deadlines.put(TRIM, host.now_ms + SPARED_MS)
    _note(host)


def hide(host: Host, link: Link, endpoint: Endpoint) -> None:
    """A host is not reached unasked where it was seen: nobody is told of that."""
    known = known_of(host, link.peer)
    if known.endpoints.pop(endpoint, None) is not None:
        _note(host)


def went_down(host: Host, link: Link, fouled: bool) -> None:
    """A link is gone that this host did not mean to end, or by which nonsense came."""
    known = host.roster.known.get(link.peer)
    if known is not None:
        if host.now_ms - link.since_ms >= STEADY_MS:
            known.tries = 0
        host.roster.failed(known, host.now_ms, FOUL if fouled else 1.0)
    _note(host)
    look_again(host)


def not_made(host: Host, address: bytes) -> None:
    """A host could not be reached."""
    known = host.roster.known.get(address)
    if known is not None:
        host.roster.failed(known, host.now_ms)
        if not known.reached_ms and known.tries >= HINT_TRIES and not known.marked:
            del host.roster.known[address]
        _note(host)
    later: list[tuple[int, Endpoint | None]] = []
    where: list[Endpoint] = []
    for request, endpoint in host.dials.pop(address, ()):
        if endpoint is None:
            refuse(host, request, f"{address.hex()[:12]}.. could not be reached")
        else:
            later.append((request, None))
            where.append(endpoint)
    if later:
        host.dials[address] = later
        peer_of(host, address).dialing = True
        host.effects.append(Dial(address, tuple(where)))
    _forget(host, address)
    look_again(host)


def unlinked(host: Host, number: int) -> Link | None:
    """Takes a link out of the tables, with all that was on its way on it; None when it is not there."""
    link = host.links.pop(number, None)
    if link is None:
        return None
    host.deadlines.drop(("key", number))
    others = [one for one in host.links.values() if one.peer == link.peer]
    peer = host.peers[link.peer]
    if peer.link == number:
        peer.link = others[0].number if others else 0
    for pair in link.incoming:
        closed(host, link, pair, others)
    link_lost(host, link)
    if peer.link:
        ending.tell(host, host.links[peer.link])
    landing.link_lost(host, number)
    moving.link_lost(host, link.peer)
    _forget(host, link.peer)
    return link


def _forget(host: Host, address: bytes) -> None:
    """Keeps nothing in memory of a host that is neither linked nor dialed nor sent to."""
    peer = host.peers.get(address)
    awaited = any(one.to == address for one in host.moves.leaving.values())
    if peer is not None and not (peer.link or peer.places or peer.dialing or awaited):
        del host.peers[address]


def close(host: Host, link: Link, why: str) -> None:
    """Ends a link by this host's own will."""
    host.effects.append(Unlink(link.number, why))
    unlinked(host, link.number)


def due(host: Host, what: str) -> None:
    """A time that this module set has come."""
    if what == "tell":
        _tell_all(host)
    elif what == "trim":
        trim(host)
    else:
        upkeep(host)


def upkeep(host: Host) -> None:
    """Dials the best that are known while there are few links; at the limit, one that is better."""
    roster = host.roster
    busy = _busy(host)
    if len(host.links) < host.limits.links:
        most = max(0, host.limits.peers_dialed - len(busy))
        for known in roster.to_dial(busy, most, host.now_ms):
            _dial(host, known)
    else:
        worst = roster.worst({link.peer for link in _idle(host)}, host.now_ms)
        best = next(iter(roster.to_dial(busy, 1, host.now_ms)), None)
        if worst is not None and best is not None and best.reached_ms:
            known = known_of(host, worst)
            if best.score(host.now_ms) > known.score(host.now_ms) + BETTER:
                _dial(host, best)
    look_again(host)


def _busy(host: Host) -> set[bytes]:
    """The hosts that are linked or being dialed."""
    linked = {link.peer for link in host.links.values()}
    return linked | {one.address for one in host.peers.values() if one.dialing}


def _dial(host: Host, known: Known) -> None:
    peer_of(host, known.address).dialing = True
    # One endpoint at a time, so that a send does not wait for many; in between the network is asked.
    turn, ask = divmod(known.tries, 2)
    where = known.best()[turn % len(known.endpoints)]
    host.effects.append(Dial(known.address, () if ask else (where,)))


def look_again(host: Host) -> None:
    """Sets the time of the next upkeep, while there is somebody who is not linked."""
    busy = _busy(host)
    waiting = host.roster.waiting(busy) if host.networked else []
    if not waiting:
        return
    at_ms = host.now_ms + UPKEEP_MS
    if len(busy) < host.limits.peers_dialed:
        soon_ms = min(one.again_ms() for one in waiting)
        at_ms = min(at_ms, max(soon_ms, host.now_ms + RETRY_MS))
    before_ms = host.deadlines.time_of(UPKEEP)
    if before_ms is None or at_ms < before_ms:
        host.deadlines.put(UPKEEP, at_ms)


def trim(host: Host) -> None:
    """Gives up the worst idle links beyond the limit, second ones first; those that are busy stay."""
    over = len(host.links) - host.limits.links
    if over <= 0:
        return
    free = [link for link in _idle(host) if host.now_ms - link.since_ms >= SPARED_MS]
    while over > 0 and free:
        second = [one for one in free if host.peers[one.peer].link != one.number]
        worst = host.roster.worst({one.peer for one in second or free}, host.now_ms)
        link = next(one for one in second or free if one.peer == worst)
        free.remove(link)
        over -= 1
        host.counts["evicted"] += 1
        close(host, link, "a better peer has its place")
    if over > 0:
        host.deadlines.put(TRIM, host.now_ms + SPARED_MS)
    _note(host)


def _idle(host: Host) -> list[Link]:
    """Links by which no batch is on its way, in either direction."""
    busy = {
        one.link
        for pair, one in host.outgoing.items()
        if one.link and one.durable > host.channel(*pair).taken
    }
    for pair, incoming in host.arriving.items():
        channel = host.channels.get(pair)
        if incoming.partial or (channel is not None and channel.received > channel.taken):
            busy.add(incoming.link)
    busy |= {one.link for one in host.moves.landing.values()}
    away = {one.to for one in host.moves.leaving.values()}
    busy |= {link.number for link in host.links.values() if link.peer in away}
    return [link for link in host.links.values() if link.number not in busy]


# The exchange.


def wanted(host: Host, link: Link, since: int) -> None:
    """The other host says what it has: it is told what changed since, now and from now on.

    Once for a link. A number that this host has not given yet is of a store that went back: 0.
    """
    if link.told is not None:
        host.counts["stray"] += 1
        return
    link.told = since if since <= host.roster.changes else 0
    _tell(host, link)


def heard(host: Host, link: Link, frame: Peers) -> None:
    """Hints of the other host; it is the judge of its own list, and of nothing else."""
    link.hear_ms = max(link.hear_ms, host.now_ms)
    if link.hear_ms - host.now_ms > HEARD_AHEAD * TELL_MS:
        host.counts["stray"] += 1
        return
    link.hear_ms += TELL_MS
    known = known_of(host, link.peer)
    rows = [(address, Endpoint(ip, port), age) for address, ip, port, age in frame.rows]
    news = host.roster.hear(host.address, link.peer, rows, host.limits, host.now_ms)
    host.counts["peers_heard"] += len(rows)
    if known.heard != frame.upto or news:
        known.heard = frame.upto
        _note(host)
        look_again(host)


def seen(host: Host, address: bytes, endpoint: Endpoint) -> None:
    """A beacon says that a host is there, on the local network: a hint like any."""
    rows = [(address, endpoint, 0)]
    if host.roster.hear(host.address, BEACON, rows, host.limits, host.now_ms):
        _note(host)
        look_again(host)


def keep_node(host: Host, saved: bytes) -> None:
    """What the host's node of the DHT knows goes into the next commit."""
    host.group.dirty[NODE_ROW] = saved


def _tell(host: Host, link: Link) -> None:
    roster = host.roster
    if link.told is None or link.told >= roster.changes or link.room <= 0:
        return
    most = min(PEERS_MAX, host.limits.peers_told)
    rows = roster.tell(link.peer, link.told, most, host.now_ms)
    link.told = roster.changes
    if not rows:
        return
    host.counts["peers_told"] += len(rows)
    packed = [(address, where.ip, where.port, age) for address, where, age in rows]
    _say(host, link, Peers(roster.changes, packed))


def _tell_all(host: Host) -> None:
    """What changed is kept in the store, and then told, at most once a while."""
    host.group.dirty[ROW] = host.roster
    for link in host.links.values():
        _tell(host, link)


def _note(host: Host) -> None:
    """Something changed: it is written and told after a while, with what follows until then."""
    if host.deadlines.time_of(TELL) is None:
        host.deadlines.put(TELL, host.now_ms + TELL_MS)


def _say(host: Host, link: Link, frame: Want | Peers) -> None:
    effect = Say(link.number, LANE, pack_frame(frame))
    link.room -= len(effect.frame)
    host.effects.append(effect)
