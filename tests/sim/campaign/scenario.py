"""One run of the campaign: a world from a seed, purses and clients in it, faults, quiet, and what must hold."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from avm.host import acquaintance
from avm.host.capability import Sealed, address_of
from avm.host.journal import hash_of_code
from avm.host.state import Mode, Status
from avm.sim.chance import Chance
from avm.sim.client import Client
from avm.sim.events import Committed, Event
from avm.sim.host import SimHost
from avm.sim.invariants import Broken, Invariants
from avm.sim.plan import BadPlan, ClockJump, Plan
from avm.sim.world import World
from caps.value import Capability
from tests.sim.campaign import purse
from tests.sim.campaign.guests import Guests, Passers, sealed
from tests.sim.campaign.happenings import Happenings
from tests.sim.campaign.judging import TOKENS, Doubts, Ending, hold, judge_clients, judge_purses
from tests.sim.campaign.lasting import live_on, lives_on
from tests.sim.campaign.setting import A_MESSAGE_S, NETWORK_SEND_S, plan_of, setting_of
from tests.sim.code import ModuleCode

PURSES = 5
QUIET_S = 600.0
# In a network of nodes, for as long as what is for somebody who is nowhere waits for its deadline. What
# was told to hosts that died is told again meanwhile.
NETWORK_QUIET_S = NETWORK_SEND_S + QUIET_S
A_WHILE_S = 120.0
AFTER_S = 200.0
# Within this what is said after quiet has its verdict, on every channel.
AT_ONCE_S = 30.0
A_FLOOD = 12
A_MOMENT_S = 5.0


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    messages: int = 0
    batches: int = 0
    virtual_s: float = 0.0
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    why: str = ""


class Scenario:
    """A world with its purses; `run` takes it to its end and raises `Broken` where it must not end so."""

    def __init__(self, seed: int, messages: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.messages = messages
        self.chance = Chance(seed)
        self.setting = setting = setting_of(seed)
        self.names = setting.names
        every_s = self.chance.choice((0.15, 0.4, 2.0))
        self.plan = plan or plan_of(seed, setting, messages, every_s)
        self.world = World(seed, limits=setting.limits, dht=setting.dht)
        self.invariants = Invariants()
        self.happenings = Happenings(self.world.counts)
        # Purses that failed what came for a while, their own bells too.
        self.deaf: set[int] = set()
        self.said: dict[tuple[int, int], int] = {}
        self.guests = Guests(self.world, self.chance, setting.guests)
        self.passers = Passers(self.world, self.chance, setting.passers)
        self.doubts = Doubts()

    def set_up(self) -> None:
        """Hosts, purses that know each other, clients; then the faults may begin."""
        world = self.world
        world.watch(self.happenings)
        world.watch(self.doubts)
        world.watch(self.invariants)
        world.watch(self)
        hosts = [world.add_host(name) for name in self.names]
        for host in hosts:
            for other in hosts:
                if other is not host:
                    _trust(host, other)
        for router in self.setting.routers:
            world.inject(router)
        world.run(10.0 if self.setting.routers else 1.0)
        homes = [hosts[n % len(hosts)] for n in range(PURSES)]
        share = TOKENS // PURSES
        made = [
            home.create(f"purse{n}", ModuleCode(purse), tuple(range(n * share, (n + 1) * share)))
            for n, home in enumerate(homes)
        ]
        self.wires = wires = [
            {name: home.core.seal(cap) for name, cap in one.names.items()}
            for home, one in zip(homes, made, strict=True)
        ]
        self.clients = [
            world.client(hosts[n % len(hosts)], durable=n % 2 == 0)
            for n in range(self.setting.clients)
        ]
        self.caps = [
            [{name: client.hold(sealed(wire)) for name, wire in one.items()} for one in wires]
            for client in self.clients
        ]
        for n, home in enumerate(homes):
            client = world.client(home)
            others = [client.hold(sealed(one["take"])) for i, one in enumerate(wires) if i != n]
            client.send(client.hold(sealed(wires[n]["meet"])), tuple(others))
        world.run(1.0)
        start_ms = world.scene.now_us // 1000
        for fault in self.plan.faults:
            world.inject(replace(fault, at_ms=fault.at_ms + start_ms))

    def run(self) -> None:
        """From the first message to what must hold after quiet."""
        self.set_up()
        left = self.messages
        while left > 0:
            said = self._say(left)
            left -= said
            if self.chance.hits(self.setting.acts):
                self._operate()
            if self.setting.dht and self.chance.hits(0.2):
                self._locate()
            self.guests.happen()
            self.passers.happen(self.wires)
            self.world.run(said * A_MESSAGE_S * self.chance.below(9) / 4)
        self._rest()
        if lives_on(self.seed) and not self.setting.routers:
            live_on(self.world, self.seed, self.names, self._say, self._rest)
        self._greet()
        self.check()
        for host in self.world.hosts:
            self.happenings.ended(host)

    def happened(self, world: World, event: Event) -> None:
        """A step whose own assertion fails has found what must not be."""
        if isinstance(event, Committed):
            what = self.doubts.asserted(world.host(event.host).core.host, event.transaction)
            hold(not what, f"a step on {event.host} asserts: {what}")

    # What operators do.

    def _operate(self) -> None:
        """An operator does something to one purse, and does not wait for it."""
        n = self.chance.below(PURSES)
        home = self._home(n)
        if home is None or not home.up:
            return
        core, machine = home.core, home.machine(f"purse{n}")
        match self.chance.below(8):
            case 0:
                mode = Mode.FAIL if self.chance.hits(0.3) else Mode.HOLD
                if mode is Mode.FAIL:
                    self.deaf.add(n)
                home.begin(lambda request: core.change(request, machine, "suspend", mode))
            case 1 | 2:
                home.begin(lambda request: core.change(request, machine, "resume"))
            case 3:
                bundle = f"purse{n} again {self.world.scene.now_us}".encode()
                home.codes[bundle] = ModuleCode(purse)
                code = hash_of_code(bundle)
                home.begin(lambda request: core.upgrade(request, machine, code, bundle))
            case 4:
                keep = machine.head - self.chance.below(40)
                home.begin(lambda request: core.prune(request, machine, keep))
            case 5 | 6 if len(self.names) > 1:
                others = [one for one in self.world.hosts if one is not home]
                where = self.chance.choice(others).core.host.address
                home.begin(lambda request: core.move(request, machine, where, f"purse{n}"))
            case _:
                self._come_and_go()
        self.world.scene.touched[self.world.scene.names[home.name]] = None

    def _locate(self) -> None:
        """Some host asks the network where a purse lives, or another host."""
        hosts = self.world.hosts
        purses = [address for host in hosts for address in host.core.host.machines]
        wanted = self.chance.choice([*purses, *(host.core.host.address for host in hosts)])
        self.world.locate(self.chance.choice(hosts), wanted)

    def _come_and_go(self) -> None:
        """A client loses its connection, or comes back."""
        client = self.chance.choice(self.clients)
        host = self.world.hosts[self.clients.index(client) % len(self.names)]
        if client.core is not None and client.durable:
            client.leave()
        elif client.core is None and host.up:
            self._connect(client, host)

    def _connect(self, client: Client, host: SimHost) -> None:
        client.connect(host.core)
        self.world.scene.touched[self.world.scene.names[host.name]] = None

    def _home(self, n: int) -> SimHost | None:
        """Where a purse lives; None while it is between two hosts."""
        found = [host for host in self.world.hosts if f"purse{n}" in host.core.host.names]
        return found[0] if found else None

    def _found(self, n: int) -> SimHost:
        """Where a purse lives, now that all has healed: it may still go where it was told to before."""
        home = self._home(n)
        if home is None:
            raise Broken(f"purse{n} is nowhere")
        return home

    def _say(self, left: int) -> int:
        """One client says something to one purse; how many messages."""
        c = self.chance.below(len(self.clients))
        m = self.chance.below(PURSES)
        client, caps = self.clients[c], self.caps[c][m]
        match self.chance.below(40):
            case 0:
                client.send(caps["look"], *[client.ear(n) for n in range(min(left, 5))])
                return min(left, 5)
            case 1:
                fail = self.chance.below(12)
                client.send(caps["bulk"], *[(fail, n) for n in range(min(left, 8))])
                return min(left, 8)
            case 2:
                for _ in range(min(left, A_FLOOD)):
                    client.send(caps["go"], self._go(c, m, client.ear()))
                return min(left, A_FLOOD)
            case 3:
                client.send(caps["drop"], bytes(purse.A_LOAD_BYTES))
                return 1
            case 4 | 5 | 6 | 7 if self.guests.take is not None:
                client.send(caps["visit"], self._go(c, m, client.hold(self.guests.take)))
                return 1
        count = min(left, self.chance.choice((1, 1, 1, 2, 10)))
        if client.core is not None and self.chance.hits(0.2):
            client.ask(
                caps["go"], self._go(c, m, client.ear()), self.chance.choice((0.5, 5.0, 60.0))
            )
            return 1
        client.send(caps["go"], *[self._go(c, m, client.ear()) for _ in range(count)])
        return count

    def _go(self, c: int, m: int, other: Capability) -> tuple[str, int, int, Capability]:
        number = self.said[(c, m)] = self.said.get((c, m), 0) + 1
        return (str(c), number, self.chance.below(100_000), other)

    def _rest(self) -> None:
        """All heals, suspended purses go on, and every deadline passes."""
        world = self.world
        world.quiet(A_WHILE_S)
        for place, client in enumerate(self.clients):
            if client.core is None:
                self._connect(client, world.hosts[place % len(self.names)])
        while self.passers.here:
            self.passers.go()
        world.quiet(A_WHILE_S)
        for n in range(PURSES):
            home = self._found(n)
            if home.machine(f"purse{n}").status is Status.SUSPENDED:
                world.counts["suspended machine resumed"] += 1
                home.resume(f"purse{n}")
                self._give_up(home, n)
        if self.setting.guests or self.setting.passers:
            world.run(self._jumped_s())  # what is for somebody who is gone waits for its deadline
        self._quiet()
        self.guests.end(self._quiet)
        world.run(AFTER_S + self._jumped_s())
        self._quiet()

    def _jumped_s(self) -> float:
        """A host that starts again after its clock was set back has its deadlines so much later."""
        faults = self.world.plan.faults
        return sum(abs(one.by_ms) for one in faults if isinstance(one, ClockJump)) / 1000

    def _give_up(self, home: SimHost, n: int) -> None:
        """A purse that its worker has made something of that does not load is halted by its operator."""
        machine = home.machine(f"purse{n}")
        if machine.address in self.doubts.twisted:
            self.world.run(A_MOMENT_S)
            if machine.status is Status.SUSPENDED:
                self.world.counts["machine given up after a lie"] += 1
                home.ask(lambda request: home.core.change(request, machine, "halt"))
                self.doubts.halted.add(machine.address)

    def _greet(self) -> None:
        """Every channel has room once all is quiet: what is said now is taken at once."""
        said = []
        for client, caps in zip(self.clients, self.caps, strict=True):
            for n, one in enumerate(caps):
                cap = client.held_as(one["look"])
                said.append((client, n, (address_of(cap), client.send(one["look"], None))))
        for one in self.caps[0]:
            self.clients[0].send(one["greet"], None)
        if not self.world.quiet(AT_ONCE_S) and not self._is_quiet_without_the_twisted():
            raise Broken(f"what is said after quiet is not taken in {AT_ONCE_S:.0f} s")
        for client, n, place in said:
            became = client.settled.get(place)
            doubted = place[0] in self.doubts.twisted
            hold(
                doubted or became == ["applied"],
                f"purse{n} does not take what is said to it: {became}",
            )

    def _is_quiet_without_the_twisted(self) -> bool:
        """What its worker has made of a purse may show only now: all else is at once, without it."""
        given_up = len(self.doubts.halted)
        for n in range(PURSES):
            self._give_up(self._found(n), n)
        return len(self.doubts.halted) > given_up and self.world.quiet(AT_ONCE_S)

    def _quiet(self) -> None:
        if self.world.quiet(QUIET_S):
            return
        limit_s = QUIET_S
        if self.setting.dht:
            self.world.counts["network needed more than ten minutes"] += 1
            limit_s = NETWORK_QUIET_S + self._jumped_s()
            for host in self.world.hosts:
                # Where all that it knew are elsewhere now, and a router keeps them out, nobody can help it but
                # its operator.
                self.world.counts["operator told a route"] += self.world.introduce(host)
        elif self._is_owed_to_nobody():
            self.world.counts["what was for nobody waited for its deadline"] += 1
            limit_s = self.setting.limits.send_s + QUIET_S + self._jumped_s()
        if limit_s == QUIET_S or not self.world.quiet(limit_s - QUIET_S):
            raise Broken(f"after {limit_s:.0f} s without faults something is still owed")

    def _is_owed_to_nobody(self) -> bool:
        """Whether all that hosts still owe each other is for clients that have ended."""
        cores = [host.core.host for host in self.world.hosts]
        there = {address for core in cores for address in (*core.machines, *core.clients)}
        owed = [one for core in cores for one in core.outbox.values() if one.body]
        return bool(owed) and not any(one.receiver in there for one in owed)

    def check(self) -> None:
        """Tokens, outcomes, bells, and all that must hold in any world."""
        self.invariants.quiet(self.world)
        endings = [self._ending(n, self._found(n)) for n in range(PURSES)]
        judge_purses(endings, self.doubts, self.guests, self.world.counts)
        judge_clients(self.clients)

    def _ending(self, n: int, home: SimHost) -> Ending:
        address = home.machine(f"purse{n}").address
        twisted = address in self.doubts.twisted
        state = None if twisted else self._state(home, f"purse{n}")
        return Ending(n, address, n in self.deaf, state)

    def _state(self, home: SimHost, name: str) -> purse.Purse:
        machine = home.machine(name)
        if machine.worker is None or not machine.loaded:
            client = self.world.client(home)
            client.send(client.hold(self._look(home, name)), None)
            self._quiet()
        assert machine.worker is not None
        found: purse.Purse = home.workers[machine.worker.id].inside.state_of(machine.id)
        return found

    def _look(self, home: SimHost, name: str) -> Sealed:
        n = int(name.removeprefix("purse"))
        held = self.clients[0].held_as(self.caps[0][n]["look"])
        assert isinstance(held, Sealed)
        return held


def _trust(host: SimHost, other: SimHost) -> None:
    """The operator of a host lets machines of another come."""
    address = other.core.host.address
    host.ask(lambda request: acquaintance.trust(host.core.host, request, address))


def run(
    seed: int,
    messages: int,
    plan: Plan | None = None,
    look: Callable[[Scenario], None] = lambda _: None,
) -> Outcome:
    """Runs a seed to its end; `why` says what broke. `look` is shown the scenario before it begins."""
    scenario = Scenario(seed, messages, plan)
    look(scenario)
    why = ""
    try:
        scenario.run()
    except Broken as broken:
        why = str(broken)
    except AssertionError as broken:
        why = f"an assertion of the code: {broken}"
    except BadPlan:
        raise
    except Exception as raised:  # noqa: BLE001 - one seed of many: the others go on
        why = f"the code raised {type(raised).__name__}: {raised}"
    world = scenario.world
    return Outcome(
        seed,
        scenario.invariants.messages,
        scenario.invariants.batches,
        world.scene.now_us / 1_000_000,
        world.digest.hex(),
        world.counts,
        why,
    )
