"""Backups: the store and the host's keys in one file, and a host that starts from it.

A backup put as `store.db` into an empty directory is a host again: its keys move out of it into
the key file when the host first runs there.
"""

from pathlib import Path

from avm.run.directory import Directory
from avm.run.keyfile import address_in
from avm.store.errors import BackupExists
from avm.store.file import named, remove_store
from avm.store.interface import Key, Transaction
from avm.store.sqlite import SqliteStore

KEYS: Key = ("meta", "keys")


def back_up(store: SqliteStore, directory: Directory, path: Path, keys: bytes = b"") -> int:
    """Makes one file of mode 0600 with the store and the keys in it; returns its bytes.

    `keys` are the keys under a passphrase, instead of as they are in the key file.

    The file appears whole. Raises `BackupExists` and what a store raises.
    """
    if path.exists():
        raise BackupExists(f"{path} exists: name another file")
    if not path.parent.is_dir():
        raise BackupExists(f"{path.parent} is no directory: make it, or name another file")
    part = path.with_name(f"{path.name}.new")
    files = directory.files
    with named(path):
        remove_store(part, files)
    try:
        store.backup(part)
        copy = SqliteStore.create_or_open(part, files)
        try:
            copy.commit([Transaction({KEYS: keys or directory.key_file.read_bytes()})])
        finally:
            copy.close()
        with named(path):
            files.replace(part, path)
            files.sync_directory(path.parent)
    finally:
        with named(path):
            remove_store(part, files)
    return path.stat().st_size


def take_keys(directory: Directory) -> bool:
    """Moves the keys of a backup out of the store, where the directory has none of its own.

    True when there were some.
    """
    if directory.key_file.exists() or not directory.store.exists():
        return False
    store = SqliteStore.create_or_open(directory.store, directory.files)
    try:
        body = store.get(KEYS)
        if body is not None:
            directory.write_keys(body)
            store.erase(KEYS)
        return body is not None
    finally:
        store.close()


def drop_keys(directory: Directory, store: SqliteStore) -> None:
    """Erases the keys of a backup from the store, where a process died between the two."""
    body = store.get(KEYS)
    if body is None:
        return
    # Locked or unlocked meanwhile, they are the same keys; another host's might have no other copy.
    if address_in(body, directory.store) == directory.host_address():
        store.erase(KEYS)
