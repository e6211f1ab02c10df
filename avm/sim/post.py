"""Datagrams of a world: who is at an endpoint, through which routers, and what is lost on the way. Pure.

Step 7 of the journey, below links and the network's records, which share one endpoint a host.
"""

from avm.sim.coming import Packet
from avm.sim.router import KEEPS_US, Router
from avm.sim.scene import Scene, Site
from caps.identity import Endpoint

PORT = 4433


def outer_ip(scene: Scene) -> bytes:
    """The next IP of the world's network, in a /24 of its own."""
    number = scene.next_ip
    scene.next_ip += 1
    return bytes([20 + (number >> 16), number >> 8 & 255, number & 255, 1])


def endpoint_at(ip: bytes) -> Endpoint:
    """Where a host at an IP is."""
    return Endpoint(ip, PORT)


def settle_at(scene: Scene, site: Site, ip: bytes) -> None:
    """A host is at this IP now; behind a router that has it."""
    kind, keeps_us = ("", KEEPS_US) if site.router is None else site.router.nature
    for old in [old for old, number in scene.at.items() if number == site.number]:
        del scene.at[old]
    scene.at[ip] = site.number
    put_behind(site, ip, kind, keeps_us)


def put_behind(site: Site, ip: bytes, kind: str, keeps_us: int) -> None:
    """Puts a host behind a router of a kind that is at an IP; an empty kind: behind none."""
    site.router = Router(kind, ip, keeps_us) if kind else None
    is_inside = kind not in ("", "firewall")
    inside = bytes([10, 0, 0, 2]) if is_inside else ip
    site.endpoint = Endpoint(inside, PORT)


def outer_endpoint(scene: Scene, site: Site) -> Endpoint:
    """Where the world's network has a host, or its router."""
    ip = next(ip for ip, number in scene.at.items() if number == site.number)
    return Endpoint(ip, PORT)


def reach(
    scene: Scene, source: Site, endpoint: Endpoint, aside: bool = False
) -> tuple[Site | None, Endpoint]:
    """Who gets a packet to an endpoint, and where the source is seen; None: nobody gets it.

    What goes out opens the routers it passes for what comes back. `aside`: from another port.
    """
    seen = Endpoint(source.endpoint.ip, PORT + 1) if aside else source.endpoint
    if aside and source.router is not None:
        seen = Endpoint(source.router.ip, PORT + 1)
    elif source.router is not None:
        _keep(scene, source, source.router)
        forgot = source.router.has_forgotten(endpoint, scene.now_us)
        scene.counts["router forgot a mapping"] += forgot
        seen = source.router.outward(source.endpoint, endpoint, scene.now_us)
    number = scene.at.get(endpoint.ip)
    if number is None:
        return None, seen
    target = scene.sites[number]
    if target.router is not None:
        _keep(scene, target, target.router)
        if not target.router.lets_in(seen, endpoint.port, scene.now_us):
            return None, seen
    elif endpoint.port != PORT:
        return None, seen
    return target, seen


def _keep(scene: Scene, site: Site, router: Router) -> None:
    """Links that are up are in use, and what their packets opened stays open."""
    if router.kept_us == scene.now_us:
        return
    router.kept_us = scene.now_us
    for end in scene.ends.values():
        if end.site == site.number and end.relay is None and isinstance(end.at, Endpoint):
            router.keep(end.at, scene.now_us)


def send(
    scene: Scene, source: Site, datagram: bytes, endpoint: Endpoint, aside: bool = False
) -> None:
    """Sends a datagram, which may be lost, come twice, or be overtaken."""
    target, seen = reach(scene, source, endpoint, aside)
    scene.counts["datagram sent"] += 1
    if target is None:
        scene.counts["datagram to nobody"] += 1
        return
    if scene.is_blocked(source, target):
        scene.counts["datagram stopped by a partition"] += 1
        return
    names = (source.name, target.name)
    if scene.weather.is_lost(*names, scene.chance):
        scene.counts["datagram lost"] += 1
        return
    packet = Packet(target.number, datagram, seen)
    scene.plan_in(scene.way_us(source, target), packet)
    if scene.weather.is_doubled(*names, scene.chance):
        scene.counts["duplicate datagram"] += 1
        scene.plan_in(scene.way_us(source, target), packet)
