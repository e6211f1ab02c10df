"""What can go wrong with a store, by whose fault it is; the text of each is what the user reads."""

from __future__ import annotations

from avm.errors import AvmError


class StoreError(AvmError):
    """The store could not do what was asked."""


class DiskFull(StoreError):
    """The disk is full: nothing was written and nothing lost; free some room and it goes on."""


class StoreBroken(StoreError):
    """The disk failed under the store.

    Whether the last commit holds is unknown until the store is opened again; it is never retried.
    """


class StoreForbidden(StoreError):
    """The store or its directory may not be read and written by this user."""


class StoreDamaged(StoreError):
    """The store is damaged, and where: restore a backup, or remove what is named.

    Attributes: `table` and `key` (its columns) where they are known; in the tables `journal` and
    `snapshot` the key is (machine local id, n).
    """

    def __init__(
        self, text: str, table: str | None = None, key: tuple[int | str | bytes, ...] = ()
    ) -> None:
        super().__init__(text)
        self.table = table
        self.key = key


class StoreNewer(StoreError):
    """The store was written by a newer avm-host: install that version."""


class StoreOlder(StoreError):
    """The store is of an older avm-host: run the host once and it is brought up to date."""


class NoStore(StoreError):
    """There is no store there: `avm-host run` creates one."""


class BackupExists(StoreError):
    """The file to back up into exists: name another one."""
