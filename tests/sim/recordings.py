"""Recordings of simulated hosts, for the tests of what can be done with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from avm import Event, Me, Message, Refused, Step, record
from avm.limits import Limits
from avm.recording.log import Item, Segment, Told
from avm.sim.host import SimHost
from tests.sim.orchard import Orchard
from tests.sim.taped import Taped
from tests.sim.test_lives import TINY, USUAL, Lives

SEGMENT_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """A simulated host and its recording."""

    world: SimHost
    segments: tuple[bytes, ...]

    def items(self, first: int = 0) -> list[Item]:
        """All that is in it, from a segment on."""
        found = [Segment(body).items_untrusted() for body in self.segments[first:]]
        return [item for some in found for item in some]

    @property
    def last(self) -> int:
        """The number of its last input."""
        return max(one.n for one in self.items() if isinstance(one, Told))

    def inputs(self, name: str) -> list[Told]:
        """Its inputs of a name."""
        return [one for one in self.items() if isinstance(one, Told) and one.name == name]


@cache
def of_lives(seed: int) -> Recorded:
    """A host alone in which all goes wrong that can, over several starts."""
    lives = Lives(seed, USUAL if seed % 2 else TINY)
    taped = Taped(lives.world, SEGMENT_BYTES)
    lives.run(60)
    lives.heal()
    return Recorded(lives.world, tuple(taped.end()))


@cache
def of_orchard(seed: int) -> tuple[Recorded, ...]:
    """Three hosts with links that break, each recorded."""
    orchard = Orchard(seed)
    taped = [Taped(world, SEGMENT_BYTES) for world in orchard.net.worlds]
    orchard.run(30, 0.01, 0.02)
    return tuple(Recorded(one.world, tuple(one.end())) for one in taped)


@record
class Count:
    """How much was added."""

    me: Me
    total: int = 0


def init(message: Message, me: Me) -> Step[Count]:
    return message.answer({"add": me("add")}), Count(me)


class Counting:
    """A counter; each addition counts `by`."""

    def __init__(self, by: int = 1) -> None:
        self.by = by
        self.init: Callable[[Message, Any], Any] = init
        self.step: Callable[[Message, Any], Any] = self._step
        self.signal: Callable[[Event, Any], Any] | None = None
        self.migrate: Callable[[Any], Any] | None = None
        self.records: dict[str, type] = {"Count": Count}

    def printed(self) -> str:
        return ""

    def _step(self, message: Message, state: Count) -> Step[Count]:
        match message.context, message.content:
            case "add", int(n):
                total = state.total + self.by * n
                return message.answer(total), replace(state, total=total)
        raise Refused("what?")


@cache
def of_counter(limits: Limits | None = None, loaded: bool = False) -> Recorded:
    """A counter to which 1 to 5 are added, one after the other; with `loaded` after a crash."""
    world = SimHost(1, limits=limits)
    add = None
    if loaded:
        client = world.client()
        add = client.hold(world.create("counter", Counting()).names["add"])
        client.ask(add, 10)
        world.settle()
        world.crash()
    taped = Taped(world)
    client = world.client()
    if add is None:
        add = client.hold(world.create("counter", Counting()).names["add"])
    for n in range(1, 6):
        client.ask(add, n)
        world.settle()
        world.advance(1)
    return Recorded(world, tuple(taped.end()))
