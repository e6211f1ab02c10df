"""How a host of a world finds others and is found: its node, and where it goes with what that says. Pure.

Step 7 of the journey. The node is the real one; in a world without a network of nodes, lookups are
answered at once by what is so.
"""

from typing import Any

from avm.host import deciding, peering
from avm.host.cases import Claim
from avm.host.effects import Dial, Publish, Say, Seek, Unlink
from avm.host.links import prove
from avm.host.nodesave import pack_saved, unpack_saved
from avm.host.peering import keep_node
from avm.nat import finding
from avm.nat.packets import is_ours
from avm.sim import dials, post, routes, wires
from avm.sim.coming import Renew, SaveNode, Tell
from avm.sim.events import ChannelFrozen, Located, Looked
from avm.sim.scene import Scene, Site
from caps.certificate import parse_certificate_untrusted
from caps.identity import Endpoint, Route, parse_identity_untrusted
from dht.effects import Alone, Ended, Evidence, Found, Seen, Send, TableChanged
from dht.errors import DhtError, NodeBusy
from dht.node import Node
from dht.proofs import Kind, Proved

SECOND_US = 1_000_000
SAVE_US = SECOND_US
RENEW_US = 24 * 60 * 60 * SECOND_US
TELL_US = 20_000
BOOTSTRAPS = 2


def begin(scene: Scene, site: Site) -> None:
    """A host has started: its node goes on from what was stored, and announces what lives here."""
    site.finder = finding.Finder()
    site.lookups.clear()
    site.wake_node_us, site.saves, site.node = None, False, None
    site.nat = None
    if not scene.dht:
        return
    site.bootstrap = bootstrap(scene, site)
    routes.begin(scene, site)
    core, keys = site.host.core, site.host.core.host.keys
    now_ms = site.node_ms(scene.now_us)
    site.node = Node(
        keys.key,
        site.entropy,
        endpoints=(site.endpoint,),
        settings=scene.settings,
        proofs=scene.proofs,
    )
    own = [keys.address, *core.host.machines]
    saved = site.host.store.get(("meta", "node"))
    site.node.load(now_ms, unpack_saved(saved, own, now_ms // 1000))
    site.node.join(now_ms, tuple(route.endpoint for route in site.bootstrap))
    for route in site.bootstrap:
        site.finder.learn(route.address, route.endpoint)
    publish_all(scene, site)


def bootstrap(scene: Scene, site: Site) -> tuple[Route, ...]:
    """The first others that can be reached unasked, where they are now: its operator knows of them."""
    others = [one for one in scene.sites if one is not site and one.router is None]
    return tuple(Route(one.address, post.outer_endpoint(scene, one)) for one in others[:BOOTSTRAPS])


def publish_all(scene: Scene, site: Site) -> None:
    """Announces the host, its machines and its listeners; again in a day."""
    assert site.node is not None
    host = site.host.core.host
    _publish_host(scene, site, site.node)
    listeners = [client.address for client in host.clients.values() if client.name]
    for address in (*host.machines, *listeners):
        _publish(scene, site, site.node, address, at_once=False)
    site.node_stirred = True
    scene.plan_in(RENEW_US, Renew(site.number, site.life))


def _publish_host(scene: Scene, site: Site, node: Node) -> None:
    """Announces where the host is, once it is known."""
    assert site.nat is not None
    places = site.nat.standing.routes()
    if places:
        proof = site.host.core.host.keys.proof
        shown = (proof.identity, proof.incarnation, places, proof.certificate)
        node.publish_location(site.node_ms(scene.now_us), *shown)


def _publish(scene: Scene, site: Site, node: Node, address: bytes, at_once: bool) -> None:
    """Announces that an address lives here, or no more."""
    host = site.host.core.host
    proof = None if host.owner(address) is None else prove(host, address)
    if proof is None:
        node.withdraw(Kind.LOCATION, address)
        return
    identity = parse_identity_untrusted(proof.identity)
    shown = parse_certificate_untrusted(proof.certificate)
    now_ms = site.node_ms(scene.now_us)
    try:
        node.publish_location(now_ms, identity, shown.terms.incarnation, shown, at_once=at_once)
    except DhtError:
        scene.counts["nothing more can be announced"] += 1


def save(site: Site) -> None:
    """Keeps what the node knows with the next commit."""
    assert site.node is not None
    site.saves = False
    site.host.core.do(keep_node, pack_saved(site.node.saved()))


def receive(scene: Scene, site: Site, datagram: bytes, source: Endpoint) -> None:
    """A datagram has come."""
    if site.node is None:
        return
    scene.trace(datagram)
    scene.enter(site)
    if is_ours(datagram):
        routes.receive(scene, site, datagram, source)
    else:
        scene.enter_node(site).receive_untrusted(site.node_ms(scene.now_us), datagram, source)


# What is to be done.


def carry_out(scene: Scene, site: Site) -> bool:
    """Does what core, finder and node ask for; False when there was nothing."""
    asked, site.asked.effects = site.asked.effects, []
    for effect in asked:
        _ask(scene, site, effect)
    went, announces = routes.carry_out(scene, site)
    if announces:
        _announce(scene, site)
    wanted = site.finder.take_effects()
    for one in wanted:
        _find(scene, site, one)
    told = [] if site.node is None or not site.node_stirred else site.node.take_effects()
    for what in told:
        if type(what) is Send:
            post.send(scene, site, what.datagram, what.endpoint)
        else:
            _hear(scene, site, what)
    return bool(asked or went or wanted or told)


def _announce(scene: Scene, site: Site) -> None:
    """Publishes anew where the host is, and where others find its node, if they do."""
    assert site.nat is not None
    standing, node = site.nat.standing, scene.enter_node(site)
    own = None if standing.is_hidden else standing.own
    node.serve(site.node_ms(scene.now_us), () if own is None else (own,))
    _publish_host(scene, site, node)


def _ask(scene: Scene, site: Site, effect: Any) -> None:
    match effect:
        case Say(link, lane, frame):
            wires.say(scene, site, link, lane % wires.LANES, frame)
        case Seek(address):
            scene.counts["address sought"] += 1
            site.finder.seek(address)
        case Dial(host, endpoints):
            site.finder.dial(host, endpoints)
        case Unlink(link, why):
            wires.close(scene, site, link, why)
        case Publish(address):
            if site.node is not None:
                _publish(scene, site, scene.enter_node(site), address, at_once=True)
        case _:
            name = site.name
            scene.note(ChannelFrozen(name, effect.sender, effect.receiver, effect.why))


def _find(scene: Scene, site: Site, effect: finding.Effect) -> None:
    match effect:
        case finding.LookUp():
            _look_up(scene, site, effect)
        case finding.Try(host, endpoint, rest):
            dials.dial(scene, site, host, endpoint, rest)
        case finding.Meet(host, places):
            routes.meet(scene, site, host, places)
        case finding.At(address, where):
            scene.note(Located(site.name, address, where))
            if where:
                site.host.core.found(address, where)
            else:
                site.host.core.not_found(address)
        case finding.NoLink(host):
            site.host.core.no_link(host)


def _look_up(scene: Scene, site: Site, wanted: finding.LookUp) -> None:
    if site.node is None:
        scene.plan_in(TELL_US, Tell(site.number, site.life, wanted))
        return
    try:
        number = scene.enter_node(site).locate(site.node_ms(scene.now_us), wanted.address)
    except NodeBusy:
        scene.counts["node busy"] += 1
        _located(site, wanted, None)
        return
    site.lookups.setdefault(number, []).append(wanted)


def _located(site: Site, wanted: finding.LookUp, record: Proved | None) -> None:
    if wanted.is_host:
        site.finder.located_host(wanted.address, record)
    else:
        site.finder.located(wanted.address, record)


def tell(scene: Scene, site: Site, wanted: finding.LookUp) -> None:
    """Where an address lives, or a host is, in a world without a network that would know."""
    scene.enter(site)
    if wanted.is_host:
        number = scene.addresses.get(wanted.address)
        places = () if number is None else (post.outer_endpoint(scene, scene.sites[number]),)
        site.finder.try_next(wanted.address, places)
        return
    homes = [one for one in scene.sites if one.host.core.host.owner(wanted.address)]
    at = homes[0].address if homes and homes[0].host.up else b""
    site.finder.tell(wanted.address, at)


# What the node tells.


def _hear(scene: Scene, site: Site, effect: Any) -> None:
    match effect:
        case Found(number, record):
            scene.note(Looked(site.name, record.key, record.order))
            for wanted in site.lookups.get(number, ()):
                if wanted.first:
                    _located(site, wanted, record)
            left = [one for one in site.lookups.get(number, ()) if not one.first]
            if number in site.lookups:
                site.lookups[number] = left
        case Ended(number):
            newest = effect.records[0] if effect.records else None
            if newest is not None:
                scene.note(Looked(site.name, newest.key, newest.order))
            for wanted in site.lookups.pop(number, ()):
                _located(site, wanted, newest)
        case Alone():
            scene.counts["node alone"] += 1
            linked = () if site.nat is None else site.nat.neighbours()
            endpoints = linked + peering.endpoints(site.host.core.host)
            scene.enter_node(site).ask(site.node_ms(scene.now_us), endpoints)
        case Seen(observer, seen):
            assert site.nat is not None
            now_s = scene.now_s
            site.nat.standing.hear_observed(observer, site.endpoint, seen, now_s)
        case TableChanged():
            if not site.saves:
                site.saves = True
                scene.plan_in(SAVE_US, SaveNode(site.number, site.life))
        case Evidence(first, second):
            scene.counts["two locations contradict each other"] += 1
            host, key, incarnation = site.host.core.host, first.key, first.order[0]
            deciding.contradicted(host, key, incarnation, _claim_of(first), _claim_of(second))


def _claim_of(record: Proved) -> Claim:
    where = finding.location_of(record)
    return Claim(b"" if where is None else where.location.host, record.body)
