"""A small world for tests: a pouch of apples at each host, a client beside it, and what they do."""

from avm.machine.live import Code
from avm.sim.client import Client
from avm.sim.events import Event
from avm.sim.plan import Plan
from avm.sim.world import World
from caps.value import Capability
from tests.sim import apple
from tests.sim.code import ModuleCode

TOKENS = 4


def code_of(_bundle: bytes) -> Code:
    return ModuleCode(apple)


class Grove:
    """Hosts h0, h1, .. with a pouch and a client each, who ask any pouch to hand on a token."""

    def __init__(self, seed: int, hosts: int = 3, plan: Plan = Plan(), dht: bool = True) -> None:  # noqa: B008
        self.world = world = World(seed, plan, dht=dht)
        self.said: dict[tuple[int, int], int] = {}
        self.played = 0
        homes = [world.add_host(f"h{number}") for number in range(hosts)]
        world.run(1)
        made = [
            host.create("pouch", ModuleCode(apple), tuple(range(n * TOKENS, (n + 1) * TOKENS)))
            for n, host in enumerate(homes)
        ]
        outside = [
            {name: world.outside(host, cap) for name, cap in one.names.items()}
            for host, one in zip(homes, made, strict=True)
        ]
        self.go: list[Capability] = [one["go"] for one in outside]
        for n, host in enumerate(homes):
            others = tuple(one["take"] for one in outside[:n] + outside[n + 1 :])
            world.client(host).send(outside[n]["meet"], others)
        world.run_until(lambda: all(one.verdicts for one in self.clients), 30)

    @property
    def clients(self) -> list[Client]:
        return [next(iter(host.clients.values())) for host in self.world.hosts]

    def play(self, moves: int, apart_s: float = 0.1) -> "Grove":
        """Moves: a client asks a pouch, here or elsewhere, and time passes."""
        for _ in range(moves):
            k, self.played = self.played, self.played + 1
            clients = self.clients
            c, m = k % len(clients), k * 7 // 3 % len(clients)
            self.said[c, m] = self.said.get((c, m), 0) + 1
            clients[c].send(self.go[m], (str(c), self.said[c, m], k * 13, k))
            self.world.run(apart_s)
        return self

    def on(self, world: World) -> "Grove":
        """The same play, going on in another world that is as this one is."""
        other = Grove.__new__(Grove)
        other.world, other.said, other.played, other.go = (
            *(world, dict(self.said), self.played),
            self.go,
        )
        return other


class Diary:
    """Writes down what happens, of the kinds that are asked for."""

    def __init__(self, *kinds: type) -> None:
        self.kinds = kinds
        self.events: list[tuple[int, Event]] = []

    def happened(self, world: World, event: Event) -> None:
        if isinstance(event, self.kinds):
            self.events.append((world.scene.now_us // 1000, event))
