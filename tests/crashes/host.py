"""One simulated host whose directory lies on a `Disk`, as a process finds it when it starts."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avm.host.keys import SECRET_BYTES
from avm.limits import Limits
from avm.run.backup import KEYS, drop_keys, take_keys
from avm.run.directory import Directory
from avm.sim.client import Client, Handles
from avm.sim.code import Codes
from avm.sim.disk import Disk
from avm.sim.entropy import Entropy
from avm.sim.host import START_MS, SimHost
from avm.store.interface import Column, Columns, Key, Store, Transaction
from avm.store.memory import MemoryStore
from avm.store.schema import TABLES
from avm.store.sqlite import SqliteStore
from caps.identity import SEED_BYTES

MACHINES_MAX = 16
HOST = "host"


@dataclass(slots=True)
class Outside:
    """What a crash of the host leaves alone: its clients, its operator's plan, the clock."""

    seed: int = 1
    at: int = 0
    now_ms: int = START_MS
    entropy: Entropy = field(default_factory=lambda: Entropy(0))
    handles: Handles = field(default_factory=Handles)
    clients: dict[bytes, Client] = field(default_factory=dict)
    codes: Codes = field(default_factory=Codes)
    ledger: dict[Any, Any] = field(default_factory=dict)
    backups: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> "Outside":
        """Another world to go on from here; the host is not in it."""
        cores = [(client, client.core) for client in self.clients.values()]
        for client, _core in cores:
            client.core = None
        codes, self.codes = self.codes, Codes()
        try:
            other = copy.deepcopy(self)
        finally:
            self.codes = codes
            for client, core in cores:
                client.core = core
        other.codes = Codes(codes)
        return other


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
    """A store whose commits are counted, and what it must hold after each of them."""

    def __init__(self, store: SqliteStore, model: MemoryStore, begins: Callable[[], None]) -> None:
        self.store = store
        self.begins = begins
        self.models = [model]
        self.contents = [content(model)]
        self.returned = 0

    def commit(self, transactions: Sequence[Transaction]) -> None:
        self.begins()
        if len(self.models) == self.returned + 1:
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
    """Opens a host's directory, in the order of `avm.run.starting.run`."""
    directory = Directory(disk.root / name, disk)
    directory.create()
    take_keys(directory)
    directory.keyring(Entropy(1).bytes)
    store = SqliteStore.create_or_open(directory.store, disk, log_pages_max=log_pages_max)
    drop_keys(directory, store)
    return Opened(directory, store, directory.key_file.read_bytes())


class DiskHost(SimHost):
    """A host over the real store, with clients that may know it from before."""

    def __init__(
        self,
        disk: Disk,
        outside: Outside,
        limits: Limits,
        log_pages_max: int,
        model: MemoryStore | None = None,
    ) -> None:
        """`model` is what its store must hold to begin with."""
        self.disk = disk
        self.outside = outside
        self.log_pages_max = log_pages_max
        self.model = model or MemoryStore()
        self.seen: Outside = outside.copy()
        super().__init__(outside.seed, limits=limits)
        self.eager = False

    def start(self) -> None:
        opened = boot(self.disk, self.log_pages_max)
        self.directory: Directory = opened.directory
        self.witness = Witness(opened.store, self.model, self.look)
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
        self.seen = self.outside.copy()

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
