"""How fast a world goes on one core, and how much it takes: `python -m bench.world [HOSTS MACHINES]`.

First a few hosts whose machines ask each other as fast as they can, with faults and without; then many hosts
with their network and machines, saved and forked in mid-run. Seconds are of the process, not of the wall.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

from avm import Me, Message, Refused, Send, Step
from avm.sim.drawing import draw
from avm.sim.world import World
from avm.testing.code import Defined
from bench.child import result_of
from bench.figures import Figure, Section
from bench.scale import FULL, Scale
from caps.value import Capability

SEED = 11
ROUNDS, SENDS, A_ROUND_S = 5, 100, 0.5
BATCHES = (1, 4)
A_SECOND_MIN = 2_000.0
MEGABYTES_MAX = 2_000.0
PEAK = "peak of memory of all that"


class Relay:
    """A machine that hands what it is told on to the next one, so many times, and then says it is done."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[tuple[object, int]]:
        return message.answer({"take": me("take"), "next": me("next")}), ((), 0)

    @staticmethod
    def step(message: Message, state: tuple[object, int]) -> Step[tuple[object, int]]:
        match message.context, message.content:
            case "next", next_:
                return [], ((next_,), state[1])
            case "take", int(left):
                sends = [Send(state[0][0], left - 1)] if left else []  # type: ignore[index]
                return sends, (state[0], state[1] + 1)
        raise Refused


def taken(world: World) -> int:
    return sum(host.core.host.messages for host in world.hosts)


def ring(world: World) -> list[Capability]:
    """A machine at each host, each handing on to that of the next host; what to send to."""
    code = Defined(Relay)
    made = [host.create("relay", code) for host in world.hosts]
    takes = [world.outside(h, m.names["take"]) for h, m in zip(world.hosts, made, strict=True)]
    for number, (host, one) in enumerate(zip(world.hosts, made, strict=True)):
        client = world.client(host)
        client.send(world.outside(host, one.names["next"]), takes[number - 1])
    world.run(2)
    return takes


def speed(batch: int, faults: bool) -> float:
    """Messages a second of five hosts: each comes from a client and is handed on twice."""
    world = World(SEED)
    names = [f"h{number}" for number in range(5)]
    for name in names:
        world.add_host(name)
    takes = ring(world)
    if faults:
        for fault in draw(SEED, names, ROUNDS * A_ROUND_S, every_s=A_ROUND_S).faults:
            world.inject(fault)
    before, began_s = taken(world), process_time()
    for number in range(ROUNDS):
        for turn in range(SENDS):
            host = world.hosts[(number + turn) % len(names)]
            client = next(iter(host.clients.values()))
            client.send(takes[turn % len(names)], *[2] * batch)
        world.run(A_ROUND_S)
    assert world.quiet(120)
    took_s, count = process_time() - began_s, 3 * ROUNDS * SENDS * batch
    assert faults or taken(world) - before == count, "each is taken, and handed on twice"
    return count / took_s


def size(hosts: int, machines: int) -> dict[str, float]:
    """What hosts with their network and machines take in one world, which is saved and forked."""
    world = World(SEED)
    found: dict[str, float] = {}

    def timed(what: str, act: Callable[[], None]) -> None:
        began_s = process_time()
        act()
        found[what] = process_time() - began_s

    def join() -> None:
        for number in range(hosts):
            world.add_host(f"h{number}")
            world.run(0.05)
        world.run(10)

    def create() -> None:
        code = Defined(Relay)
        for host in world.hosts:
            for number in range(machines):
                host.create(f"m{number}", code)
        world.run(20)

    def save() -> None:
        found["its size when saved | MB"] = len(world.save()) / 1e6

    def fork() -> None:
        other = world.fork()
        for each in (world, other):
            each.run(2)
        assert other.digest == world.digest

    timed(f"{hosts} hosts join a network", join)
    timed(f"{hosts * machines:,} machines are created and announced", create)
    timed("it is saved", save)
    timed("it is forked, and both run for two seconds", fork)
    found[f"{PEAK} | MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def measure(_directory: Path, scale: Scale) -> Section:
    """Messages a second by turns, the best of each; the large world in a process of its own."""
    kinds = [(batch, faults) for batch in BATCHES for faults in (False, True)]
    best = dict.fromkeys(kinds, 0.0)
    for _ in range(scale.worlds):
        best |= {kind: max(best[kind], speed(*kind)) for kind in kinds}
    figures = [
        Figure(
            f"five hosts, batches of {batch}, {'with' if faults else 'without'} faults",
            rate,
            "messages/s",
            least=A_SECOND_MIN if batch == 1 else None,
        )
        for (batch, faults), rate in best.items()
    ]
    hosts, machines = scale.world
    for what, value in result_of("bench.world", str(hosts), str(machines)).items():
        what, _, unit = what.partition(" | ")
        most = MEGABYTES_MAX if what == PEAK else None
        figures.append(Figure(what, value, unit or "s", most=most))
    text = (
        "Whole hosts in virtual time on one core, in processor time: a message comes from a client and is "
        f"handed on twice, the best of {scale.worlds}. Then many hosts and machines in one world. A campaign "
        "checks much more meanwhile, and is slower."
    )
    return Section("Simulated hosts", text, figures)


def main() -> None:
    """Prints how much a world takes, as one JSON line."""
    hosts, machines = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else FULL.world
    print(json.dumps(size(hosts, machines)))


if __name__ == "__main__":
    main()
