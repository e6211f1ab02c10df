"""A world: any number of whole hosts in virtual time, with all that can go wrong, from one seed. Pure.

Theory of operation. There is one list of what will happen and when. `step` takes the next thing out,
tells a host of it, and lets that host carry out what follows, which puts new things on the list; of
what falls on one instant the seed draws the order. Nothing else moves time, and nothing in here knows
any other: the same seed and plan give the same trace, in any process.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from avm.graph import BadGraph, Form, Made
from avm.host import acquaintance
from avm.host.capability import Cap, Sealed, address_of
from avm.limits import Limits
from avm.link.limits import LinkLimits
from avm.machine.live import Code
from avm.sim import coming, dials, faults, passes, post, routes, scene, ways, wires
from avm.sim.agenda import Agenda
from avm.sim.chance import Chance
from avm.sim.client import Client, Handles
from avm.sim.code import Codes, load_bundle
from avm.sim.entropy import Entropy
from avm.sim.events import Event
from avm.sim.forms import Given, world_form
from avm.sim.host import SimHost
from avm.sim.plan import Fault, Plan
from avm.sim.scene import Asked, Scene, Site
from caps.identity import Route
from caps.value import Capability
from dht.errors import NodeBusy
from dht.proofs import Proofs
from dht.settings import Settings

SECOND_US = 1_000_000
ACT_S = 120.0
LOOK_S = 0.1


class Watcher(Protocol):
    """Who is told of all that happens."""

    def happened(self, world: "World", event: Event) -> None:
        """Something has happened; the world is as it was then."""


class World:
    """Hosts, a network, disks, workers and a clock; see the module."""

    def __init__(
        self,
        seed: int,
        plan: Plan = Plan(),  # noqa: B008
        limits: Limits | None = None,
        dht: bool = True,
        *,
        workers: int = 2,
        settings: Settings | None = None,
        links: LinkLimits | None = None,
    ) -> None:
        """Without `dht` hosts find each other at once, by what is so."""
        self.limits = limits or Limits()
        self.workers = workers
        chance = Chance(seed)
        self.scene = Scene(
            seed, plan, settings or Settings(), links or LinkLimits(), dht, chance, Agenda(chance)
        )
        self.handles = Handles()
        self.codes = Codes()
        self.watchers: list[Watcher] = []
        for number, fault in enumerate(plan.faults):
            self.scene.agenda.put(1_000 * fault.at_ms, coming.Begin(number))

    # What is there.

    @property
    def hosts(self) -> list[SimHost]:
        """The hosts, in the order they were added."""
        return [site.host for site in self.scene.sites]

    def host(self, name: str) -> SimHost:
        """A host by its name."""
        return self.scene.sites[self.scene.names[name]].host

    @property
    def now_ms(self) -> int:
        """The world's time in milliseconds since 1970; that of a host's clock may be another."""
        return self.scene.now_ms

    @property
    def counts(self) -> Counter[str]:
        """How often what has happened."""
        return self.scene.counts

    @property
    def digest(self) -> bytes:
        """A hash over all that happened, with its times: the same for the same seed and plan."""
        return self.scene.digest

    @property
    def plan(self) -> Plan:
        """What goes wrong."""
        return self.scene.plan

    def watch(self, watcher: Watcher) -> None:
        """Has somebody told of all that happens from now on."""
        self.watchers.append(watcher)

    def add_host(self, name: str) -> SimHost:
        """Adds a host, which starts at once."""
        state = self.scene
        assert name not in state.names, "a host has a name of its own"
        number = len(state.sites)
        entropy = Entropy((state.seed << 24 | number) & ((1 << 120) - 1))
        asked = Asked()
        seed = int.from_bytes(entropy.bytes(8), "big")
        host = SimHost(seed, limits=self.limits, workers=self.workers, network=asked, name=name)
        host.handles, host.codes, host.driver = self.handles, self.codes, _Driver(self, name)
        ip = post.outer_ip(state)
        site = Site(number, host, asked, entropy, post.endpoint_at(ip))
        state.sites.append(site)
        state.names[name] = number
        state.addresses[host.core.host.address] = number
        post.settle_at(state, site, ip)
        passes.start(state, site)
        self._settle()
        return host

    def client(self, host: SimHost, durable: bool = False) -> Client:
        """A new client of a host."""
        client = host.client(durable)
        self.scene.touched[self.scene.names[host.name]] = None
        return client

    def outside(self, host: SimHost, cap: Cap) -> Capability:
        """A capability of a host as it is outside of it: a handle that any client may send to."""
        return self.handles.hold(Sealed(address_of(cap), host.core.seal(cap)))

    def locate(self, host: SimHost, address: bytes) -> None:
        """Has a host ask the network of nodes where an address lives; `Looked` tells what it hears."""
        site = self.scene.sites[self.scene.names[host.name]]
        if host.up and site.node is not None:
            self.scene.enter(site)
            with suppress(NodeBusy):
                self.scene.enter_node(site).locate(site.node_ms(self.scene.now_us), address)

    def introduce(self, host: SimHost) -> bool:
        """Has the operator of a host that knows no node say where one is now, by `peers dial`.

        False where it knows one, or is not there.
        """
        site = self.scene.sites[self.scene.names[host.name]]
        if not host.up or site.node is None or len(site.node.table):
            return False
        for route in ways.bootstrap(self.scene, site):
            host.begin(partial(_dial, host, route))
        self.scene.touched[site.number] = None
        return True

    def inject(self, fault: Fault) -> None:
        """Has something go wrong that is not in the plan; at once if its time is over."""
        state = self.scene
        state.plan = Plan((*state.plan.faults, fault))
        at_us = max(state.now_us, 1_000 * fault.at_ms)
        state.agenda.put(at_us, coming.Begin(len(state.plan.faults) - 1))

    # To keep it, and to go on elsewhere.

    def save(self) -> bytes:
        """The whole world as bytes, at any moment; those who watch are not in it."""
        self._settle()
        seeds = tuple(host.keyring_seeds for host in self.hosts)
        body = _FORM.dumps((self.scene, self.handles))
        return _HEAD.dumps((self.limits, self.workers, tuple(self.codes), seeds, body))

    @classmethod
    def load_untrusted(
        cls,
        body: bytes,
        codes: Callable[[bytes], Code] = load_bundle,
        proofs: Proofs | None = None,
    ) -> "World":
        """A world that goes on from there; raises `BadGraph`, and what `codes` does.

        `codes` gives the code of a bundle, which is a file's or begins with its machine's name; `proofs`
        may have been checked before.
        """
        match _HEAD.loads_untrusted(body):
            case (Limits() as limits, int(workers), tuple(bundles), tuple(seeds), bytes(graph)):
                pass
            case _:
                raise BadGraph("it is no world")
        world = cls.__new__(cls)
        world.limits, world.workers, world.watchers = limits, workers, []
        world.codes = Codes((bundle, codes(bundle)) for bundle in bundles)
        given = Given(world, limits, world.codes, seeds, proofs or Proofs(scene.PROOFS_MAX))
        match _FORM.loads_untrusted(graph, given=given):
            case (Scene() as state, Handles() as handles):
                world.scene, world.handles = state, handles
            case _:
                raise BadGraph("it is no world")
        return world

    def fork(self) -> "World":
        """Another world that is as this one is, and goes its own way."""
        return World.load_untrusted(self.save(), self.codes.__getitem__, self.scene.proofs)

    # Time.

    def step(self) -> bool:
        """Lets the next thing happen; False when nothing is to."""
        self._settle()
        return self._next()

    def _next(self) -> bool:
        """Lets the next thing happen in a world that is settled."""
        agenda = self.scene.agenda
        if not len(agenda):
            return False
        self.scene.now_us, what = agenda.take()
        _DO[type(what)](self.scene, what)
        self._settle()
        return True

    def _settle(self) -> None:
        state = self.scene
        if self.handles.stirred:
            self._begin_speech()
        while state.touched or state.happened:
            touched, state.touched = list(state.touched), {}
            for number in touched:
                passes.settle(state, state.sites[number])
            happened, state.happened = state.happened, []
            for event in happened:
                for watcher in self.watchers:
                    watcher.happened(self, event)

    def _begin_speech(self) -> None:
        """What clients were told to say between two steps is said."""
        self.handles.stirred.clear()
        for site in self.scene.sites:
            if site.host.up and any(one.outgoing for one in site.host.clients.values()):
                self.scene.touched[site.number] = None

    def run(self, seconds: float) -> None:
        """Lets so much time pass."""
        self.run_until(_never, seconds)

    def run_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Lets time pass until something is so; False when the limit comes first."""
        state = self.scene
        end_us = state.now_us + round(limit_s * SECOND_US)
        self._settle()
        while not done():
            next_us = state.agenda.next_us()
            if next_us is None or next_us > end_us:
                state.now_us = end_us
                return done()
            if self.handles.stirred or state.touched or state.happened:  # `done` may do something
                self._settle()
                continue
            self._next()
        return True

    def quiet(self, limit_s: float) -> bool:
        """Heals all faults, and lets time pass until nobody owes anybody anything."""
        faults.heal(self.scene)
        end_us = self.scene.now_us + round(limit_s * SECOND_US)
        self._settle()
        while not self.is_quiet():
            left_s = (end_us - self.scene.now_us) / SECOND_US
            if left_s <= 0:
                return False
            self.run(min(LOOK_S, left_s))
        return True

    def is_quiet(self) -> bool:
        """Whether nobody owes anybody anything now."""
        return not any(end.coming for end in self.scene.ends.values()) and all(
            _owes_nothing(one) for one in self.hosts
        )

    def settle_act(self, name: str, request: int) -> None:
        """Lets time pass until a host has answered an operator's request, or has died."""
        site = self.scene.sites[self.scene.names[name]]
        life, answers = site.life, site.host.answers
        self.scene.touched[site.number] = None
        self.run_until(lambda: request in answers or site.life != life, ACT_S)


class _Driver:
    """Lets a world's time pass while an operator waits for a host."""

    __slots__ = ("_name", "_world")

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def __call__(self, request: int) -> None:
        self._world.settle_act(self._name, request)


_DRIVER = Made(
    _Driver, lambda driver: (driver._name,), lambda given, name: _Driver(given.world, name)
)
_FORM = world_form(_DRIVER)
_HEAD = Form((Limits,))


def _dial(host: SimHost, route: Route, request: int) -> None:
    acquaintance.dial(host.core.host, request, route.address, route.endpoint)


def _never() -> bool:
    return False


def _owes_nothing(host: SimHost) -> bool:
    core = host.core
    if not host.up or core.owes() or not core.is_drained() or core.host.inbox:
        return False
    clients = host.clients.values()
    return not any(one.outgoing or any(s.waiting for s in one.senders.values()) for one in clients)


# What happens, by its kind.


def _begin(state: Scene, what: coming.Begin) -> None:
    if what.fault >= state.over:
        faults.begin(state, state.plan.faults[what.fault], what.fault)


def _finish(state: Scene, what: coming.Finish) -> None:
    if what.fault >= state.over:
        faults.end(state, state.plan.faults[what.fault])


def _packet(state: Scene, what: coming.Packet) -> None:
    site = state.sites[what.site]
    if site.host.up:
        ways.receive(state, site, what.datagram, what.source)


def _boot(state: Scene, what: coming.Boot) -> None:
    site = state.sites[what.site]
    if site.life == what.life:
        passes.boot(state, site)


def _alive(act: Callable[..., None], *names: str) -> Callable[[Scene, Any], None]:
    """What is only done if the host lives that it was meant for, with these fields."""

    def do(state: Scene, what: Any) -> None:
        site = state.lives(what.site, what.life)
        if site is not None:
            act(state, site, *(getattr(what, name) for name in names))

    return do


def _save(state: Scene, site: Site) -> None:
    state.enter(site)
    ways.save(site)


def _renew(state: Scene, site: Site) -> None:
    state.enter(site)
    ways.publish_all(state, site)


_DO: dict[type, Callable[[Scene, Any], None]] = {
    coming.Wake: _alive(passes.wake),
    coming.WakeNode: _alive(passes.wake_node),
    coming.WakeNat: _alive(routes.wake),
    coming.KeepTunnel: lambda state, what: dials.keep_tunnel(state, what.link),
    coming.SaveNode: _alive(_save),
    coming.Renew: _alive(_renew),
    coming.Work: _alive(passes.work, "worker"),
    coming.Write: _alive(passes.write),
    coming.Heard: _alive(passes.heard),
    coming.Tell: _alive(ways.tell, "lookup"),
    coming.Speak: lambda state, what: passes.speak(state, state.sites[what.site], what.client),
    coming.Boot: _boot,
    coming.Packet: _packet,
    coming.Frame: lambda state, what: wires.arrive(state, what.link, what.lane),
    coming.Room: lambda state, what: wires.room(state, what.link),
    coming.Knock: dials.knocked,
    coming.KnockAgain: lambda state, what: dials.knock_again(state, what.dial),
    coming.Answered: dials.answered,
    coming.GiveUp: lambda state, what: dials.gave_up(state, what.dial),
    coming.Down: lambda state, what: wires.down(state, what.link, what.why),
    coming.Idle: lambda state, what: wires.idle(state, what.link),
    coming.Begin: _begin,
    coming.Finish: _finish,
}
