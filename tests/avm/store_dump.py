"""Everything in a store as one value, and seeded work to do on one."""

from __future__ import annotations

import random

from avm.store.interface import ALL, Key, Store, Transaction
from avm.store.schema import TABLES

MACHINES = range(4)
Dump = dict[str, object]


def dump(store: Store) -> Dump:
    """Every row, entry and snapshot of the machines in `MACHINES`."""
    whole: Dump = {table: list(store.rows(table)) for table in TABLES}
    for machine in MACHINES:
        whole[f"journal {machine}"] = list(store.entries(machine))
        whole[f"last {machine}"] = store.last_entry(machine)
        snapshots = []
        newest = store.snapshot(machine)
        while newest is not None:
            snapshots.append(newest)
            newest = store.snapshot(machine, newest[0] - 1) if newest[0] else None
        whole[f"snapshots {machine}"] = snapshots
    return whole


def work(seed: int, commits: int, size: int = 3) -> list[list[Transaction]]:
    """Groups of transactions of every kind, each group for one commit."""
    rng = random.Random(seed)
    heads = dict.fromkeys(MACHINES, 0)
    return [[_turn(rng, heads) for _ in range(rng.randint(1, size))] for _ in range(commits)]


def _turn(rng: random.Random, heads: dict[int, int]) -> Transaction:
    machine = rng.choice(MACHINES)
    n = heads[machine]
    heads[machine] = n + 1
    here, there = bytes([machine]) * 32, bytes([rng.randrange(4)]) * 32
    puts: dict[Key, bytes | None] = {
        ("machine", machine): rng.randbytes(40),
        ("channel", here, there): rng.randbytes(30),
        ("outbox", here, there, n): rng.randbytes(rng.choice((50, 500, 9000))),
        ("slot", machine, rng.randrange(50)): rng.randbytes(10),
        ("meta", f"clé {rng.randrange(3)}"): rng.randbytes(3),
    }
    if n > 3:
        puts["outbox", here, there, n - 3] = None
    said = rng.choice((None, "printed", "\n" * 300))
    journal = [(machine, n, rng.randbytes(rng.choice((20, 200, 3000))), said)]
    if n % 7 == 6:
        cut = rng.choice((n - 3, n, ALL))
        return Transaction(puts, journal, [(machine, n, rng.randbytes(20_000))], [(machine, cut)])
    return Transaction(puts, journal)
