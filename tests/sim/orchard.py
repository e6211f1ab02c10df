"""The apple test over several hosts: five pouches, a client at each host, and what must hold."""

from dataclasses import replace

from avm.host.capability import Sealed
from avm.host.state import Status
from avm.limits import Limits
from avm.sim.net import Net
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.value import Capability
from tests.sim import apple
from tests.sim.code import ModuleCode, gap_free, replayed

MACHINES = 5
TOKENS = 20
SKEWS_MS = (0, 1_500, 3_600_000, -1_500, -3_600_000)
# Frames that are none of a well-behaved host's.
FOUL = ("malformed", "unproven", "frozen")


class Orchard:
    """Pouches spread over hosts, which know each other by sealed capabilities."""

    def __init__(
        self, seed: int, hosts: int = 3, limits: Limits | None = None, skew: bool = False
    ) -> None:
        self.net = net = Net(seed, hosts, limits=limits or replace(Limits(), withdraw_s=2.0))
        if skew:
            for world in net.worlds:
                net.skew(world, net.entropy.choice(SKEWS_MS))
        self.homes = [net.worlds[i % hosts] for i in range(MACHINES)]
        self.names = [f"pouch{i}" for i in range(MACHINES)]
        share = TOKENS // MACHINES
        made = [
            world.create(name, ModuleCode(apple), tuple(range(i * share, (i + 1) * share)))
            for i, (world, name) in enumerate(zip(self.homes, self.names, strict=True))
        ]
        self.clients = [world.client() for world in net.worlds]
        wires = [
            {name: world.core.seal(cap) for name, cap in one.names.items()}
            for world, one in zip(self.homes, made, strict=True)
        ]
        self.go: list[list[Capability]] = []
        for client in self.clients:
            self.go.append([client.hold(sealed(wire["go"])) for wire in wires])
        for i, world in enumerate(self.homes):
            client = self.clients[net.worlds.index(world)]
            others = wires[:i] + wires[i + 1 :]
            take = [client.hold(sealed(wire["take"])) for wire in others]
            client.send(client.hold(sealed(wires[i]["meet"])), tuple(take))
        net.settle()
        self.said = {(c, m): 0 for c in range(len(self.clients)) for m in range(MACHINES)}

    def move(self) -> None:
        """One client asks one pouch, here or at another host, to hand on a token."""
        entropy = self.net.entropy
        c, m = entropy.below(len(self.clients)), entropy.below(MACHINES)
        self.said[(c, m)] += 1
        way, chosen = entropy.below(50), entropy.below(1000)
        self.clients[c].send(self.go[c][m], (str(c), self.said[(c, m)], chosen, way))

    def run(
        self, moves: int, crash: float, cut: float, stop: float = 0.0, part: float = 0.0
    ) -> None:
        """Moves under faults, then heals and lets all deadlines pass.

        With `part` hosts are cut apart, links break for one end alone, and nobody notices a death.
        """
        net, entropy = self.net, self.net.entropy
        for world in net.worlds:
            world.eager = False
        left = moves
        while left or net.step():
            if left and entropy.chance(0.3):
                self.move()
                left -= 1
            for _ in range(entropy.below(8)):
                net.step()
            if entropy.chance(crash):
                noticed = not part or entropy.chance(0.5)
                net.crash(entropy.choice(net.worlds), noticed=noticed)
            if entropy.chance(stop):
                self._any(lambda world: net.start(world) if world in net.down else net.stop(world))
            if entropy.chance(cut):
                net.break_link()
            if entropy.chance(part):
                self._part()
            if entropy.chance(0.01):
                self._any(lambda world: world.kill_worker())
            if entropy.chance(0.05):
                self._later(entropy.below(400))
        self.heal()

    def _part(self) -> None:
        net, entropy = self.net, self.net.entropy
        match entropy.below(4):
            case 0:
                net.half_break()
            case 1:
                one = entropy.below(len(net.worlds))
                net.part(net.worlds[one], net.worlds[one - 1])
            case _:
                net.mend()

    def _any(self, act: object) -> None:
        assert callable(act)
        act(self.net.entropy.choice(self.net.worlds))

    def _later(self, passed_ms: int) -> None:
        for world in self.net.worlds:
            world.now_ms += passed_ms
            if world not in self.net.down:
                world.core.tick(world.now_ms)
                world.carry_out()
        self.net.notice()

    def heal(self) -> None:
        """All hosts are on, nothing is cut, and time passes."""
        for world in list(self.net.down):
            self.net.start(world)
        self.net.mend()
        for world in self.net.worlds:
            world.eager = True
        self.net.settle()
        for world, name in zip(self.homes, self.names, strict=True):
            if world.machine(name).status is Status.SUSPENDED:
                world.resume(name)
        self.net.advance(200)

    def check(self) -> None:
        """After quiet: tokens, outcomes, the clients' messages, channels and replay."""
        tokens: list[int] = []
        for m, (world, name) in enumerate(zip(self.homes, self.names, strict=True)):
            state = replayed(world, name)
            tokens += state.tokens
            outcomes = sum(state.outcomes.values())
            assert state.asked == outcomes, f"each ask has one outcome: {state}"
            for c in range(len(self.clients)):
                assert state.heard.get(str(c), 0) == self.said[(c, m)], "acknowledged is applied"
            assert not world.machine(name).asks, "no ask stays open"
            gap_free(world, name)
        self._tokens_are_conserved(tokens)
        for world in self.net.worlds:
            assert not world.core.host.outbox, "outboxes drain"
            counts = world.core.host.counts
            assert not {name: counts[name] for name in FOUL if counts[name]}
        for client in self.clients:
            assert not any(sender.waiting for sender in client.senders.values()), "all is settled"
        assert not self.net.frozen and not self.net.unlinked

    def _tokens_are_conserved(self, tokens: list[int]) -> None:
        """No token is doubled; one is missing only where its fate stayed unknown to its giver."""
        assert len(tokens) == len(set(tokens)), "no token is doubled"
        unknown = sum(
            replayed(world, name).outcomes.get("unknown", 0)
            for world, name in zip(self.homes, self.names, strict=True)
        )
        assert TOKENS - unknown <= len(tokens) <= TOKENS, "none is lost"


def sealed(wire: bytes) -> Sealed:
    """A capability as it is outside of hosts."""
    parsed = parse_wire_untrusted(wire)
    assert isinstance(parsed, SealedCapability)
    return Sealed(parsed.address, wire)
