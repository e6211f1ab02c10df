"""A machine on its way here, as its new host sees it: may it come, and then item by item.

Beside the journey. Only machines of hosts that the operator trusts may come. Each item is written in a
commit before the next is fetched; the last commit takes the machine up. What is left half way, here or
there, begins anew.
"""

import cbor2

from avm.host import history, moving
from avm.host.adopt import adopt, why_not_adopted
from avm.host.audited import note
from avm.host.links import peer_of, prove, say_passage, say_passage_after
from avm.host.moves import LANDING, LANDINGS_MAX, Landing, key_of
from avm.host.operate import REMOVE_ALL
from avm.host.passage import (
    JOURNAL,
    MACHINE,
    NAME,
    PIECE_BYTES,
    Fetch,
    Landed,
    Move,
    Piece,
    Ready,
    Willing,
)
from avm.host.peers import Link
from avm.host.soundness import machine_untrusted
from avm.host.state import Host
from caps.errors import CapsError, Malformed

SHOWN = 40
# So many that were refused are remembered of each host.
REFUSED_MAX = 256


def asked(host: Host, link: Link, frame: Move) -> None:
    """Another host asks whether a machine may come."""
    why = _why_not(host, link.peer, frame.address, frame.name)
    say_passage(host, link, Willing(frame.address, frame.incarnation, why))


def _why_not(host: Host, peer: bytes, address: bytes, name: str) -> str:
    if not host.roster.is_trusted(peer):
        return f"it does not take your machines: there `avm-host peers trust {host_text(peer)}`"
    if host.draining:
        return "it is about to stop"
    if not NAME.fullmatch(name):
        return f"{name[:SHOWN]!r} is no name of a machine: letters a-z, digits and -"
    if name in host.names:
        return f"it has a machine {name} already: move it `--as` another name"
    if address in host.machines:
        return "it lives there already"
    if len(host.moves.landing) >= LANDINGS_MAX and address not in host.moves.landing:
        return f"{LANDINGS_MAX} machines are on their way there already: try again later"
    return ""


def host_text(address: bytes) -> str:
    """An address as it is typed."""
    return address.hex()


def ready(host: Host, link: Link, frame: Ready) -> None:
    """The old host has committed the machine's end: it is fetched, if it is not here by now."""
    before = host.moves.landing.get(frame.address)
    if _said_landed(host, link, frame.address, frame.incarnation):
        return
    if before is not None:
        if (before.link, before.incarnation) == (link.number, frame.incarnation):
            return
        _give_up(host, before)
    why = _why_not(host, link.peer, frame.address, frame.name)
    if peer_of(host, link.peer).refused.get(frame.address, 0) >= frame.incarnation:
        why = "it was refused"
    if why:
        _note_refused(host, link, frame.address, frame.incarnation)
        say_passage(host, link, Willing(frame.address, frame.incarnation, why))
        return
    about = (frame.address, frame.name, link.peer, link.number, frame.incarnation)
    landing = host.moves.landing[frame.address] = Landing(*about, host.new_id())
    host.group.dirty[key_of(LANDING, frame.address)] = cbor2.dumps(landing.number)
    _fetch(host, link, landing, MACHINE, 0, b"")


def _said_landed(host: Host, link: Link, address: bytes, incarnation: int) -> bool:
    """Says that a machine is here, or was and has gone on; False when it has not come yet."""
    machine, redirect = host.machines.get(address), host.moves.redirects.get(address)
    left = host.moves.leaving.get(address)
    if left is not None and left.incarnation > incarnation:
        return True  # It has come and goes on: the other host asks again, and hears where it is.
    if machine is not None and machine.incarnation >= incarnation:
        proof = prove(host, address)
        if proof is not None:
            shown = (proof.identity, proof.certificate)
            say_passage_after(host, link, Landed(address, incarnation, *shown))
        return True
    if redirect is not None and redirect.incarnation >= incarnation:
        shown = (redirect.identity, redirect.certificate)
        say_passage(host, link, Landed(address, incarnation, *shown))
        return True
    return False


def _note_refused(host: Host, link: Link, address: bytes, incarnation: int) -> None:
    """What was refused once is its old host's again: a no that comes there late must still be true."""
    refused = peer_of(host, link.peer).refused
    refused.pop(address, None)
    refused[address] = incarnation
    while len(refused) > REFUSED_MAX:
        del refused[next(iter(refused))]


def _give_up(host: Host, landing: Landing) -> None:
    """Forgets what has come of a machine that does not come to its end."""
    host.moves.landing.pop(landing.address, None)
    host.deadlines.drop(("landing", landing.address))
    host.group.dirty[key_of(LANDING, landing.address)] = None
    host.group.cuts.append((landing.number, REMOVE_ALL))


def overdue(host: Host, address: bytes) -> None:
    """Nothing has come of a machine for long: it begins anew when its old host says that it is ready."""
    landing = host.moves.landing.get(address)
    if landing is not None:
        _give_up(host, landing)


def link_lost(host: Host, number: int) -> None:
    """A link is gone: what came by it begins anew on another."""
    for landing in list(host.moves.landing.values()):
        if landing.link == number:
            _give_up(host, landing)


def _fetch(host: Host, link: Link, landing: Landing, kind: int, item: int, digest: bytes) -> None:
    landing.kind, landing.item, landing.hash = kind, item, digest
    landing.body = bytearray()
    _fetch_more(host, link, landing)


def _fetch_more(host: Host, link: Link, landing: Landing) -> None:
    place = (landing.kind, landing.item, landing.hash, len(landing.body))
    due_ms = host.now_ms + round(host.limits.landing_s * 1000)
    host.deadlines.put(("landing", landing.address), due_ms)
    say_passage_after(host, link, Fetch(landing.address, landing.incarnation, *place))


def pieced(host: Host, link: Link, frame: Piece) -> None:
    """A part of an item has come."""
    landing = host.moves.landing.get(frame.address)
    wanted = landing and (landing.link, landing.incarnation, landing.kind, landing.item)
    if landing is None or wanted != (link.number, frame.incarnation, frame.kind, frame.n):
        host.counts["stray"] += 1
        return
    if (landing.hash, len(landing.body)) != (frame.hash, frame.at):
        host.counts["stray"] += 1
        return
    landing.body += frame.part
    landing.size += len(frame.part)
    if landing.size > host.limits.landing_bytes:
        _refuse(
            host, link, landing, f"over {host.limits.landing_bytes:,} bytes: limits.landing_bytes"
        )
        return
    if len(landing.body) < frame.size and len(frame.part) == PIECE_BYTES:
        _fetch_more(host, link, landing)
        return
    try:
        _take(host, link, landing, frame.next)
    except CapsError as error:
        _refuse(host, link, landing, str(error))


def _refuse(host: Host, link: Link, landing: Landing, why: str) -> None:
    host.counts["malformed"] += 1
    _give_up(host, landing)
    _note_refused(host, link, landing.address, landing.incarnation)
    said = Willing(landing.address, landing.incarnation, why[:200])
    say_passage_after(host, link, said)


def _take(host: Host, link: Link, landing: Landing, following: int) -> None:
    if landing.kind == MACHINE:
        _take_machine(landing)
        _fetch(host, link, landing, JOURNAL, 0, b"")
        return
    step = history.take(host.group, landing, following)
    if step is not None:
        _fetch(host, link, landing, *step)
        return
    parcel = landing.parcel
    assert parcel is not None
    why = why_not_adopted(host, landing.address, parcel)
    if landing.name in host.names:
        why = why or f"it has a machine {landing.name} already"
    if why:
        _refuse(host, link, landing, why)
        return
    del host.moves.landing[landing.address]
    host.deadlines.drop(("landing", landing.address))
    host.group.dirty[key_of(LANDING, landing.address)] = None
    moving.comes_back(host, landing.address)
    machine = adopt(host, landing.address, landing.number, parcel, landing.keys, landing.name)
    host.counts["moved_here"] += 1
    note(host, "moved-here", machine, host=link.peer, incarnation=machine.incarnation)
    _said_landed(host, link, landing.address, landing.incarnation)


def _take_machine(landing: Landing) -> None:
    address, parcel, landing.keys = machine_untrusted(bytes(landing.body))
    landing.parcel = parcel
    if (address, parcel.incarnation) != (landing.address, landing.incarnation):
        raise Malformed("parcel: of another machine")
    landing.codes[parcel.code] = None
