"""What will happen in a world, by its time; what falls on one instant comes in a drawn order. Pure."""

from heapq import heappop, heappush
from typing import Any

from avm.sim.chance import Chance


class Agenda:
    """Times in microseconds and what happens then, the earliest first."""

    __slots__ = ("_chance", "_count", "_heap")

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._heap: list[tuple[int, int, int, Any]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, at_us: int, what: Any) -> None:
        """Has something happen at a time."""
        self._count += 1
        heappush(self._heap, (at_us, self._chance.draw(), self._count, what))

    def next_us(self) -> int | None:
        """When something happens next."""
        return self._heap[0][0] if self._heap else None

    def take(self) -> tuple[int, Any]:
        """Takes out what happens next, and when."""
        at_us, _, _, what = heappop(self._heap)
        return at_us, what

    def waiting(self, kind: type) -> bool:
        """Whether something of a kind is to happen."""
        return any(type(row[3]) is kind for row in self._heap)
