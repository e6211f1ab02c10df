"""A machine's move, as the host sees it that it leaves, and those who look for it there.

Beside the journey. The other host is asked whether the machine may come; then the machine's end here is
committed, the other host fetches it, and when it says that the machine lives there this one forgets it
and shows whoever asks who speaks for it now. It never forwards what was sent.
"""

from dataclasses import replace

from avm.host import ending
from avm.host.adopt import adopt, why_not_adopted
from avm.host.audited import note
from avm.host.auditlog import cut
from avm.host.cases import ROW, Decision
from avm.host.channel import Again
from avm.host.effects import Carry, Dial
from avm.host.links import (
    dial,
    peer_of,
    read_proof,
    say_after,
    say_passage,
    say_passage_after,
)
from avm.host.moves import (
    LEAVING,
    REDIRECT,
    Asked,
    Leaving,
    Redirect,
    gone_by,
    key_of,
    redirect_bytes,
)
from avm.host.operate import REMOVE_ALL, act_on, done, refuse
from avm.host.parcel import Parcel, from_bytes_untrusted
from avm.host.parting import Leave, say_ready, why_not
from avm.host.passage import (
    MACHINE,
    PIECE_BYTES,
    Fetch,
    Landed,
    Move,
    Moved,
    Piece,
    Willing,
)
from avm.host.peers import Link, Pair
from avm.host.state import Host, Machine
from avm.host.verdicts import leave_place, of_link, place_found
from caps.codec import dumps_plain
from caps.identity import Endpoint

REDIRECT_MS = 30 * 24 * 60 * 60 * 1000


def move(
    host: Host,
    request: int,
    machine: Machine,
    to: bytes,
    name: str,
    endpoint: Endpoint | None = None,
) -> None:
    """An operator has a machine move to another host, under this name there.

    Where that host is said to be is tried first, or after what is being tried already.
    """
    why = _why_not(host, machine, to)
    if why:
        refuse(host, request, f"{machine.name} cannot move: {why}")
        return
    known = host.roster.known.get(to)
    others = [one for one in known.best() if one != endpoint] if known is not None else []
    first = tuple(others) if endpoint is None else (endpoint, *others)
    asked = Asked(request, machine.id, to, name, [first, ()] if first else [()])
    host.moves.asked[machine.address] = asked
    peer = peer_of(host, to)
    link = host.links.get(peer.link)
    if link is not None:
        _ask(host, link, machine.address)
    elif not peer.dialing:
        _dial_next(host, asked)


def _dial_next(host: Host, asked: Asked) -> None:
    peer_of(host, asked.to).dialing = True
    host.effects.append(Dial(asked.to, asked.ways.pop(0)))


def _why_not(host: Host, machine: Machine, to: bytes) -> str:
    if not host.networked:
        return "this host has no network: `run --listen IP:PORT`"
    if to == host.address:
        return "it lives here already"
    if machine.address in host.moves.asked:
        return f"it is about to move to host {host.moves.asked[machine.address].to.hex()[:12]}.."
    return why_not(host, machine, to)


def _ask(host: Host, link: Link, address: bytes) -> None:
    asked, machine = host.moves.asked[address], host.machines.get(address)
    if machine is None:
        del host.moves.asked[address]
        refuse(host, asked.request, gone_by(host.moves, address.hex()) or "it is gone")
        return
    link.asked[address] = link.asked.get(address, 0) + 1
    say_passage(host, link, Move(address, machine.incarnation + 1, asked.name))


# Links.


def begin(host: Host) -> None:
    """There is a network: goes on with what was on its way."""
    for to in dict.fromkeys(one.to for one in host.moves.leaving.values() if one.to):
        dial(host, peer_of(host, to))


def go_on(host: Host, address: bytes) -> None:
    """It is time to dial a host again: for those that are on their way there."""
    if any(one.to == address for one in host.moves.leaving.values()):
        dial(host, peer_of(host, address))


def link_up(host: Host, link: Link) -> None:
    """A link to another host is up: what is to go there is told of."""
    for address, asked in list(host.moves.asked.items()):
        if asked.to == link.peer:
            _ask(host, link, address)
    for left in host.moves.leaving.values():
        if left.to == link.peer:
            say_ready(host, left)


def say_again(host: Host, address: bytes) -> None:
    """A machine has left a while ago, and the other host has not said that it is there."""
    left = host.moves.leaving.get(address)
    if left is not None:
        say_ready(host, left)


def link_lost(host: Host, peer: bytes) -> None:
    """A link to a host is gone, or none could be made: what was said by it is said by another."""
    left = host.links.get(host.peers[peer].link) if peer in host.peers else None
    if left is not None:
        link_up(host, left)
        return
    for address, asked in list(host.moves.asked.items()):
        if asked.to == peer and asked.ways and not host.roster.is_banned(peer):
            if not peer_of(host, peer).dialing:
                _dial_next(host, asked)
        elif asked.to == peer:
            del host.moves.asked[address]
            refuse(
                host,
                asked.request,
                f"{peer.hex()[:12]}.. cannot be reached (`avm-host peers` has why); nothing has changed",
            )
    go_on(host, peer)


# What the new host says.


def willing(host: Host, link: Link, frame: Willing) -> None:
    """The other host takes a machine, or says why not: then it stays, or is taken back.

    Each question on a link is answered on it, before what was said there after it: an answer that comes
    late must not be taken for one to what was said by another link meanwhile.
    """
    address = frame.address
    asked, left = host.moves.asked.get(address), host.moves.leaving.get(address)
    unanswered = link.asked.pop(address, 0)
    if unanswered:
        if unanswered > 1:
            link.asked[address] = unanswered - 1
        if asked is None or asked.to != link.peer:
            host.counts["stray"] += 1
            return
        del host.moves.asked[address]
        machine = host.machines.get(address)
        if machine is None:
            refuse(host, asked.request, gone_by(host.moves, address.hex()) or "it is gone")
        elif frame.why:
            refuse(host, asked.request, f"the other host says: {frame.why}")
        elif frame.incarnation == machine.incarnation + 1:
            act_on(host, machine, Leave(asked.request, asked.to, asked.name))
        else:
            refuse(host, asked.request, "it has moved meanwhile")
    elif left is not None and left.to == link.peer and left.incarnation == frame.incarnation:
        if frame.why:
            _take_back(host, left, frame.why)
    else:
        host.counts["stray"] += 1


def _take_back(host: Host, left: Leaving, why: str) -> None:
    """The other host does not take what was on its way: it has nothing of it, and it lives here again."""
    parcel = from_bytes_untrusted(left.parcel)
    if why_not_adopted(host, left.address, parcel):
        host.counts["stray"] += 1
        return
    live_again(host, left, parcel, f"the other host says: {why}")


def live_again(host: Host, left: Leaving, parcel: Parcel, why: str) -> Machine:
    """Takes a machine up again from the parcel with which it left."""
    del host.moves.leaving[left.address]
    host.group.dirty[key_of(LEAVING, left.address)] = None
    let_open(host, left.address)
    keys = host.keys.open_machine(left.keys)
    name = left.name if left.name not in host.names else left.address.hex()[:12]
    machine = adopt(host, left.address, left.number, parcel, keys, name)
    if left.request:
        refuse(host, left.request, f"{machine.name} stays here; {why}")
    return machine


def back(host: Host, request: int, left: Leaving) -> None:
    """An operator takes a machine back whose new host is not heard of any more.

    That host may have taken it up before it went: the machine lives here above the incarnation that it
    has there, and whatever it did there is other hosts' evidence of two versions.
    """
    if not left.to:
        refuse(host, request, f"{left.name} is on its way into a file: wait for that")
        return
    peer = host.peers.get(left.to)
    if peer is not None and peer.link:
        why = f"its new host is linked, and goes on; `peers ban {left.to.hex()}` ends that"
        refuse(host, request, f"{left.name} is not taken back: {why}")
        return
    parcel = from_bytes_untrusted(left.parcel)
    problem = why_not_adopted(host, left.address, parcel)
    if problem:
        refuse(host, request, f"{left.name} cannot be taken back: {problem}")
        return
    place = host.places.get(left.address)
    highest = max(parcel.incarnation, place.incarnation if place is not None else 0)
    above = replace(parcel, incarnation=highest + 1)
    machine = live_again(host, left, above, "its operator took it back")
    decision = Decision(host.now_ms, "back", left.address, left.to, "", b"")
    host.cases.decided(decision, host.limits.cases)
    host.group.dirty[ROW] = host.cases
    host.counts["taken_back"] += 1
    note(host, "taken-back", machine, host=left.to, incarnation=machine.incarnation)
    value = {"machine": left.name, "address": left.address.hex(), "host": host.address.hex()}
    done(host, request, value | {"name": machine.name, "incarnation": machine.incarnation})


def _awaited(host: Host, address: bytes) -> list[tuple[Link, Pair]]:
    """The channels that others wanted to open to a machine while it was leaving; they wait no more."""
    found = [
        (link, pair) for link in host.links.values() for pair in link.awaiting if pair[1] == address
    ]
    for link, pair in found:
        del link.awaiting[pair]
    return found


def let_open(host: Host, address: bytes) -> None:
    """A machine is here again: who wanted to open a channel to it does so now."""
    for link, pair in _awaited(host, address):
        say_after(host, link, Again(*pair, 1, "busy"))


def fetched(host: Host, link: Link, frame: Fetch) -> None:
    """The other host wants a part of what a machine is."""
    left = host.moves.leaving.get(frame.address)
    if left is None or (left.to, left.incarnation) != (link.peer, frame.incarnation):
        host.counts["stray"] += 1
        return
    if frame.kind == MACHINE:
        if not left.item:
            keys = host.keys.open_machine(left.keys)
            left.item = dumps_plain([left.parcel, keys])
        item = left.item
        if frame.at + PIECE_BYTES >= len(item):
            left.item = b""
        _piece(host, link, frame, item, 0)
    else:
        host.effects.append(Carry(link.number, left.number, frame))


def carried(host: Host, number: int, frame: Fetch, item: bytes, following: int) -> None:
    """An item that was read for another host."""
    link = host.links.get(number)
    if link is not None:
        _piece(host, link, frame, item, following)


def _piece(host: Host, link: Link, frame: Fetch, item: bytes, following: int) -> None:
    part = item[frame.at : frame.at + PIECE_BYTES]
    if frame.at <= len(item):
        say_passage(host, link, Piece(*frame, len(item), following, part))


def landed(host: Host, link: Link, frame: Landed) -> None:
    """A machine lives at the other host now: it is forgotten here, but for where it is."""
    left = host.moves.leaving.get(frame.address)
    proof = read_proof(frame.address, frame.identity, frame.certificate, host.now_ms)
    if left is None or left.to != link.peer or proof is None or proof[1] < left.incarnation:
        host.counts["stray"] += 1
        return
    where, incarnation = proof
    _has_left(host, left, where, incarnation)
    until_ms = host.now_ms + REDIRECT_MS
    shown = (frame.identity, frame.certificate, until_ms)
    redirect = Redirect(frame.address, left.name, where, incarnation, *shown)
    host.moves.redirects[frame.address] = redirect
    host.group.dirty[key_of(REDIRECT, frame.address)] = redirect_bytes(redirect)
    host.deadlines.put(("redirect", frame.address), until_ms)
    for other, pair in _awaited(host, frame.address):
        say_passage_after(host, other, Moved(*pair, frame.identity, frame.certificate))
    place_found(host, frame.address, where)


def _has_left(host: Host, left: Leaving, where: bytes, incarnation: int) -> None:
    """A machine that left is there: what there still was of it here goes."""
    del host.moves.leaving[left.address]
    host.group.dirty[key_of(LEAVING, left.address)] = None
    host.group.cuts.append((left.number, REMOVE_ALL))
    host.counts["moved_away"] += 1
    about = {"machine": cut(left.name), "address": left.address, "incarnation": incarnation}
    note(host, "moved-away", None, host=where, **about)
    if left.request:
        value = {"machine": left.name, "address": left.address.hex(), "host": where.hex()}
        done(host, left.request, value | {"name": left.name_there, "incarnation": incarnation})


def comes_back(host: Host, address: bytes) -> None:
    """A machine comes of which this host had not heard yet that it was there."""
    left = host.moves.leaving.get(address)
    if left is not None:
        _has_left(host, left, left.to, left.incarnation)
        let_open(host, address)


def forget_redirect(host: Host, address: bytes) -> None:
    """Its certificate is over by now: the network knows better."""
    if host.moves.redirects.pop(address, None) is not None:
        host.group.dirty[key_of(REDIRECT, address)] = None


def redirected(host: Host, link: Link, frame: Moved) -> None:
    """The receiver of a channel lives elsewhere: who shows a newer certificate for it is believed."""
    proof = read_proof(frame.receiver, frame.identity, frame.certificate, host.now_ms)
    if proof is not None and ending.moved(host, link, (frame.sender, frame.receiver), proof[0]):
        return
    outgoing = of_link(host, link, frame)
    if outgoing is None:
        return
    place = host.places.get(frame.receiver)
    epoch = host.channel(frame.sender, frame.receiver).epoch
    newest = max(epoch, place.incarnation if place is not None else 0)
    if proof is None or place is None or proof[1] <= newest or proof[0] == host.address:
        leave_place(host, outgoing)
        return
    place.incarnation = proof[1]
    host.counts["redirected"] += 1
    place_found(host, frame.receiver, proof[0])
