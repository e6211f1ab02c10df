"""Backups: the store and the host's keys in one file, and a host that starts from it.

A backup put as `store.db` into an empty directory is a host again: its keys move out of it into
the key file when the host first runs there.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from avm.errors import AvmError
from avm.run.directory import Directory
from avm.store.errors import BackupExists
from avm.store.interface import Key, Transaction
from avm.store.sqlite import SqliteStore

KEYS: Key = ("meta", "keys")


def back_up(store: SqliteStore, directory: Directory, path: Path) -> int:
    """Makes one file of mode 0600 with the store and the keys in it; returns its bytes.

    The file appears whole. Raises `BackupExists` and what a store raises.
    """
    if path.exists():
        raise BackupExists(f"{path} exists: name another file")
    if not path.parent.is_dir():
        raise BackupExists(f"{path.parent} is no directory: make it, or name another file")
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)
    try:
        store.backup(part)
        copy = SqliteStore.create_or_open(part)
        try:
            copy.commit([Transaction({KEYS: directory.key_file.read_bytes()})])
        finally:
            copy.close()
        os.rename(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def take_keys(directory: Directory) -> None:
    """Moves the keys of a backup out of the store, where the directory has none of its own."""
    if directory.key_file.exists() or not directory.store.exists():
        return
    store = SqliteStore.create_or_open(directory.store)
    try:
        body = store.get(KEYS)
        if body is not None:
            directory.write_keys(body)
            store.erase(KEYS)
    finally:
        store.close()


class Backups:
    """Makes backups of a running host, beside its work."""

    def __init__(
        self, store: SqliteStore, directory: Directory, beside: Callable[..., None]
    ) -> None:
        """`beside` runs a task."""
        self._store = store
        self._directory = directory
        self._beside = beside

    def make(self, path: str, outcome: Callable[[Any, str], None]) -> None:
        """Begins one; `outcome` hears of its size, or of what went wrong."""
        self._beside(self._make, path, outcome)

    async def _make(self, path: str, outcome: Callable[[Any, str], None]) -> None:
        to = Path(path)
        try:
            size = await trio.to_thread.run_sync(back_up, self._store, self._directory, to)
        except (AvmError, OSError, ValueError) as error:
            outcome(None, str(error))
            return
        outcome({"bytes": size}, "")
