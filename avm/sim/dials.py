"""How links of a world are made: a first packet goes out, again and again, until its answer is back. Pure.

Step 7 of the journey. Through a relay the first packet is a real datagram, which the relay's own core
passes on; where none is, what counts is who is at the endpoint, through all routers, and what is lost.
"""

from avm.nat.effects import Tunnel, Way
from avm.nat.packets import Relayed
from avm.sim import post
from avm.sim.coming import Answered, GiveUp, KeepTunnel, Knock, KnockAgain
from avm.sim.events import LinkUp, Strayed
from avm.sim.rekeying import prove_each_other
from avm.sim.scene import Aim, Dial, End, Scene, Site
from avm.sim.wires import ROOM_BYTES, path_us
from caps.identity import Endpoint
from dht.record import Place

SECOND_US = 1_000_000
KNOCK_AGAIN_US = SECOND_US
KEEP_TUNNEL_US = 10 * SECOND_US
KNOCK, KEEP = b"knock", b"keep"


def dial(
    scene: Scene,
    site: Site,
    host: bytes,
    at: Endpoint | Tunnel,
    rest: tuple[Place, ...] = (),
    aim: Aim = Aim.PLACE,
) -> None:
    """Begins a link; when it is not up in time, what follows is that of its aim."""
    number = scene.next_link
    scene.next_link += 1
    until_us = scene.now_us + round(scene.link_limits.handshake_s * SECOND_US)
    dialed = scene.dials[number] = Dial(site.number, host, at, aim, rest, until_us)
    scene.agenda.put(until_us, GiveUp(number))
    _knock(scene, number, dialed)


def is_dialing(scene: Scene, site: Site, host: bytes) -> bool:
    """Whether a link to a host is being made."""
    return any(one.site == site.number and one.host == host for one in scene.dials.values())


def _knock(scene: Scene, number: int, dialed: Dial) -> None:
    site = scene.sites[dialed.site]
    if scene.now_us + KNOCK_AGAIN_US < dialed.until_us:
        scene.plan_in(KNOCK_AGAIN_US, KnockAgain(number))
    if isinstance(dialed.at, Tunnel):
        packet = Relayed(dialed.at.token, KNOCK + number.to_bytes(8, "big"))
        post.send(scene, site, packet.to_bytes(), dialed.at.relay)
        return
    target, seen = post.reach(scene, site, dialed.at)
    if target is not None and _gets_there(scene, site, target):
        scene.plan_in(scene.way_us(site, target), Knock(number, target.number, seen))


def knock_again(scene: Scene, number: int) -> None:
    """No answer has come yet."""
    dialed = scene.dials.get(number)
    if dialed is not None:
        _knock(scene, number, dialed)


def knocked(scene: Scene, event: Knock) -> None:
    """The first packet of a link is there: the link is up here, and its answer goes back."""
    dialed = scene.dials.get(event.dial)
    target = scene.sites[event.site]
    if dialed is None or not target.host.up:
        return
    if isinstance(dialed.at, Endpoint) and scene.at.get(dialed.at.ip) != event.site:
        return  # it has gone elsewhere while the packet was on its way
    site = scene.sites[dialed.site]
    if not _gets_there(scene, target, site):
        return
    is_it = target.address == dialed.host and target is not site
    if not is_it or not prove_each_other(site.host, target.host):
        scene.plan_in(scene.way_us(target, site), GiveUp(event.dial))
        return
    del scene.dials[event.dial]
    _link(scene, site, target, event.seen, dialed.at, None)


def heard(scene: Scene, target: Site, packet: bytes, tunnel: int) -> None:
    """A packet has come through a tunnel: the first one of a link, or one that keeps it in use."""
    if not packet.startswith(KNOCK):
        return
    number = int.from_bytes(packet[len(KNOCK) :], "big")
    dialed, way = scene.dials.get(number), target.tunnels.get(tunnel)
    if dialed is not None and target.address != dialed.host:
        scene.note(Strayed(target.name, scene.sites[dialed.site].name))
    relay = None if way is None else scene.at.get(way.relay.ip)
    if dialed is None or way is None or relay is None or target.address != dialed.host:
        return
    if not prove_each_other(scene.sites[dialed.site].host, target.host):
        return
    del scene.dials[number]
    scene.counts["link through a relay"] += 1
    _link(scene, scene.sites[dialed.site], target, way, dialed.at, relay)


def _gets_there(scene: Scene, source: Site, target: Site) -> bool:
    if scene.is_blocked(source, target):
        return False
    return not scene.weather.is_lost(source.name, target.name, scene.chance)


def gave_up(scene: Scene, number: int) -> None:
    """A link is not up in time."""
    dialed = scene.dials.pop(number, None)
    if dialed is None:
        return
    site = scene.sites[dialed.site]
    scene.counts["link not made"] += 1
    scene.enter(site)
    if dialed.aim is Aim.PLACE:
        site.finder.try_next(dialed.host, dialed.rest)
    elif dialed.aim is Aim.INTRODUCER and site.nat is not None:
        site.nat.not_through(dialed.host, scene.now_s)


def _link(
    scene: Scene,
    site: Site,
    target: Site,
    seen: Endpoint | Tunnel,
    at: Endpoint | Tunnel,
    relay: int | None,
) -> None:
    there, here = scene.next_link, scene.next_link + 1
    scene.next_link += 2
    scene.ends[there] = End(there, target.number, site.number, here, False, True, seen, relay)
    end = scene.ends[here] = End(here, site.number, target.number, there, True, False, at, relay)
    way_us = path_us(scene, end)
    end.pace_us = scene.now_us + way_us + 1
    scene.plan_in(way_us, Answered(here, 2 * way_us))
    _came_up(scene, scene.ends[there], 2 * way_us)


def answered(scene: Scene, event: Answered) -> None:
    """The link is up at the end that dialed."""
    end = scene.ends.get(event.link)
    if end is not None:
        end.up = True
        _came_up(scene, end, event.trip_us)


def _came_up(scene: Scene, end: End, trip_us: int) -> None:
    site, peer = scene.sites[end.site], scene.sites[end.peer]
    scene.counts["link up"] += 1
    scene.note(LinkUp(site.name, end.link, peer.name))
    scene.enter(site)
    site.finder.link_up(peer.address)
    where = _go_round(scene, site, end, peer.address)
    if where is not None and site.node is not None:
        scene.enter_node(site).met(site.node_ms(scene.now_us), where)
    proof = peer.host.core.host.keys.proof
    shown = (proof.identity, ROOM_BYTES, where, trip_us / 1000, proof.certificate_bytes)
    site.host.core.link_up(end.link, *shown)


def _go_round(scene: Scene, site: Site, end: End, peer: bytes) -> Endpoint | None:
    """Tells the ways round routers of a link; where its host is reached, if that is of use to others."""
    if isinstance(end.at, Tunnel):
        scene.plan_in(KEEP_TUNNEL_US, KeepTunnel(end.link))
    if site.nat is None:
        return end.at if isinstance(end.at, Endpoint) else None
    at = end.at.number if isinstance(end.at, Tunnel) else end.at
    way = site.nat.link_up(end.link, peer, end.dialed, at, scene.now_s)
    scene.counts[f"link {way.value}"] += 1
    if way is not Way.DIRECT or not isinstance(end.at, Endpoint):
        return None
    if not end.dialed:
        site.nat.standing.reached(site.endpoint, end.at, scene.now_s)
    return end.at


def keep_tunnel(scene: Scene, link: int) -> None:
    """A packet goes through the tunnel of a link."""
    end = scene.ends.get(link)
    if end is not None and isinstance(end.at, Tunnel):
        packet = Relayed(end.at.token, KEEP).to_bytes()
        post.send(scene, scene.sites[end.site], packet, end.at.relay)
        scene.plan_in(KEEP_TUNNEL_US, KeepTunnel(link))
