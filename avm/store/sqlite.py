"""The store on a disk: SQLite in WAL mode, every commit synchronised before it returns.

Step 6 of the journey. One connection writes and is used by one thread, another one reads and is
used by another; other processes may read meanwhile. Three rules:

- Nothing is tried again after a failed synchronisation: the connection is closed without a
  checkpoint and the process has to end.
- Opening copies the whole log into the database and synchronises that, so that pages which an
  earlier process believed written are written now.
- Checkpoints are called here and not by SQLite, which would swallow their errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import lt
from pathlib import Path
from typing import Any

import apsw

from avm.store.errors import DiskFull, StoreDamaged, StoreError
from avm.store.file import abandon, copy_file, named, open_to_read, open_to_write
from avm.store.files import ON_DISK, Files
from avm.store.group import Group, merge
from avm.store.interface import ALL, Column, Columns, Key, Transaction
from avm.store.schema import (
    SCHEMA,
    TABLES,
    TYPES,
    Schema,
    entry_agrees,
    number_of,
    place,
    row_agrees,
    row_of,
    rows_agree,
    snapshot_agrees,
)

LOG_PAGES_MAX = 1024
"""The log is copied into the database each time it has grown by so many pages."""
ROWS_A_READ = 256

Found = tuple[Any, ...]


class SqliteStore:
    """One SQLite file and, while it is open, its log and index beside it."""

    __slots__ = (
        "_broken",
        "_checkpoint_at",
        "_files",
        "_log_pages",
        "_log_pages_max",
        "_put",
        "_read",
        "_write",
        "path",
    )

    def __init__(
        self,
        path: Path,
        read: apsw.Connection,
        write: apsw.Connection | None,
        log_pages_max: int = LOG_PAGES_MAX,
        files: Files = ON_DISK,
    ) -> None:
        self.path = path
        self._files = files
        self._read = read
        self._write = write
        self._broken: StoreError | None = None
        self._log_pages = 0
        self._log_pages_max = self._checkpoint_at = log_pages_max
        self._put = {table: _put_sql(table) for table in TABLES}
        if write is not None:
            write.set_wal_hook(self._note_log)

    @classmethod
    def create_or_open(
        cls,
        path: str | Path,
        files: Files = ON_DISK,
        schema: Schema = SCHEMA,
        log_pages_max: int = LOG_PAGES_MAX,
    ) -> SqliteStore:
        """The store at `path`, created with mode 0600 if there is none, brought up to date if older.

        Raises StoreNewer, StoreDamaged, StoreForbidden, StoreBroken, DiskFull.
        """
        path = Path(path)
        write = open_to_write(path, files, schema)
        try:
            read = open_to_read(path, files, schema, checked=True)
            return cls(path, read, write, log_pages_max, files)
        except StoreError:
            abandon(write)
            raise

    @classmethod
    def open_readonly(
        cls, path: str | Path, files: Files = ON_DISK, schema: Schema = SCHEMA
    ) -> SqliteStore:
        """The store at `path` to read from, whether or not a host runs on it.

        Raises NoStore, StoreNewer, StoreOlder, StoreDamaged, StoreForbidden, StoreBroken.
        """
        return cls(Path(path), open_to_read(Path(path), files, schema), None, files=files)

    # Writing

    def commit(self, transactions: Sequence[Transaction]) -> None:
        """Make all of them durable, as if one after the other, or none of them."""
        self._check()
        write = self._write
        assert write is not None, "a store opened to read is written to"
        group = merge(transactions)
        try:
            with named(self.path):
                self._commit(write.cursor(), group)
        except DiskFull:
            self._roll_back(write)
            # With the log copied, the next commit writes over it and needs less room.
            self._checkpoint(write)
            raise
        except StoreError as error:
            self._break(write, error)
            raise
        except BaseException:
            self._roll_back(write)
            raise
        if self._log_pages >= self._checkpoint_at:
            self._checkpoint(write)

    def _commit(self, cursor: apsw.Cursor, group: Group) -> None:
        cursor.execute("BEGIN IMMEDIATE")
        if group.cuts:
            cursor.executemany("DELETE FROM journal WHERE id >= ? AND id < ?", group.cuts)
            cursor.executemany("DELETE FROM snapshot WHERE id >= ? AND id < ?", group.cuts)
            cursor.executemany("DELETE FROM failed WHERE machine = ?", group.gone)
        for table, keys in group.deletes.items():
            cursor.executemany(f'DELETE FROM "{table}" WHERE {_is_key(table)}', keys)
        for table, rows in group.puts.items():
            cursor.executemany(self._put[table], rows)
        if group.journal:
            try:
                cursor.executemany("INSERT INTO journal VALUES (?, ?, ?, ?)", group.journal)
            except apsw.ConstraintError as error:
                raise AssertionError("a journal entry is written twice") from error
        if group.snapshots:
            cursor.executemany("REPLACE INTO snapshot VALUES (?, ?, ?)", group.snapshots)
        cursor.execute("COMMIT")

    def _roll_back(self, write: apsw.Connection) -> None:
        # SQLite may have rolled back by itself already.
        try:
            with named(self.path):
                if write.in_transaction:
                    write.execute("ROLLBACK")
        except StoreError as error:
            self._break(write, error)
            raise

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._log_pages:
            self._checkpoint_at = self._log_pages_max
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, write: apsw.Connection) -> None:
        # What is copied here is durable in the log; a full disk or a reader leaves it for later.
        self._checkpoint_at = self._log_pages + self._log_pages_max
        try:
            with suppress(DiskFull), named(self.path), suppress(apsw.BusyError):
                write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except StoreError as error:
            self._break(write, error)
            raise

    def _break(self, write: apsw.Connection, error: StoreError) -> None:
        self._broken = error
        abandon(write)

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    # Reading

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block every read sees one and the same commit."""
        self._all(None, "BEGIN", ())
        try:
            yield
        finally:
            with suppress(apsw.Error):
                self._read.execute("ROLLBACK")

    def rows(self, table: str) -> Iterator[tuple[Columns, bytes]]:
        """Key columns and value of each row, in the order of the key."""
        return self._rows(table, ())

    def rows_of(self, table: str, first: Column) -> Iterator[tuple[Columns, bytes]]:
        """Those rows whose first key column is `first`, in the order of the key."""
        return self._rows(table, (first,))

    def _rows(self, table: str, fixed: Columns) -> Iterator[tuple[Columns, bytes]]:
        # A host that starts reads all of them: what is done for each row is done in as few calls as can be.
        for keys, values, crcs in self._pieces(table, fixed):
            if not rows_agree(table, keys, values, crcs):
                rows = zip(keys, values, crcs, strict=True)
                raise next(
                    self._damaged(table, row[0]) for row in rows if not row_agrees(table, *row)
                )
            yield from zip(keys, values, strict=True)

    def _pieces(
        self, table: str, fixed: Columns
    ) -> Iterator[tuple[list[Columns], list[Any], list[Any]]]:
        """Keys, values and checksums: read by the piece, so that no read stays open and holds the log back."""
        columns = [f'"{name}"' for name in TABLES[table]]
        fix = "".join(f" AND {name} = ?" for name in columns[: len(fixed)])
        after = f" AND ({', '.join(columns)}) > ({', '.join('?' * len(columns))})"
        order = f" ORDER BY {', '.join(columns)} LIMIT {ROWS_A_READ}"
        select = f'SELECT * FROM "{table}" WHERE true{fix}'
        found = self._all(table, select + order, fixed)
        last: Columns | None = None
        while found:
            keys = [row[:-2] for row in found]
            last = self._rising(table, last, keys)
            yield keys, [row[-2] for row in found], [row[-1] for row in found]
            if len(found) < ROWS_A_READ:
                return
            found = self._all(table, select + after + order, (*fixed, *last))

    def get(self, key: Key) -> bytes | None:
        """The value of one row, None when there is none."""
        table, columns = key[0], key[1:]
        select = f'SELECT value, crc FROM "{table}" WHERE {_is_key(table)}'
        for value, crc in self._all(table, select, columns):
            if not row_agrees(table, columns, value, crc):
                raise self._damaged(table, columns)
            assert isinstance(value, bytes)
            return value
        return None

    def entries(
        self, machine: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, bytes, str | None]]:
        """Number, entry and what was printed, from `start` up to, not including, `stop`."""
        row = row_of(machine, start)
        end = row_of(machine, 0) + (ALL if stop is None else min(stop, ALL))
        while found := self._journal("id >= ? AND id < ? ORDER BY id", (row, end), ROWS_A_READ):
            for row, entry, printed in found:
                yield number_of(row), entry, printed
            if len(found) < ROWS_A_READ:
                return
            row += 1

    def last_entry(self, machine: int) -> tuple[int, bytes] | None:
        """The newest entry of a machine's journal and its number."""
        first = row_of(machine, 0)
        where = "id >= ? AND id < ? ORDER BY id DESC"
        for row, entry, _ in self._journal(where, (first, first + ALL), 1):
            return number_of(row), entry
        return None

    def _journal(
        self, where: str, bindings: tuple[int, int], limit: int
    ) -> list[tuple[int, bytes, str | None]]:
        sql = f"SELECT id, entry, printed, crc FROM journal WHERE {where} LIMIT {limit}"
        found = self._all("journal", sql, bindings)
        self._rising("journal", (bindings[0] - 1,), [row[:1] for row in found])
        for row, entry, printed, crc in found:
            if not entry_agrees(row, entry, printed, crc):
                raise self._damaged("journal", (row >> 40, number_of(row)))
        return [(row, entry, printed) for row, entry, printed, _ in found]

    def snapshot(self, machine: int, at_most: int | None = None) -> tuple[int, bytes] | None:
        """The newest snapshot, not above `at_most`, and its number."""
        first = row_of(machine, 0)
        last = first + (ALL - 1 if at_most is None else min(at_most, ALL - 1))
        sql = "SELECT id, body, crc FROM snapshot WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
        for row, body, crc in self._all("snapshot", sql, (first, last)):
            if not snapshot_agrees(row, body, crc):
                raise self._damaged("snapshot", (machine, number_of(row)))
            return number_of(row), body
        return None

    def _all(self, table: str | None, sql: str, bindings: Columns) -> list[Found]:
        self._check()
        with named(self.path, table):
            return self._read.execute(sql, bindings).fetchall()

    def _rising(self, table: str, last: Columns | None, keys: list[Columns]) -> Columns:
        """The last of `keys`; in a damaged tree they may go back and be read for ever."""
        columns = zip(zip(*keys, strict=True), TYPES.get(table, (int,)), strict=False)
        typed = all(set(map(type, column)) == {kind} for column, kind in columns)
        line = keys if last is None else [last, *keys]
        if not typed or not all(map(lt, line, line[1:])):
            raise StoreDamaged(
                f"{self.path} is damaged in table {table}: rows are out of order; restore a backup",
                table,
            )
        return line[-1]

    def _damaged(self, table: str, key: Columns) -> StoreDamaged:
        where = place(table, key)
        return StoreDamaged(
            f"{self.path} is damaged in {where}: its checksum does not agree; restore a backup",
            table,
            key,
        )

    # The whole

    def verify(self) -> Iterator[str]:
        """One sentence for each damage found; none when the store is whole."""
        parts = (self._verify_structure(), *map(self._verify_table, TABLES))
        for part in (*parts, self._verify_journal(), self._verify_snapshots()):
            try:
                yield from part
            except StoreDamaged as damage:
                yield str(damage)

    def _verify_structure(self) -> Iterator[str]:
        for (said,) in self._all(None, "PRAGMA integrity_check", ()):
            if said != "ok":
                yield f"{self.path}: {said}"

    def _verify_table(self, table: str) -> Iterator[str]:
        for piece in self._pieces(table, ()):
            for key, value, crc in zip(*piece, strict=True):
                if not row_agrees(table, key, value, crc):
                    yield str(self._damaged(table, key))

    def _verify_journal(self) -> Iterator[str]:
        for row, *columns in self._by_id("journal", "id, entry, printed, crc", ROWS_A_READ):
            if not entry_agrees(row, *columns):
                yield str(self._damaged("journal", (row >> 40, number_of(row))))

    def _verify_snapshots(self) -> Iterator[str]:
        for row, *columns in self._by_id("snapshot", "id, body, crc", 1):
            if not snapshot_agrees(row, *columns):
                yield str(self._damaged("snapshot", (row >> 40, number_of(row))))

    def _by_id(self, table: str, columns: str, limit: int) -> Iterator[Found]:
        sql = f"SELECT {columns} FROM {table} WHERE id > ? ORDER BY id LIMIT {limit}"
        last: Columns = (-1,)
        while found := self._all(table, sql, last):
            last = self._rising(table, last, [row[:1] for row in found])
            yield from found

    def erase(self, key: Key) -> None:
        """Delete a row so that none of its bytes stay in the file; call it before any other work."""
        assert self._write is not None, "the store is open to be read only"
        with named(self.path):
            self._write.execute("PRAGMA secure_delete = ON")
        self.commit([Transaction({key: None})])
        with named(self.path):
            self._write.execute("PRAGMA secure_delete = OFF")

    def backup(self, path: str | Path) -> None:
        """Write a consistent copy to a new file of mode 0600, from any thread, while others write.

        Raises BackupExists, DiskFull, StoreDamaged, StoreBroken.
        """
        self._check()
        copy_file(self.path, Path(path), self._files)

    def size(self) -> int:
        """Bytes on the disk, the log with them."""
        files = (self.path, Path(f"{self.path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Let go of the file; what was committed stays."""
        with named(self.path):
            self._read.close()
            if self._write is not None:
                self._write.close()


def _is_key(table: str) -> str:
    return " AND ".join(f'"{name}" = ?' for name in TABLES[table])


def _put_sql(table: str) -> str:
    return f'REPLACE INTO "{table}" VALUES ({", ".join("?" * (len(TABLES[table]) + 2))})'
