"""What an operator says of other hosts: dial, drop, ban, trust, and take each back. Over a `Host`; pure.

Beside the journey. Each takes effect at once, and is kept in the store.
"""

from avm.host import moving
from avm.host.audited import note
from avm.host.away import wake
from avm.host.effects import Dial
from avm.host.links import peer_of
from avm.host.operate import done, refuse
from avm.host.peering import ITSELF, ROW, close, known_of, look_again
from avm.host.state import Host
from caps.identity import Endpoint


def learn(host: Host, address: bytes, endpoint: Endpoint) -> None:
    """A host may be at this endpoint."""
    known = known_of(host, address)
    known.add(endpoint, known.endpoints.get(endpoint, 0))


def dial(host: Host, request: int, address: bytes, endpoint: Endpoint) -> None:
    """Makes a link to a host at an endpoint; answered when it is up, or could not be made."""
    banned = f"it is banned: `peers unban {address.hex()}`"
    why = ITSELF if address == host.address else banned if host.roster.is_banned(address) else ""
    if why:
        refuse(host, request, why)
        return
    known = known_of(host, address)
    known.add(endpoint, known.endpoints.get(endpoint, 0))
    known.dropped, known.tries = False, 0
    peer = peer_of(host, address)
    if peer.link:
        done(host, request, {"host": address.hex()})
        return
    # Where it is being dialed already, that comes first, and then this endpoint.
    asked = host.dials.setdefault(address, [])
    asked.append((request, endpoint if peer.dialing else None))
    if not peer.dialing:
        peer.dialing = True
        first = [endpoint, *(one for one in known.best() if one != endpoint)]
        host.effects.append(Dial(address, tuple(first)))


def drop(host: Host, request: int, address: bytes) -> None:
    """Ends the links to a host; it is not dialed again unasked."""
    known = host.roster.known.get(address)
    if known is None:
        refuse(host, request, f"no host {address.hex()[:12]}.. is known")
        return
    known.dropped = True
    count = _close_all(host, address, "dropped by the operator")
    host.group.dirty[ROW] = host.roster
    done(host, request, {"host": address.hex(), "closed": count})


def ban(host: Host, request: int, address: bytes) -> None:
    """Ends the links to a host, and takes and makes no other until it is unbanned."""
    banned = sum(one.banned for one in host.roster.known.values())
    full = f"{banned:,} hosts are banned already: limits.bans" * (banned >= host.limits.bans)
    why = ITSELF if address == host.address else full
    if why:
        refuse(host, request, why)
        return
    known_of(host, address).banned = True
    note(host, "banned", host=address)
    for waiting, _ in host.dials.pop(address, ()):
        refuse(host, waiting, "it was banned meanwhile")
    count = _close_all(host, address, "banned by the operator")
    host.group.dirty[ROW] = host.roster
    done(host, request, {"host": address.hex(), "closed": count})


def unban(host: Host, request: int, address: bytes) -> None:
    """Takes a ban back; what waits for machines there goes on."""
    known = host.roster.known.get(address)
    if known is None or not known.banned:
        refuse(host, request, f"{address.hex()[:12]}.. is not banned")
        return
    known.banned, known.tries = False, 0
    note(host, "unbanned", host=address)
    host.group.dirty[ROW] = host.roster
    done(host, request, {"host": address.hex()})
    moving.go_on(host, address)
    peer = host.peers.get(address)
    for one in list(peer.places) if peer is not None else ():
        for outgoing in [o for o in host.outgoing.values() if o.receiver == one]:
            wake(host, outgoing)
    look_again(host)


def trust(host: Host, request: int, address: bytes, trusted: bool = True) -> None:
    """Lets a host's machines move here, or no more."""
    marked = sum(one.marked for one in host.roster.known.values())
    full = f"{marked:,} hosts are banned or trusted already: limits.bans" * (
        marked >= host.limits.bans
    )
    why = ITSELF if address == host.address else full if trusted else ""
    if why:
        refuse(host, request, why)
        return
    known_of(host, address).trusted = trusted
    note(host, "trusted" if trusted else "distrusted", host=address)
    host.group.dirty[ROW] = host.roster
    done(host, request, {"host": address.hex(), "trusted": trusted})


def distrust(host: Host, request: int, address: bytes) -> None:
    """Takes the trust back; machines that are here stay."""
    trust(host, request, address, False)


def _close_all(host: Host, address: bytes, why: str) -> int:
    links = [link for link in host.links.values() if link.peer == address]
    for link in links:
        close(host, link, why)
    return len(links)
