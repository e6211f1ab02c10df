"""Worlds that live on for days after they were quiet, with some hours of trouble now and then.

Between those nothing happens, which takes no time (beside routers ways are kept open all along, so there
nobody lives on): certificates and what was proven by them end, nodes
publish anew, clocks have come to differ by hours, and what is said after that is taken all the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from avm.sim.chance import Chance
from avm.sim.drawing import JUMPS_MS, draw
from avm.sim.plan import ClockJump, Fault
from avm.sim.world import World

# One seed in so many lives on, for so many spells of trouble with a while of one of these before each.
ONE_IN = 20
SPELLS = 6
HOUR_S = 3_600.0
WHILES_H = (1, 9, 40, 150, 400)
# Nodes of a network publish and ask each hour, which is not for nothing.
NETWORK_WHILES_H = (1, 5, 13)
SPELL_S = 3.0
A_FAULT_S = 0.75
SAID_MAX = 6


def lives_on(seed: int) -> bool:
    """Whether the world of a seed lives on once it was quiet."""
    return Chance(seed ^ 0x11FE).below(ONE_IN) == 0


def live_on(
    world: World,
    seed: int,
    names: Sequence[str],
    say: Callable[[int], int],
    rest: Callable[[], None],
) -> None:
    """Lets days pass: a while, then messages beside faults, then rest; again and again."""
    chance = Chance(seed ^ 0xDA15)
    for number in range(SPELLS):
        world.run(HOUR_S * chance.choice(NETWORK_WHILES_H if world.scene.dht else WHILES_H))
        faults: list[Fault] = list(
            draw(seed ^ (number + 1) << 40, names, SPELL_S, every_s=A_FAULT_S).faults
        )
        if chance.hits(0.3):
            faults.append(ClockJump(0, chance.choice(names), chance.choice(JUMPS_MS)))
        begun_ms = world.scene.now_us // 1000
        for fault in faults:
            world.inject(replace(fault, at_ms=fault.at_ms + begun_ms))
        left = 1 + chance.below(SAID_MAX)
        while left > 0:
            left -= say(left)
            world.run(SPELL_S / SAID_MAX)
        rest()
        world.counts["world has lived on"] += 1
