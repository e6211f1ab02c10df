"""Which batch a machine takes next: in order within a sender, fair between senders. Pure.

Step 3 of the journey. Each sender has a clock that runs on by the cost of its batches, slower for
those of higher priority; the sender whose clock is least goes first (stride scheduling,
Waldspurger and Weihl 1995). A waiting sender's clock stands still while the others' run on, so
that it ages into its turn: at equal priority and size it waits for at most one batch of each other.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

BATCH_COST = 8


class Queued(Protocol):
    """What can wait in a queue; its priority is in thousandths, from -1000 to 1000."""

    sender: bytes

    @property
    def messages(self) -> tuple[object, ...]:
        """Its messages; their number is its cost."""
        ...

    priority: int


Q = TypeVar("Q", bound=Queued)


class Queue(Generic[Q]):
    """The batches that wait for one machine."""

    __slots__ = ("_clock", "_clocks", "_count", "_heads", "_senders", "size")

    def __init__(self) -> None:
        self._senders: dict[bytes, deque[Q]] = {}
        self._clocks: dict[bytes, float] = {}
        self._heads: list[tuple[float, int, bytes]] = []
        self._clock = 0.0
        self._count = 0
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return bool(self._senders)

    def __iter__(self) -> Iterator[Q]:
        for waiting in self._senders.values():
            yield from waiting

    def push(self, batch: Q) -> None:
        """Puts a batch behind those of its sender."""
        self.size += 1
        waiting = self._senders.get(batch.sender)
        if waiting is not None:
            waiting.append(batch)
            return
        self._senders[batch.sender] = deque((batch,))
        clock = max(self._clocks.get(batch.sender, 0.0), self._clock)
        self._offer(batch, clock)

    def push_front(self, batch: Q) -> None:
        """Puts back a batch that was taken, before all others of its sender."""
        self.size += 1
        waiting = self._senders.get(batch.sender)
        if waiting is not None:
            waiting.appendleft(batch)
            return
        self._senders[batch.sender] = deque((batch,))
        self._offer(batch, self._clock)

    def _offer(self, head: Q, clock: float) -> None:
        cost: float = BATCH_COST + len(head.messages)
        if head.priority:
            cost *= 4 ** (-head.priority / 1000)
        self._count += 1
        self._clocks[head.sender] = clock + cost
        heappush(self._heads, (clock + cost, self._count, head.sender))

    def peek(self) -> Q | None:
        """The batch that `pop` would take."""
        while self._heads:
            _clock, _count, sender = self._heads[0]
            waiting = self._senders.get(sender)
            if waiting:
                return waiting[0]
            heappop(self._heads)
        return None

    def pop(self) -> Q:
        """Takes the next batch; the queue must not be empty."""
        waiting = None
        while not waiting:  # the head of a sender of whom nothing waits any more is passed over
            clock, _count, sender = heappop(self._heads)
            waiting = self._senders.get(sender)
        self.size -= 1
        batch = waiting.popleft()
        self._clock = max(self._clock, clock - BATCH_COST)
        if waiting:
            self._offer(waiting[0], clock)
        else:
            del self._senders[sender]
            self._forget_old_clocks()
        return batch

    def first_of(self, sender: bytes) -> Q | None:
        """The batch of a sender that would be its next."""
        waiting = self._senders.get(sender)
        return waiting[0] if waiting else None

    def discard(self, batch: Q) -> bool:
        """Takes a batch out of the middle; whether it was there."""
        waiting = self._senders.get(batch.sender)
        if waiting is None or not any(one is batch for one in waiting):
            return False
        self.size -= 1
        if waiting[0] is batch:
            waiting.popleft()
        else:
            waiting = self._senders[batch.sender] = deque(
                one for one in waiting if one is not batch
            )
        if not waiting:
            del self._senders[batch.sender]
            self._heads = [head for head in self._heads if head[2] != batch.sender]
            heapify(self._heads)
            self._forget_old_clocks()
        return True

    def _forget_old_clocks(self) -> None:
        if len(self._clocks) > 64 + 4 * len(self._senders):
            self._clocks = {
                sender: clock
                for sender, clock in self._clocks.items()
                if sender in self._senders or clock > self._clock
            }
        if not self._senders:
            self._heads.clear()
