"""`python -m bench.world [HOSTS MACHINES]`: how fast a world goes on one core, and how much it takes.

First a few hosts whose machines ask each other as fast as they can, under faults; then many hosts with
their network and machines, saved and forked in mid-run. Seconds are of the process, not of the wall.
"""

import resource
import sys
import time
from collections.abc import Callable

from avm import Me, Message, Refused, Send, Step
from avm.sim.drawing import draw
from avm.sim.world import World
from avm.testing.code import Defined
from caps.value import Capability

SEED = 11
ROUNDS, SENDS = 20, 100
HOSTS, MACHINES = 100, 10


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


def measured(what: str, act: Callable[[], object]) -> float:
    began_s = time.process_time()
    act()
    took_s = time.process_time() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {took_s:.1f} s, peak {peak_mb:.0f} MB", flush=True)
    return took_s


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


def speed(batch: int, faults: bool) -> None:
    """Messages a second of five hosts: each comes from a client and is handed on twice."""
    world = World(SEED)
    names = [f"h{number}" for number in range(5)]
    for name in names:
        world.add_host(name)
    takes = ring(world)
    if faults:
        for fault in draw(SEED, names, ROUNDS * 0.5, every_s=1.0).faults:
            world.inject(fault)

    def play() -> None:
        for number in range(ROUNDS):
            for turn in range(SENDS):
                host = world.hosts[(number + turn) % len(names)]
                client = next(iter(host.clients.values()))
                client.send(takes[turn % len(names)], *[2] * batch)
            world.run(0.5)
        assert world.quiet(120)

    before = taken(world)
    said = ROUNDS * SENDS * batch
    took_s = measured(f"{said} messages in batches of {batch}, faults: {faults}", play)
    if not faults:
        assert taken(world) - before == 3 * said, "each is taken, and handed on twice"
    print(f"  {3 * said / took_s:.0f} messages taken a second")


def size(hosts: int, machines: int) -> None:
    """Hosts with their network and machines in one world, saved and forked."""
    world = World(SEED)

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

    def fork() -> None:
        other = world.fork()
        for each in (world, other):
            each.run(2)
        assert other.digest == world.digest

    measured(f"{hosts} hosts and their network", join)
    measured(f"{hosts * machines} machines, announced", create)
    measured("saved", lambda: print(f"  {len(world.save()) / 1e6:.1f} MB"))
    measured("forked, and both run for 2 s", fork)
    print(f"  {world.counts['datagram sent']} datagrams")


def main() -> None:
    """Prints the figures."""
    for batch in (1, 4):
        speed(batch, False)
        speed(batch, True)
    size(*(int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (HOSTS, MACHINES))


if __name__ == "__main__":
    main()
