"""What a store is to the rest of the host: whole transactions in, rows and journals out.

Step 6 of the journey. Everything is synchronous: one thread calls `commit`, another one reads, and
what is read is always what was committed. Tables and their key columns are in `schema`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Protocol

from caps.light import dataclass, field

Column = int | str | bytes
Columns = tuple[Column, ...]
Key = tuple[str, *tuple[Column, ...]]
"""A table's name, then its key columns: `("channel", sender, receiver)`."""

ALL = 1 << 40
"""In a cut: drop the whole journal. No entry has this number."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one folded turn changes; its parts hold in the order of the fields.

    `puts`: value by key, None deletes, and deleting an absent row is fine.
    `journal`: (machine local id, n, entry, what was printed); an entry is written once.
    `snapshots`: (machine local id, n, body); the later of two with one number holds.
    `cuts`: (machine local id, keep_from): entries and snapshots below keep_from are dropped;
    at ALL its failed batches too, those of the transaction among them.
    """

    puts: Mapping[Key, bytes | None] = field(default_factory=lambda: MappingProxyType({}))
    journal: Sequence[tuple[int, int, bytes, str | None]] = ()
    snapshots: Sequence[tuple[int, int, bytes]] = ()
    cuts: Sequence[tuple[int, int]] = ()


class Store(Protocol):
    """A store that keeps what it was given through a crash of the process and of the machine."""

    def commit(self, transactions: Sequence[Transaction]) -> None:
        """Make all of them durable, as if one after the other, or none of them.

        Raises DiskFull: nothing happened and it may be tried again. Raises StoreBroken or
        StoreDamaged: fatal, never tried again.
        """

    def reading(self) -> AbstractContextManager[None]:
        """Within the block every read sees one and the same commit."""

    def rows(self, table: str) -> Iterator[tuple[Columns, bytes]]:
        """Key columns and value of each row, in the order of the key."""

    def rows_of(self, table: str, first: Column) -> Iterator[tuple[Columns, bytes]]:
        """Those rows whose first key column is `first`, in the order of the key."""

    def get(self, key: Key) -> bytes | None:
        """The value of one row, None when there is none."""

    def entries(
        self, machine: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, bytes, str | None]]:
        """Number, entry and what was printed, from `start` up to, not including, `stop`."""

    def last_entry(self, machine: int) -> tuple[int, bytes] | None:
        """The newest entry of a machine's journal and its number."""

    def snapshot(self, machine: int, at_most: int | None = None) -> tuple[int, bytes] | None:
        """The newest snapshot, not above `at_most`, and its number."""

    def verify(self) -> Iterator[str]:
        """One sentence for each damage found; none when the store is whole."""

    def size(self) -> int:
        """Bytes it takes."""

    def close(self) -> None:
        """Let go of it; what was committed stays."""
