"""Many transactions as one: what is left to write when they are applied one after the other.

Step 6 of the journey. A row put a thousand times in a group is written once.
"""

from __future__ import annotations

from collections.abc import Sequence

from avm.store.interface import ALL, Columns, Key, Transaction
from avm.store.schema import entry_crc, row_crc, row_of, snapshot_crc
from caps.light import dataclass

Row = tuple[int | str | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows to write, by table, each ending in its checksum; `cuts` come before what is written."""

    cuts: list[tuple[int, int]]
    gone: list[tuple[int]]
    deletes: dict[str, list[Columns]]
    puts: dict[str, list[Row]]
    journal: list[tuple[int, bytes, str | None, int]]
    snapshots: list[tuple[int, bytes, int]]


def merge(transactions: Sequence[Transaction]) -> Group:
    """The writes that have the effect of all `transactions` in their order."""
    rows: dict[Key, bytes | None] = {}
    journal: list[tuple[int, bytes, str | None, int]] = []
    snapshots: dict[int, bytes] = {}
    cuts: list[tuple[int, int]] = []
    gone: list[tuple[int]] = []
    for transaction in transactions:
        rows.update(transaction.puts)
        for machine, n, entry, printed in transaction.journal:
            row = row_of(machine, n)
            journal.append((row, entry, printed, entry_crc(row, entry, printed)))
        for machine, n, body in transaction.snapshots:
            snapshots[row_of(machine, n)] = body
        for machine, keep_from in transaction.cuts:
            # What the group itself wrote below the cut is not in the store yet: leave it out.
            first, kept = row_of(machine, 0), (machine << 40) + keep_from
            journal = [entry for entry in journal if not first <= entry[0] < kept]
            snapshots = {row: b for row, b in snapshots.items() if not first <= row < kept}
            cuts.append((first, kept))
            if keep_from == ALL:
                gone.append((machine,))
                rows = {
                    key: value
                    for key, value in rows.items()
                    if key[0] != "failed" or key[1:][:1] != (machine,)
                }
    bodies = [(row, body, snapshot_crc(row, body)) for row, body in snapshots.items()]
    return Group(cuts, gone, *_by_table(rows), journal, bodies)


def _by_table(
    rows: dict[Key, bytes | None],
) -> tuple[dict[str, list[Columns]], dict[str, list[Row]]]:
    deletes: dict[str, list[Columns]] = {}
    puts: dict[str, list[Row]] = {}
    for key, value in rows.items():
        table, columns = key[0], key[1:]
        if value is None:
            deletes.setdefault(table, []).append(columns)
        else:
            puts.setdefault(table, []).append((*columns, value, row_crc(table, columns, value)))
    return deletes, puts
