"""One simulated host whose directory lies on a `Disk`, as a process finds it when it starts."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from avm.host.keys import SECRET_BYTES
from avm.limits import Limits
from avm.run.backup import KEYS, drop_keys, take_keys
from avm.run.directory import Directory
from avm.sim.disk import Disk
from avm.sim.entropy import Entropy
from avm.sim.host import SimHost
from avm.store.interface import Column, Columns, Key, Store, Transaction
from avm.store.memory import MemoryStore
from avm.store.schema import TABLES
from avm.store.sqlite import SqliteStore
from caps.identity import SEED_BYTES
from tests.crashes.outside import Still

MACHINES_MAX = 16
HOST = "host"


def content(store: Store) -> bytes:
    """A hash of all that a store holds but the keys of a backup."""
    whole = hashlib.blake2b(digest_size=16)
    for table in TABLES:
        for key, value in store.rows(table):
            if (table, *key) != KEYS:
                whole.update(repr((table, key, value)).encode())
    for machine in range(MACHINES_MAX):
        for n, entry, printed in store.entries(machine):
            whole.update(repr((machine, n, entry, printed)).encode())
        newest = store.snapshot(machine)
        while newest is not None:
            whole.update(repr((machine, newest)).encode())
            newest = store.snapshot(machine, newest[0] - 1) if newest[0] else None
    return whole.digest()


class Witness:
    """A store whose commits are counted, and what it must hold after each of them.

    `models` are one after each commit, or only the last when it `keeps` none.
    """

    def __init__(
        self, store: SqliteStore, model: MemoryStore, begins: Callable[[], None], keeps: bool
    ) -> None:
        self.store = store
        self.begins = begins
        self.keeps = keeps
        self.models = [model]
        self.contents = [content(model)]
        self.returned = 0

    def commit(self, transactions: Sequence[Transaction]) -> None:
        self.begins()
        if not self.keeps:
            self.models[-1].commit(transactions)
        elif len(self.models) == self.returned + 1:
            model = self.models[-1].copy()
            model.commit(transactions)
            self.models.append(model)
            self.contents.append(content(model))
        self.store.commit(transactions)
        self.returned += 1

    def reading(self) -> AbstractContextManager[None]:
        return self.store.reading()

    def rows(self, table: str) -> Iterator[tuple[Columns, bytes]]:
        return self.store.rows(table)

    def rows_of(self, table: str, first: Column) -> Iterator[tuple[Columns, bytes]]:
        return self.store.rows_of(table, first)

    def get(self, key: Key) -> bytes | None:
        return self.store.get(key)

    def entries(
        self, machine: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, bytes, str | None]]:
        return self.store.entries(machine, start, stop)

    def last_entry(self, machine: int) -> tuple[int, bytes] | None:
        return self.store.last_entry(machine)

    def snapshot(self, machine: int, at_most: int | None = None) -> tuple[int, bytes] | None:
        return self.store.snapshot(machine, at_most)

    def verify(self) -> Iterator[str]:
        return self.store.verify()

    def size(self) -> int:
        return self.store.size()

    def close(self) -> None:
        self.store.close()


@dataclass(slots=True)
class Opened:
    """A host's directory that was opened as its process does when it starts."""

    directory: Directory
    store: SqliteStore
    keys: bytes


def boot(disk: Disk, log_pages_max: int, name: str = HOST) -> Opened:
    """Opens a host's directory, in the order of `avm.run.opening.run`."""
    directory = Directory(disk.root / name, disk)
    directory.create()
    take_keys(directory)
    directory.keyring(Entropy(1).bytes)
    store = SqliteStore.create_or_open(directory.store, disk, log_pages_max=log_pages_max)
    drop_keys(directory, store)
    return Opened(directory, store, directory.key_file.read_bytes())


class DiskHost(SimHost):
    """A host over the real store, with clients that may know it from before.

    While it is `watched` it notes the world outside at each commit, and what its store must hold.
    """

    def __init__(
        self,
        disk: Disk,
        outside: Still,
        limits: Limits,
        log_pages_max: int,
        model: MemoryStore | None = None,
        watched: bool = True,
    ) -> None:
        """`model` is what its store must hold to begin with; it goes on with the store."""
        self.disk = disk
        self.outside = outside.copy()
        self.log_pages_max = log_pages_max
        self.model = model or MemoryStore()
        self.watched = watched
        self.seen = outside
        super().__init__(self.outside.seed, limits=limits)
        self.eager = False

    def start(self) -> None:
        opened = boot(self.disk, self.log_pages_max)
        self.directory: Directory = opened.directory
        self.witness = Witness(opened.store, self.model, self.look, self.watched)
        self.store = self.witness  # type: ignore[assignment]
        seed, secret = opened.keys[:SEED_BYTES], opened.keys[SEED_BYTES:][:SECRET_BYTES]
        self.keyring_seeds = (seed, secret)
        self.entropy, self.handles = self.outside.entropy, self.outside.handles
        self.clients, self.codes = self.outside.clients, self.outside.codes
        self.now_ms = self.outside.now_ms
        super().start()
        for client in self.clients.values():
            if client.core is None:
                client.connect(self.core)

    def look(self) -> None:
        """Notes what stands outside, before something is written."""
        self.outside.now_ms = self.now_ms
        if self.watched:
            self.seen = self.outside.still()

    def unwatch(self) -> None:
        """What was noted until now is left alone."""
        self.watched = self.witness.keeps = False
        self.witness.models = [self.witness.models[-1].copy()]

    def stop(self) -> None:
        """The process ends as it should: the log goes into the database."""
        self.look()
        self.witness.close()

    def start_again(self) -> None:
        """And another one starts."""
        self.model = self.witness.models[-1]
        before = self.witness
        self.look()
        self.start()
        after = self.witness
        after.models = [*before.models[:-1], *after.models]
        after.contents = [*before.contents[:-1], *after.contents]
        after.returned = before.returned

    def lies(self) -> Path:
        """Where its disk lies."""
        return self.disk.root
