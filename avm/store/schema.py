"""The tables of a store, their versions, and the checksum every row carries.

Step 6 of the journey. SQLite checksums nothing by itself, so each row has a CRC-32 over its table,
key and value: it catches any one flipped byte for certain, at a third of the cost of a short
BLAKE2b. It guards against rot and not against malice; the journal's hash chain does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

from avm.store.interface import ALL, Column, Columns
from caps.light import dataclass, field

APPLICATION_ID: Final = 0x61766D68
"""`avmh`, in the header of the file."""

MACHINES_MAX: Final = 1 << 23
"""Local ids of machines lie below, so that `machine << 40 | n` is a positive 64-bit integer."""

Type = str
INT: Final[Type] = "INTEGER"
TEXT: Final[Type] = "TEXT"
BLOB: Final[Type] = "BLOB"

TABLES: Final[Mapping[str, Mapping[str, Type]]] = MappingProxyType(
    {
        "meta": {"key": TEXT},
        "machine": {"id": INT},
        "code": {"hash": BLOB},
        "name": {"machine": INT, "name": TEXT},
        "channel": {"sender": BLOB, "receiver": BLOB},
        "outbox": {"sender": BLOB, "receiver": BLOB, "seq": INT},
        "inbox": {"receiver": BLOB, "sender": BLOB, "seq": INT},
        "ask": {"machine": INT, "number": INT},
        "timer": {"machine": INT, "key": BLOB},
        "slot": {"machine": INT, "number": INT},
        "use": {"machine": INT, "proof": BLOB},
        "failed": {"machine": INT, "n": INT},
        "client": {"address": BLOB},
        "audit": {"n": INT},
    }
)
"""Table -> key column -> its type. The value is always one blob."""


def create_table(table: str, columns: Mapping[str, Type]) -> str:
    """The SQL that creates a table of rows clustered by their key."""
    typed = ", ".join(f'"{name}" {kind} NOT NULL' for name, kind in columns.items())
    named = ", ".join(f'"{name}"' for name in columns)
    return (
        f'CREATE TABLE "{table}" ({typed}, value BLOB NOT NULL, crc INTEGER NOT NULL, '
        f"PRIMARY KEY ({named})) STRICT, WITHOUT ROWID"
    )


CREATE: Final = (
    *(create_table(table, columns) for table, columns in TABLES.items()),
    """CREATE TABLE journal (
        id INTEGER PRIMARY KEY, entry BLOB NOT NULL, printed TEXT, crc INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE snapshot (
        id INTEGER PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL
    ) STRICT""",
)


# From version 2 on a failure in a journal has a time of its own, from 3 on a turn says what it sent, from
# 4 on capabilities have caveats, what these count is kept, and there is an audit log.
MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {
        1: (),
        2: (),
        3: (create_table("use", TABLES["use"]), create_table("audit", TABLES["audit"])),
    }
)


@dataclass(frozen=True, slots=True)
class Schema:
    """A version of the tables: how to make them, and how to come here from each older version.

    `migrations[k]` are the statements that lead from version k to k + 1; there are none where only
    what stands in the rows has become more, which an older avm-host would take for damage.
    """

    version: int = 4
    create: tuple[str, ...] = CREATE
    migrations: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: MIGRATIONS)

    def path_from(self, found: int) -> tuple[str, ...]:
        """The statements that lead from version `found` here, in order."""
        return tuple(sql for k in range(found, self.version) for sql in self.migrations[k])


SCHEMA: Final = Schema()

# One C call lays a whole key out for its checksum; %a is a text in ASCII, quoted.
_LAYOUT: Final = MappingProxyType({INT: b"%d", TEXT: b"%a", BLOB: b"%b"})
MARKS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        table: b" ".join((table.encode(), *(_LAYOUT[kind] for kind in columns.values())))
        for table, columns in TABLES.items()
    }
)

_CLASS: Final[Mapping[Type, type[Column]]] = MappingProxyType({INT: int, TEXT: str, BLOB: bytes})
TYPES: Final[Mapping[str, tuple[type[Column], ...]]] = MappingProxyType(
    {table: tuple(_CLASS[kind] for kind in columns.values()) for table, columns in TABLES.items()}
)


def row_crc(table: str, columns: Columns, value: bytes) -> int:
    """The checksum of a row of one of `TABLES`."""
    return crc32(value, crc32(MARKS[table] % columns))


def entry_crc(row: int, entry: bytes, printed: str | None) -> int:
    """The checksum of a journal entry, `row` as `row_of` gives it."""
    crc = crc32(entry, (row ^ row >> 32) & 0xFFFFFFFF)
    return crc if printed is None else crc32(printed.encode("utf-8", "surrogatepass"), crc ^ 1)


def snapshot_crc(row: int, body: bytes) -> int:
    """The checksum of a snapshot, `row` as `row_of` gives it."""
    return crc32(body, (row ^ row >> 32 ^ 0x736E6170) & 0xFFFFFFFF)


def row_agrees(table: str, columns: Columns, value: object, crc: object) -> bool:
    """Whether a row that was read is the one that was written, under a key of the right types."""
    return isinstance(value, bytes) and row_crc(table, columns, value) == crc


def rows_agree(
    table: str, keys: Sequence[Columns], values: Sequence[object], crcs: Sequence[object]
) -> bool:
    """Whether `row_agrees` of each of these rows."""
    mark = MARKS[table]
    found: Iterable[tuple[Columns, Any]] = zip(keys, values, strict=True)
    return set(map(type, values)) <= {bytes} and (
        [crc32(value, crc32(mark % key)) for key, value in found] == crcs
    )


def entry_agrees(row: int, entry: object, printed: object, crc: object) -> bool:
    """Whether a journal entry that was read is the one that was written, its types too."""
    if not isinstance(entry, bytes) or not isinstance(printed, str | None):
        return False
    return entry_crc(row, entry, printed) == crc


def snapshot_agrees(row: int, body: object, crc: object) -> bool:
    """Whether a snapshot that was read is the one that was written, its types too."""
    return isinstance(body, bytes) and snapshot_crc(row, body) == crc


def row_of(machine: int, n: int) -> int:
    """The integer key under which entry or snapshot `n` of a machine stands."""
    assert 0 <= machine < MACHINES_MAX and 0 <= n < ALL, (machine, n)
    return machine << 40 | n


def number_of(row: int) -> int:
    """The n of `row_of(machine, n)`."""
    return row & (ALL - 1)


def place(table: str, key: Columns) -> str:
    """Where a row stands, in words."""
    match table, key:
        case "journal" | "snapshot", (machine, n):
            return f"the {table} of machine {machine!r}, entry {n!r}"
        case _:
            return f"table {table}, row ({', '.join(map(_shown, key))})"


def _shown(column: Column) -> str:
    return column.hex()[:12] if isinstance(column, bytes) else str(column)
