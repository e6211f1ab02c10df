"""A store in memory, the equal of the others, with faults by the transaction and copies of itself.

Step 6 of the journey, for the simulator and for tests. `copy` is what a crash leaves behind: the
committed state, exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from avm.store.errors import DiskFull, StoreBroken
from avm.store.interface import ALL, Column, Columns, Key, Transaction
from avm.store.schema import TABLES, row_of

Fault = DiskFull | StoreBroken
_T = TypeVar("_T")


class MemoryStore:
    """Tables, journals and snapshots as dicts."""

    __slots__ = ("_broken", "_faults", "_journal", "_snapshots", "_tables", "commits")

    def __init__(self) -> None:
        self._tables: dict[str, dict[Columns, bytes]] = {table: {} for table in TABLES}
        self._journal: dict[int, dict[int, tuple[bytes, str | None]]] = {}
        self._snapshots: dict[int, dict[int, bytes]] = {}
        self._faults: list[tuple[int, Fault]] = []
        self._broken: StoreBroken | None = None
        self.commits = 0

    def fail_next(self, fault: Fault, after: int = 0) -> None:
        """Let the commit after `after` more successful ones raise `fault` and do nothing else."""
        self._faults.append((self.commits + after, fault))
        self._faults.sort(key=lambda due: due[0])

    def copy(self) -> MemoryStore:
        """Another store with what was committed to this one."""
        other = MemoryStore()
        other._tables = {table: dict(rows) for table, rows in self._tables.items()}
        other._journal = {machine: dict(own) for machine, own in self._journal.items()}
        other._snapshots = {machine: dict(own) for machine, own in self._snapshots.items()}
        return other

    def commit(self, transactions: Sequence[Transaction]) -> None:
        self._check()
        if self._faults and self._faults[0][0] <= self.commits:
            _, fault = self._faults.pop(0)
            self._broken = fault if isinstance(fault, StoreBroken) else None
            raise fault
        for transaction in transactions:
            self._apply(transaction)
        self.commits += 1

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _apply(self, transaction: Transaction) -> None:
        for key, value in transaction.puts.items():
            if value is None:
                self._tables[key[0]].pop(key[1:], None)
            else:
                self._tables[key[0]][key[1:]] = value
        for machine, n, entry, printed in transaction.journal:
            row_of(machine, n)
            own = self._journal.setdefault(machine, {})
            assert n not in own, f"entry {n} of machine {machine} is written twice"
            own[n] = (entry, printed)
        for machine, n, body in transaction.snapshots:
            row_of(machine, n)
            self._snapshots.setdefault(machine, {})[n] = body
        for machine, keep_from in transaction.cuts:
            _drop_below(self._journal.get(machine, {}), keep_from)
            _drop_below(self._snapshots.get(machine, {}), keep_from)
            if keep_from == ALL:
                failed = self._tables["failed"]
                for place in [place for place in failed if place[0] == machine]:
                    del failed[place]

    def reading(self) -> AbstractContextManager[None]:
        """Within the block every read sees one and the same commit, when no other thread commits."""
        return nullcontext()

    def rows(self, table: str) -> Iterator[tuple[Columns, bytes]]:
        self._check()
        rows = self._tables[table]
        yield from sorted(rows.items(), key=lambda row: row[0])

    def rows_of(self, table: str, first: Column) -> Iterator[tuple[Columns, bytes]]:
        return (row for row in self.rows(table) if row[0][0] == first)

    def get(self, key: Key) -> bytes | None:
        self._check()
        return self._tables[key[0]].get(key[1:])

    def entries(
        self, machine: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, bytes, str | None]]:
        self._check()
        own = self._journal.get(machine, {})
        numbers = sorted(own)
        last = len(numbers) if stop is None else bisect_left(numbers, stop)
        for n in numbers[bisect_left(numbers, start) : last]:
            yield n, *own[n]

    def last_entry(self, machine: int) -> tuple[int, bytes] | None:
        self._check()
        own = self._journal.get(machine)
        if not own:
            return None
        n = max(own)
        return n, own[n][0]

    def snapshot(self, machine: int, at_most: int | None = None) -> tuple[int, bytes] | None:
        self._check()
        own = self._snapshots.get(machine, {})
        numbers = [n for n in own if at_most is None or n <= at_most]
        return (max(numbers), own[max(numbers)]) if numbers else None

    def verify(self) -> Iterator[str]:
        """Nothing: memory does not rot."""
        return iter(())

    def size(self) -> int:
        rows = sum(len(v) for table in self._tables.values() for v in table.values())
        journal = sum(len(e) for own in self._journal.values() for e, _ in own.values())
        return (
            rows + journal + sum(len(b) for own in self._snapshots.values() for b in own.values())
        )

    def close(self) -> None:
        """Nothing to let go of."""


def _drop_below(own: dict[int, _T], keep_from: int) -> None:
    assert 0 <= keep_from <= ALL, keep_from
    for n in [n for n in own if n < keep_from]:
        del own[n]
