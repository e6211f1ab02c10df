"""Which spans of the journals are run again: a share of those between snapshots, and newcomers. Pure.

Beside the journey, after step 6. A span that is chosen and committed is taken once more by another
process under other hash seeds; nothing waits for it. What follows from a difference is in `doubt`.
"""

import hashlib
from collections import deque

from caps.light import dataclass, field

FIRST_TURNS = 100
GROWTH_BUSY, GROWTH_IDLE = 4, 2
WAITING_MAX = 64
LOOKS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """Entries of a machine's journal after `start`, a snapshot or -1 for all, and below `stop`.

    They are in the store once the commit `group` is; an open span ends where the store does.
    """

    machine: int
    start: int
    stop: int
    group: int = 0


@dataclass(slots=True)
class Spans:
    """What is to be run again.

    `young` are the machines without a snapshot, each with the turns it had at the last look.
    """

    share: int = 0
    chosen: deque[Span] = field(default_factory=deque)
    young: dict[int, int] = field(default_factory=dict)
    passed_over: int = 0

    def begin(self, machine: int, snapshot_at: int) -> None:
        """A machine was created or brought into a worker."""
        if self.share and snapshot_at < 0:
            self.young.setdefault(machine, 0)

    def keep(self, machine: int, address: bytes, before: int, n: int, group: int) -> None:
        """A machine's snapshot `n` goes into a commit, the one before it having been `before`.

        The span between them is chosen when its lot says so, and when it is the first of a machine
        that was not looked at yet.
        """
        looked = self.young.pop(machine, FIRST_TURNS)
        if not self.share or (looked >= FIRST_TURNS and not lot(address, n, self.share)):
            return
        if len(self.chosen) >= WAITING_MAX:
            self.passed_over += 1
            return
        self.chosen.append(Span(machine, before, n + 1, group))

    def is_due(self, machine: int, turns: int, idle: bool) -> bool:
        """Whether a machine without a snapshot has grown so much that it is to be looked at."""
        looked = self.young[machine]
        if idle:
            return turns >= max(GROWTH_IDLE * looked, 2)
        return turns >= max(GROWTH_BUSY * looked, FIRST_TURNS)


def lot(address: bytes, n: int, share: int) -> bool:
    """Whether the span that ends with this snapshot is one of `share`."""
    digest = hashlib.blake2b(address, digest_size=8, key=n.to_bytes(8, "big"), person=b"avm rerun")
    return int.from_bytes(digest.digest(), "big") % share == 0


__all__ = ["Span", "Spans", "lot"]
