"""The SQLite file under a store: opening it, its version, copies of it, and its errors by name.

Step 6 of the journey. A file is created with mode 0600; SQLite gives its log and index the same.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shlex import quote

import apsw

from avm.store.errors import (
    BackupExists,
    DiskFull,
    NoStore,
    StoreBroken,
    StoreDamaged,
    StoreError,
    StoreForbidden,
    StoreNewer,
    StoreOlder,
)
from avm.store.files import Files, make_empty
from avm.store.log import damage_in_log_untrusted
from avm.store.rights import DENIED, refusal, why_forbidden
from avm.store.schema import APPLICATION_ID, TABLES, Schema

PAGE_BYTES = 8192
CACHE_KIB = 16_384
LOG_BYTES_KEPT = 64 << 20
BUSY_MS = 5_000
BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite may keep beside a file, by the end of its name."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def open_to_write(path: Path, files: Files, schema: Schema) -> apsw.Connection:
    """The one connection that writes, to a file that is created or brought up to date if need be."""
    with named(path):
        make_empty(files, path)
        write = _connect(path, apsw.SQLITE_OPEN_READWRITE, files)
        try:
            # SQLite takes what it gets, and would fail at the first commit.
            if write.readonly("main"):
                raise StoreForbidden(why_forbidden(path) or f"{path} cannot be written")
            _prepare(path, write, schema)
            _check_structure(path, write)
        except BaseException:
            abandon(write)
            raise
        return write


def open_to_read(
    path: Path, files: Files, schema: Schema, checked: bool = False
) -> apsw.Connection:
    """A connection that cannot write, to a file that is there and of this version.

    `checked`: whoever opened it to write has just looked at its structure.
    """
    with named(path):
        if not path.is_file():
            raise NoStore(_no_store(path))
        read = _connect(path, apsw.SQLITE_OPEN_READONLY, files)
        try:
            # It could not if it tried: the lock for it needs a file opened to write.
            read.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            found = _version(path, read, schema)
            if found == 0:
                raise NoStore(f"{path} is empty: `{_run(path)}` fills it")
            if found < schema.version:
                raise StoreOlder(
                    f"{path.name} was written by an older avm-host (schema {found}, this one "
                    f"knows {schema.version}): run the host once and it is brought up to date"
                )
            if not checked:
                _check_structure(path, read)
        except BaseException:
            abandon(read)
            raise
        return read


def _no_store(path: Path) -> str:
    if path.parent.exists() and not path.parent.is_dir():
        return f"{path.parent} is no directory: name a host's directory with --dir"
    return f"there is no {path.name} in {path.parent}: `{_run(path)}` creates one"


def _run(path: Path) -> str:
    return f"avm-host --dir {quote(str(path.parent))} run"


def abandon(connection: apsw.Connection) -> None:
    """Close without a checkpoint: after a failed synchronisation the log is not to be trusted."""
    with suppress(apsw.Error):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    with suppress(apsw.Error):
        connection.close(True)


def copy_file(source: Path, target: Path, files: Files) -> None:
    """A consistent copy, one file with mode 0600, while others write; `target` appears whole.

    Raises BackupExists, DiskFull, StoreDamaged, StoreBroken.
    """
    if target.exists():
        raise BackupExists(f"{target} exists: name another file")
    part = target.with_name(target.name + ".part")
    with named(source):
        remove_store(part, files)
        try:
            make_empty(files, part)
            with (
                closing(_connect(source, apsw.SQLITE_OPEN_READONLY, files)) as here,
                closing(_connect(part, apsw.SQLITE_OPEN_READWRITE, files)) as there,
                there.backup("main", here, "main") as backup,
            ):
                backup.step(-1)
            files.replace(part, target)
            files.sync_directory(target.parent)
        finally:
            remove_store(part, files)


def remove_store(path: Path, files: Files) -> None:
    """Removes a file of SQLite's and what it keeps beside it, whichever of them are there.

    What is beside it goes first: it must not be taken for what belongs to a file to come.
    """
    for beside in BESIDE:
        files.remove(Path(f"{path}{beside}"))
    files.remove(path)


@contextmanager
def named(path: Path, table: str | None = None) -> Iterator[None]:
    """Turn what SQLite and the system say into the errors of this room."""
    try:
        yield
    except apsw.Error as error:
        translated = _translate(path, error, table)
        if translated is None:
            raise
        raise translated from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "a text is not UTF-8", table) from error
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"the disk of {path} is full: free some room") from error
        said = refusal(path, error)
        raise (StoreForbidden if error.errno in DENIED else StoreBroken)(said) from error


def _translate(path: Path, error: apsw.Error, table: str | None) -> StoreError | None:
    match error:
        case apsw.FullError():
            return DiskFull(f"the disk of {path} is full: free some room and it goes on")
        case apsw.IOError() if _is_full(error):
            return DiskFull(f"the disk of {path} is full: free some room and it goes on")
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError() | apsw.SQLError():
            # Our statements do not change: where one does not fit, the file does not.
            return _damaged(path, str(error), table)
        case apsw.BusyError() | apsw.LockedError():
            return StoreBroken(f"{path} is held by another process: {error}")
        case apsw.CantOpenError() | apsw.ReadOnlyError() if why := why_forbidden(path):
            return StoreForbidden(why)
        case apsw.IOError() | apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            return StoreBroken(f"the disk failed under {path}: {error}")
        case _:
            return None


def _is_full(error: apsw.IOError) -> bool:
    # The index of the log grows by a write of its own, and reports a full disk as this.
    return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE


def _damaged(path: Path, what: str, table: str | None) -> StoreDamaged:
    where = "" if table is None else f" in table {table}"
    return StoreDamaged(f"{path} is damaged{where}: {what}; restore a backup", table)


def _connect(path: Path, flags: int, files: Files) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags, vfs=files.vfs)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def _prepare(path: Path, write: apsw.Connection, schema: Schema) -> None:
    found = _version(path, write, schema)
    if found == 0:
        write.pragma("page_size", PAGE_BYTES)
    mode = write.pragma("journal_mode", "wal")
    assert mode == "wal", mode
    for name, value in (
        ("synchronous", "FULL"),
        ("wal_autocheckpoint", 0),
        ("journal_size_limit", LOG_BYTES_KEPT),
        ("cache_size", -CACHE_KIB),
        ("mmap_size", 0),
        ("foreign_keys", 0),
        ("temp_store", "MEMORY"),
    ):
        write.pragma(name, value)
    _copy_log(path, write)
    if found != schema.version:
        _bring_up(write, schema, found)


def _copy_log(path: Path, write: apsw.Connection) -> None:
    """Copies the log into the file; StoreDamaged where what was synchronised in it has changed.

    Pages an earlier process believed written may be in the system's cache alone: all are written.
    """
    with suppress(apsw.BusyError):
        frames, _copied = write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        damage = damage_in_log_untrusted(Path(f"{path}-wal"), max(frames, 0))
        if damage is not None:
            raise _damaged(path, damage, None)
        write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _bring_up(write: apsw.Connection, schema: Schema, found: int) -> None:
    with write:
        for sql in schema.create if found == 0 else schema.path_from(found):
            try:
                write.execute(sql)
            except apsw.SQLError as error:
                raise AssertionError(f"the step from schema {found} is wrong: {sql}") from error
        write.pragma("application_id", APPLICATION_ID)
        write.pragma("user_version", schema.version)


def _version(path: Path, connection: apsw.Connection, schema: Schema) -> int:
    """The version of the file, 0 when it is empty."""
    found = connection.pragma("user_version")
    if connection.pragma("application_id") != APPLICATION_ID:
        if found == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
            return 0
        raise StoreDamaged(f"{path} is not a store of avm-host, or its first page is damaged")
    if not 1 <= found <= schema.version:
        raise StoreNewer(
            f"{path.name} was written by a newer avm-host (schema {found}, this one knows "
            f"{schema.version}): install that version"
        )
    assert isinstance(found, int)
    return found


def _check_structure(path: Path, connection: apsw.Connection) -> None:
    # A damaged page can hide rows without a word; journals have their chain, these tables this.
    for table in TABLES:
        with named(path, table):
            for (said,) in connection.execute(f"PRAGMA quick_check('{table}')"):
                if said != "ok":
                    raise _damaged(path, str(said), table)
