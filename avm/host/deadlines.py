"""What happens when: a heap of times, from which things can be taken out again. Pure."""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Keys with a time in milliseconds each; memory stays within twice what is live."""

    __slots__ = ("_count", "_heap", "_times")

    def __init__(self) -> None:
        self._times: dict[K, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._times)

    def parts(self) -> tuple[Any, ...]:
        """What counts of it, whatever was looked at meanwhile: each key with its time and place."""
        return (self._count, tuple((key, *found) for key, found in self._times.items()))

    @classmethod
    def from_parts(cls, count: int, rows: tuple[tuple[K, int, int], ...]) -> "Deadlines[K]":
        """The deadlines of these parts."""
        made = cls()
        made._count = count
        made._times = {key: (at_ms, place) for key, at_ms, place in rows}
        made._heap = [(at_ms, place, key) for key, at_ms, place in rows]
        heapify(made._heap)
        return made

    def put(self, key: K, at_ms: int) -> None:
        """Sets the time of a key, instead of one that it had."""
        self._count += 1
        self._times[key] = (at_ms, self._count)
        heappush(self._heap, (at_ms, self._count, key))
        if len(self._heap) > 64 + 2 * len(self._times):
            self._heap = [(at, count, one) for one, (at, count) in self._times.items()]
            heapify(self._heap)

    def time_of(self, key: K) -> int | None:
        """The time of a key; None when it has none."""
        found = self._times.get(key)
        return None if found is None else found[0]

    def drop(self, key: K) -> None:
        """Takes a key out; nothing happens when it is not there."""
        self._times.pop(key, None)

    def next_ms(self) -> int | None:
        """The earliest time."""
        while self._heap:
            at_ms, count, key = self._heap[0]
            if self._times.get(key) == (at_ms, count):
                return at_ms
            heappop(self._heap)
        return None

    def due(self, now_ms: int) -> Iterator[K]:
        """Takes out what is due, the earliest first."""
        while True:
            at_ms = self.next_ms()
            if at_ms is None or at_ms > now_ms:
                return
            key = heappop(self._heap)[2]
            del self._times[key]
            yield key
