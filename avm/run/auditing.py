"""The audit log where no host runs: read out of the store, and told of what is done with the keys. Shell.

Beside the journey, for `audit`, `verify` and `keys`. What a host does it tells of itself.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

from avm.host import auditlog
from avm.host.audited import ROW
from avm.host.auditlog import AuditLog, Broken, Entry
from avm.run.directory import Directory
from avm.store.errors import StoreDamaged
from avm.store.interface import Key, Store, Transaction
from avm.store.sqlite import SqliteStore
from caps.errors import Malformed

KEY: Key = ROW


def log_of(store: Store) -> AuditLog:
    """Where the audit log of a store stands; StoreDamaged."""
    body = store.get(KEY)
    if body is None:
        return AuditLog()
    try:
        return auditlog.from_bytes_untrusted(body)
    except Malformed as error:
        raise StoreDamaged(f"the row of the audit log is none: {error}") from None


def walk(store: Store, log: AuditLog) -> Iterator[Entry | Broken]:
    """Each entry in order, up to the first that does not hold."""
    rows = ((int(n), body) for (n,), body in store.rows("audit"))
    return auditlog.walk_untrusted(log, rows)


def after(store: Store, log: AuditLog, before: AuditLog) -> Iterator[Entry | Broken]:
    """The entries since an earlier look, which follow those that there were then."""
    start = max(before.head, log.first)
    found = ((n, store.get(("audit", n))) for n in range(start, log.head))
    rows = ((n, body) for n, body in found if body is not None)
    chain = before.chain if start == before.head else None
    return auditlog.walk_untrusted(replace(log, first=start), rows, chain)


def check_store(directory: Directory) -> None:
    """Refuses a store that cannot be told of it, before anything is done with the keys."""
    if directory.store.exists():
        SqliteStore.create_or_open(directory.store, directory.files).close()


def note_keys(directory: Directory, how: str, act: str) -> None:
    """Tells of what was done with the host's keys, which now are `how`; nothing without a store.

    For whoever holds the directory: while a host runs on it, it alone writes.
    """
    if not directory.store.exists():
        return
    store = SqliteStore.create_or_open(directory.store, directory.files)
    try:
        log = log_of(store)
        now_ms = time.time_ns() // 1_000_000
        # How many may be kept the host knows, and drops what is too many.
        rows = log.keys_are(how, act, now_ms, auditlog.NUMBER_MAX)
        puts: dict[Key, bytes | None] = {("audit", n): body for n, body in rows}
        store.commit([Transaction({**puts, KEY: auditlog.to_bytes(log)})])
    finally:
        store.close()
