"""`python -m bench.dht_sim [--quick] [--seed N] [--hours N] [--hosts N] [PART ..]`: the network's promises, each by a seeded run.

Every part prints its figures with its seed; a figure that misses its target is told at the end and the
exit code is 1. Signatures are checked once and remembered for all nodes of a world.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import log2
from time import perf_counter

from bench.dht_announce import announce
from bench.dht_churn import churn, partition
from bench.dht_world import Place, World
from bench.figures import Figure
from dht.node import Node


@dataclass(frozen=True)
class Scale:
    """How much a run does; `lookups` of them for each share, `trials` for each ground key.

    `hosts` come and go, and one host has `machines`.
    """

    nodes: int
    lookups: int
    trials: int
    hours: int
    hosts: int
    machines: int


FULL = Scale(nodes=10_000, lookups=5_000, trials=500, hours=24, hosts=1_000, machines=10_000)
QUICK = Scale(nodes=1_000, lookups=200, trials=10, hours=2, hosts=100, machines=300)
READERS = 5
LATENCY_NODES = 1_000
GROUND = 100


@dataclass
class Tally:
    """What a series of publications and lookups came to."""

    found: int = 0
    lookups: int = 0
    get: int = 0
    get_most: int = 0
    put: int = 0
    put_most: int = 0
    puts: int = 0
    hops: int = 0
    escalated: int = 0
    firsts: list[int] | None = None

    def share(self) -> float:
        return 100 * self.found / self.lookups

    def read(self, world: World, reader: Place, key: bytes) -> None:
        begun_ms = world.now_ms
        ended = world.locate(reader, key)
        self.lookups += 1
        self.get += ended.requests
        self.get_most = max(self.get_most, ended.requests)
        self.escalated += ended.escalated
        if not ended.records:
            return
        self.found += 1
        self.hops += ended.hops or 0
        answered = [step.answered_ms for step in ended.trace if step.records]
        if self.firsts is not None and answered:
            self.firsts.append(min(ms for ms in answered if ms is not None) - begun_ms)

    def write(self, world: World, owner: Place) -> bytes:
        published = world.publish_home(owner)
        self.puts += 1
        self.put += published.requests
        self.put_most = max(self.put_most, published.requests)
        return world.home(owner).address


def network(nodes: int, seed: int, colluders: float = 0.0) -> tuple[World, list[Place]]:
    """A settled network and its honest nodes."""
    world = World(seed)
    for number in range(nodes):
        world.add(colludes=number < nodes * colluders)
    world.settle()
    return world, [place for place in world.places if isinstance(place.node, Node)]


def series(world: World, honest: list[Place], lookups: int, tally: Tally) -> Tally:
    """Publish from one node and look up from others, `lookups` times in all."""
    while tally.lookups < lookups:
        owner = world.random.choice(honest)
        key = tally.write(world, owner)
        for _ in range(READERS):
            reader = world.random.choice(honest)
            if reader is not owner and tally.lookups < lookups:
                tally.read(world, reader, key)
    return tally


def colluding(scale: Scale, seed: int, share: float) -> Iterator[Figure]:
    """A share of the nodes name only each other and keep nothing."""
    world, honest = network(scale.nodes, seed, share)
    tally = series(world, honest, scale.lookups, Tally())
    name = f"{share:.0%} of {scale.nodes:,} nodes collude"
    yield Figure(f"{name}: found of {tally.lookups:,}", tally.share(), "%", least=99.9)
    yield Figure(f"{name}: requests a get", tally.get / tally.lookups, "")
    yield Figure(f"{name}: requests a put", tally.put / tally.puts, "")
    yield Figure(f"{name}: most requests", float(max(tally.get_most, tally.put_most)), "", most=301)


def honest(scale: Scale, seed: int) -> Iterator[Figure]:
    """Nobody lies: what a lookup costs."""
    world, nodes = network(scale.nodes, seed)
    tally = series(world, nodes, scale.lookups, Tally())
    name = f"{scale.nodes:,} honest nodes"
    most_hops = log2(scale.nodes) / 5
    yield Figure(f"{name}: found of {tally.lookups:,}", tally.share(), "%")
    yield Figure(f"{name}: hops", tally.hops / tally.found, "", most=most_hops)
    yield Figure(f"{name}: requests a get", tally.get / tally.lookups, "", most=8)
    yield Figure(f"{name}: requests a put", tally.put / tally.puts, "", most=95)
    yield Figure(f"{name}: most requests", float(max(tally.get_most, tally.put_most)), "", most=301)


def ground(scale: Scale, seed: int) -> Iterator[Figure]:
    """A hundred ids are ground next to one key, in a new network each time."""
    tally = Tally()
    for trial in range(scale.trials):
        world = World(seed + trial)
        owner, reader = world.add(), world.add()
        for _ in range(LATENCY_NODES - 2):
            world.add()
        point = int.from_bytes(world.home(owner).address, "big")
        for _ in range(GROUND):
            near = point ^ world.random.getrandbits(200)
            world.add(colludes=True, ground_id=near.to_bytes(32, "big"))
        world.settle()
        tally.read(world, reader, tally.write(world, owner))
    name = f"{GROUND} ids ground next to a key of {LATENCY_NODES:,} nodes"
    yield Figure(f"{name}: found of {tally.lookups:,}", tally.share(), "%", least=99)
    yield Figure(f"{name}: requests a get", tally.get / tally.lookups, "")
    yield Figure(f"{name}: requests a put", tally.put / tally.puts, "")
    yield Figure(f"{name}: most requests", float(max(tally.get_most, tally.put_most)), "", most=301)


def latency(scale: Scale, seed: int) -> Iterator[Figure]:
    """A fifth of the nodes have died, two in a hundred datagrams are lost."""
    world, nodes = network(LATENCY_NODES, seed)
    for place in world.random.sample(nodes, LATENCY_NODES // 5):
        place.alive = False
    world.faults.loss = 0.02
    alive = [place for place in nodes if place.alive]
    firsts: list[int] = []
    tally = series(world, alive, scale.lookups, Tally(firsts=firsts))
    firsts.sort()
    name = f"{LATENCY_NODES:,} nodes, a fifth dead, 2 % loss"
    yield Figure(f"{name}: found of {tally.lookups:,}", tally.share(), "%")
    yield Figure(f"{name}: first record, p50", float(firsts[len(firsts) // 2]), "ms", most=131)
    yield Figure(
        f"{name}: first record, p99", float(firsts[len(firsts) * 99 // 100]), "ms", most=401
    )


PARTS: dict[str, Callable[[Scale, int], Iterator[Figure]]] = {
    "honest": honest,
    "colluders-20": lambda scale, seed: colluding(scale, seed, 0.2),
    "colluders-40": lambda scale, seed: colluding(scale, seed, 0.4),
    "ground": ground,
    "latency": latency,
    "churn": lambda scale, seed: churn(scale.hours, seed, scale.hosts),
    "announce": lambda scale, seed: announce(seed, scale.machines, scale.nodes // 10),
    "partition": lambda scale, seed: partition(seed, scale.hosts),
}


def main() -> int:
    """Run the parts asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m bench.dht_sim", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller run of each part")
    parser.add_argument("--seed", type=int, default=1, help="the seed of every part")
    parser.add_argument("--hours", type=int, help="how long hosts come and go (24)")
    parser.add_argument("--hosts", type=int, help="how many hosts come and go or are cut (1000)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    scale = QUICK if options.quick else FULL
    hours, hosts = options.hours or scale.hours, options.hosts or scale.hosts
    scale = replace(scale, hours=hours, hosts=hosts)
    missed = []
    for name in options.parts or PARTS:
        begun = perf_counter()
        figures = list(PARTS[name](scale, options.seed))
        print(f"{name}, seed {options.seed}, {perf_counter() - begun:.0f} s", flush=True)
        for figure in figures:
            print(
                f"  {figure.what}: {figure.value:,.2f} {figure.unit} {figure.verdict}", flush=True
            )
            missed += [figure] if figure.verdict == "**missed**" else []
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
