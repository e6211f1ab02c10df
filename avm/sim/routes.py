"""Ways round routers in a world: what `avm.nat` decides is carried out, as the shell does it. Pure.

Beside step 7 of the journey. Meetings, punches and relays are those of production, datagram by datagram.
"""

from avm.host import peering
from avm.nat.effects import (
    Announce,
    DialAt,
    Dig,
    Effect,
    Fill,
    Hear,
    Hidden,
    NotMet,
    Retire,
    Send,
    SendAside,
    Tell,
    Through,
    Tunnel,
)
from avm.nat.limits import NatLimits
from avm.nat.traversal import Traversal
from avm.sim import dials, post, wires
from avm.sim.coming import WakeNat
from avm.sim.scene import LOST, Aim, Scene, Site
from caps.identity import Endpoint, Route
from dht.record import Place

SECOND_US = 1_000_000
MS_US = 1_000


def begin(scene: Scene, site: Site) -> None:
    """A host has started: it knows nothing of how others see it."""
    limits = site.host.core.host.limits
    allowed = NatLimits(limits.introduced, limits.relays, limits.relay_bytes_s, limits.upgrade_s)
    site.nat = Traversal(site.address, site.endpoint, site.entropy, allowed, known=site.bootstrap)
    site.wake_nat_us = None
    site.tunnels.clear()
    site.places.clear()


def meet(scene: Scene, site: Site, host: bytes, places: tuple[Place, ...]) -> None:
    """Opens a way to a host by those who introduce it, and goes on with the rest if none does."""
    rest = tuple(one for one in places if not isinstance(one, Route))
    if site.nat is None:
        site.finder.try_next(host, rest)
        return
    site.places[host] = rest
    vias = [one for one in places if isinstance(one, Route)]
    site.nat.meet(host, vias, scene.now_s)


def receive(scene: Scene, site: Site, datagram: bytes, source: Endpoint) -> None:
    """A datagram has come that is neither a link's nor the network's."""
    if site.nat is not None:
        site.nat.receive_untrusted(datagram, source, scene.now_s)


def wake(scene: Scene, site: Site) -> None:
    """Something may be due."""
    if site.wake_nat_us == scene.now_us and site.nat is not None:
        site.wake_nat_us = None
        scene.enter(site)
        site.nat.tick(scene.now_s)


def plan_wake(scene: Scene, site: Site) -> None:
    """When `wake` is next."""
    due_s = None if site.nat is None else site.nat.next_wake_s()
    if due_s is not None:
        at_us = max(scene.now_us + MS_US, round(due_s * SECOND_US))
        if site.wake_nat_us is None or at_us < site.wake_nat_us:
            site.wake_nat_us = at_us
            scene.agenda.put(at_us, WakeNat(site.number, site.life))


def carry_out(scene: Scene, site: Site) -> tuple[bool, bool]:
    """Does what is asked for; whether there was something, and whether to announce the host anew."""
    effects = [] if site.nat is None else site.nat.take_effects()
    for effect in effects:
        _do(scene, site, effect)
    return bool(effects), any(isinstance(one, Announce) for one in effects)


def _do(scene: Scene, site: Site, effect: Effect) -> None:
    host = site.host.core.host
    match effect:
        case Tell(number, body):
            wires.say(scene, site, number, wires.CONTROL, body)
        case Send(datagram, endpoint):
            post.send(scene, site, datagram, endpoint)
        case SendAside(datagrams, endpoint):
            for datagram in datagrams:
                post.send(scene, site, datagram, endpoint, aside=True)
        case Hear(packet, number):
            dials.heard(scene, site, packet, number)
        case Dig(tunnel):
            site.tunnels[tunnel.number] = tunnel
        case Fill(number):
            site.tunnels.pop(number, None)
            _lose(scene, site, number)
        case Through(via):
            if not dials.is_dialing(scene, site, via.address):
                dials.dial(scene, site, via.address, via.endpoint, aim=Aim.INTRODUCER)
        case DialAt(address, at, spare):
            rest = () if spare else site.places.pop(address, ())
            dials.dial(scene, site, address, at, rest, Aim.BETTER if spare else Aim.PLACE)
        case NotMet(address, _):
            scene.counts["no way to a host behind a router"] += 1
            site.finder.try_next(address, site.places.pop(address, ()))
        case Retire(number):
            end = scene.ends.get(number)
            if end is not None and isinstance(end.at, Tunnel):
                scene.counts["relayed link became a better one"] += 1
            if number in host.links:
                peering.close(host, host.links[number], "a better way has its place")
        case Hidden(number):
            assert site.nat is not None
            where = site.nat.endpoint_of(number)
            if number in host.links and where is not None:
                peering.hide(host, host.links[number], where)
        case Announce():
            pass


def _lose(scene: Scene, site: Site, tunnel: int) -> None:
    """Nothing comes or goes by the links that go through a tunnel."""
    for end in list(scene.ends.values()):
        is_in = isinstance(end.at, Tunnel) and end.at.number == tunnel
        if is_in and end.site == site.number:
            end.relay = LOST
            if end.other in scene.ends:
                scene.ends[end.other].relay = LOST
    wires.look_at_paths(scene)
