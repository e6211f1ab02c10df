"""One suite for every store, then what is SQLite's alone: files, versions, damage, copies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import pairwise
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.store.errors import (
    BackupExists,
    DiskFull,
    NoStore,
    StoreBroken,
    StoreDamaged,
    StoreError,
    StoreNewer,
    StoreOlder,
)
from avm.store.interface import ALL, Key, Store, Transaction
from avm.store.memory import MemoryStore
from avm.store.schema import CREATE, MIGRATIONS, SCHEMA, TABLES, Schema
from avm.store.sqlite import SqliteStore
from tests.avm.store_dump import dump, work


@contextmanager
def memory_store() -> Iterator[Store]:
    yield MemoryStore()


@contextmanager
def sqlite_store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore.create_or_open(Path(directory) / "store.db")
        yield store
        store.close()


Open = Callable[[], AbstractContextManager[Store]]
EVERY = pytest.mark.parametrize("opened", [memory_store, sqlite_store])

COLUMNS = {
    "INTEGER": st.integers(0, 2) | st.sampled_from([-1, 2**63 - 1]),
    "TEXT": st.sampled_from(["", "a", "é", "名", "\U0001f600", "a'b"]),
    "BLOB": st.sampled_from([b"", b"\0", b"a" * 32, b"\xff" * 32]),
}
KEYS: st.SearchStrategy[Key] = st.one_of(
    [
        st.tuples(st.just(table), *(COLUMNS[kind] for kind in columns.values()))
        for table, columns in TABLES.items()
    ]
)
PUTS = st.dictionaries(KEYS, st.none() | st.binary(max_size=8) | st.just(b"x" * 20_000), max_size=6)
MACHINE = st.integers(0, 2)
SNAPSHOTS = st.lists(st.tuples(MACHINE, st.integers(0, 9), st.binary(max_size=8)), max_size=2)
CUTS = st.lists(st.tuples(MACHINE, st.integers(0, 12) | st.just(ALL)), max_size=2)
ENTRIES = st.lists(
    st.tuples(MACHINE, st.binary(max_size=8), st.none() | st.text(max_size=3)), max_size=3
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Transaction]]:
    """Groups of transactions in which each machine's entries are numbered as they come."""
    heads = {0: 0, 1: 0, 2: 0}
    groups: list[list[Transaction]] = []
    for _ in range(draw(st.integers(0, 4))):
        group = []
        for _ in range(draw(st.integers(0, 4))):
            journal = []
            for machine, entry, printed in draw(ENTRIES):
                journal.append((machine, heads[machine], entry, printed))
                heads[machine] += 1
            group.append(Transaction(draw(PUTS), journal, draw(SNAPSHOTS), draw(CUTS)))
        groups.append(group)
    return groups


class Model:
    """The plainest store: what the reads of a real one are compared with."""

    def __init__(self) -> None:
        self.rows: dict[Key, bytes] = {}
        self.journal: dict[tuple[int, int], tuple[bytes, str | None]] = {}
        self.snapshots: dict[tuple[int, int], bytes] = {}

    def apply(self, transaction: Transaction) -> None:
        for key, value in transaction.puts.items():
            self.rows.pop(key, None)
            if value is not None:
                self.rows[key] = value
        self.journal |= {(m, n): (entry, said) for m, n, entry, said in transaction.journal}
        self.snapshots |= {(m, n): body for m, n, body in transaction.snapshots}
        for machine, keep in transaction.cuts:
            self.journal = {
                k: v for k, v in self.journal.items() if k[0] != machine or k[1] >= keep
            }
            self.snapshots = {
                k: v for k, v in self.snapshots.items() if k[0] != machine or k[1] >= keep
            }
            if keep == ALL:
                self.rows = {
                    k: v
                    for k, v in self.rows.items()
                    if k[0] != "failed" or k[1:][:1] != (machine,)
                }

    def agrees(self, store: Store) -> None:
        for table in TABLES:
            rows = sorted((k[1:], v) for k, v in self.rows.items() if k[0] == table)
            assert list(store.rows(table)) == rows
            for first in {key[0] for key, _ in rows}:
                assert list(store.rows_of(table, first)) == [r for r in rows if r[0][0] == first]
        for key, value in self.rows.items():
            assert store.get(key) == value
        for machine in range(3):
            own = sorted((n, *v) for (m, n), v in self.journal.items() if m == machine)
            assert list(store.entries(machine)) == own
            assert list(store.entries(machine, 1, 3)) == [e for e in own if 1 <= e[0] < 3]
            assert store.last_entry(machine) == (own[-1][:2] if own else None)
            for at_most in (None, 0, 4):
                bodies = sorted(
                    (n, body)
                    for (m, n), body in self.snapshots.items()
                    if m == machine and (at_most is None or n <= at_most)
                )
                assert store.snapshot(machine, at_most) == (bodies[-1] if bodies else None)


@EVERY
@settings(max_examples=40, deadline=None)
@given(groups=histories())
def test_c07_a_store_reads_as_if_its_transactions_came_one_after_the_other(
    opened: Open, groups: list[list[Transaction]]
) -> None:
    model = Model()
    with opened() as store:
        for group in groups:
            store.commit(group)
            for transaction in group:
                model.apply(transaction)
            model.agrees(store)
        assert list(store.verify()) == []


@EVERY
def test_c07_how_transactions_are_grouped_makes_no_difference(opened: Open) -> None:
    turns = [turn for group in work(2, 30) for turn in group]
    with opened() as one_by_one, opened() as at_once:
        for turn in turns:
            one_by_one.commit([turn])
        at_once.commit(turns)
        assert dump(one_by_one) == dump(at_once)
        assert one_by_one.size() > 0


@EVERY
def test_many_rows_and_entries_come_in_order_and_by_the_piece(opened: Open) -> None:
    count = 1500
    sender, others = b"s" * 32, [i.to_bytes(32, "big") for i in range(count)]
    puts: dict[Key, bytes | None] = {("channel", sender, other): other for other in others}
    puts |= {("channel", other, sender): b"" for other in others[:3]}
    journal = [(machine, n, b"%d" % n, None) for machine in (6, 7, 8) for n in range(count)]
    with opened() as store:
        store.commit([Transaction(puts, journal)])
        assert [key for key, _ in store.rows("channel")] == sorted(key[1:] for key in puts)
        assert [key[1] for key, _ in store.rows_of("channel", sender)] == others
        assert [n for n, _, _ in store.entries(7)] == list(range(count))
        assert [n for n, _, _ in store.entries(7, 255, 1025)] == list(range(255, 1025))
        assert list(store.entries(7, 5, 5)) == list(store.entries(9)) == []
        assert store.last_entry(7) == (count - 1, b"%d" % (count - 1))


@EVERY
def test_a_cut_drops_what_lies_below_it_and_of_one_machine_only(opened: Open) -> None:
    with opened() as store:
        journal = [(m, n, b"", None) for m in (1, 2) for n in range(10)]
        store.commit([Transaction({}, journal, [(1, 3, b"old"), (1, 6, b"new")])])
        store.commit([Transaction(cuts=[(1, 6)])])
        assert [n for n, _, _ in store.entries(1)] == [6, 7, 8, 9]
        assert store.snapshot(1, 5) is None and store.snapshot(1) == (6, b"new")
        store.commit([Transaction(cuts=[(1, ALL)])])
        assert list(store.entries(1)) == [] and store.snapshot(1) is None
        assert len(list(store.entries(2))) == 10


@EVERY
def test_an_entry_written_twice_is_our_own_fault(opened: Open) -> None:
    with opened() as store:
        store.commit([Transaction(journal=[(1, 0, b"first", None)])])
        with pytest.raises(AssertionError, match="written twice"):
            store.commit([Transaction(journal=[(1, 0, b"second", None)])])
        assert store.last_entry(1) == (0, b"first")
        store.commit([Transaction(journal=[(1, 1, b"third", None)])])


@EVERY
def test_what_is_printed_may_be_any_text_and_values_may_be_large(opened: Open) -> None:
    body = bytes(range(256)) * 40_000
    with opened() as store:
        puts: dict[Key, bytes | None] = {("inbox", b"r", b"s", 1): body}
        store.commit([Transaction(puts, [(1, 0, body, "\0é\U0001f600\n")], [(1, 0, body)])])
        assert store.get(("inbox", b"r", b"s", 1)) == body
        assert list(store.entries(1)) == [(0, body, "\0é\U0001f600\n")]
        assert store.snapshot(1) == (0, body)


# The memory store's faults


def test_a_memory_store_fails_by_the_transaction_as_it_is_told() -> None:
    store = MemoryStore()
    store.fail_next(DiskFull("full"), after=1)
    one, two = (Transaction({("meta", key): b""}) for key in "ab")
    store.commit([one])
    before = dump(store)
    with pytest.raises(DiskFull):
        store.commit([two])
    assert dump(store) == before
    store.commit([two])
    store.fail_next(StoreBroken("broken"))
    crashed = store.copy()
    for _ in range(2):
        with pytest.raises(StoreBroken):
            store.commit([one])
    with pytest.raises(StoreBroken):
        list(store.rows("meta"))
    assert [key for key, _ in crashed.rows("meta")] == [("a",), ("b",)]
    crashed.commit([one])


# SQLite's alone


def filled(path: Path, commits: int = 12, schema: Schema = SCHEMA) -> SqliteStore:
    store = SqliteStore.create_or_open(path, schema=schema)
    for group in work(4, commits):
        store.commit(group)
    return store


def test_all_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = filled(tmp_path / "store.db")
        store.backup(tmp_path / "copy.db")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "copy.db"), 0o600)


def test_what_is_closed_is_one_file_and_opens_again(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.db")
    held = dump(store)
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]
    for opened in (SqliteStore.open_readonly, SqliteStore.create_or_open):
        again = opened(tmp_path / "store.db")
        assert dump(again) == held
        again.close()


def test_reading_where_there_is_no_store_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoStore, match=r"`avm-host --dir .* run`"):
        SqliteStore.open_readonly(tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "store.db").touch()
    with pytest.raises(NoStore):
        SqliteStore.open_readonly(tmp_path / "store.db")


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken, match="No such file"):
        SqliteStore.create_or_open(tmp_path / "absent" / "store.db")
    (tmp_path / "directory").mkdir()
    with pytest.raises(StoreBroken):
        SqliteStore.create_or_open(tmp_path / "directory")


def test_another_reader_sees_commits_as_they_come_and_one_of_them_while_it_reads(
    tmp_path: Path,
) -> None:
    store = SqliteStore.create_or_open(tmp_path / "store.db")
    reader = SqliteStore.open_readonly(tmp_path / "store.db")
    store.commit([Transaction({("meta", "n"): b"1"})])
    assert reader.get(("meta", "n")) == b"1"
    with reader.reading():
        assert reader.get(("meta", "n")) == b"1"
        store.commit([Transaction({("meta", "n"): b"2"})])
        assert reader.get(("meta", "n")) == b"1"
        assert store.get(("meta", "n")) == b"2"
    assert reader.get(("meta", "n")) == b"2"
    reader.close()
    store.close()


def test_one_thread_reads_while_another_commits(tmp_path: Path) -> None:
    store = SqliteStore.create_or_open(tmp_path / "store.db", log_pages_max=10)
    groups = work(6, 150)

    def write() -> None:
        for group in groups:
            store.commit(group)

    writer = threading.Thread(target=write)
    writer.start()
    lengths = [len(list(store.entries(0)))]
    while writer.is_alive():
        lengths.append(len(list(store.entries(0))))
        assert list(store.rows("channel")) or not lengths[-1]
    writer.join()
    model = MemoryStore()
    for group in groups:
        model.commit(group)
    assert dump(store) == dump(model)
    store.close()


KILLED = """
import os, signal, sys
from avm.store.sqlite import SqliteStore
from tests.avm.store_dump import work
store = SqliteStore.create_or_open(sys.argv[1])
for group in work(4, 12):
    store.commit(group)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_kill_9_a_reader_needs_no_host_and_finds_everything(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "store.db"], cwd=root, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "store.db-wal").stat().st_size > 0
    model = MemoryStore()
    for group in work(4, 12):
        model.commit(group)
    for opened in (SqliteStore.open_readonly, SqliteStore.create_or_open):
        store = opened(tmp_path / "store.db")
        assert dump(store) == dump(model)
        assert list(store.verify()) == []
        store.close()


# Versions

LATER = ("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT",)
SIX = Schema(6, CREATE, {**MIGRATIONS, 4: LATER, 5: ("INSERT INTO later VALUES (7)",)})


def as_the_first_wrote_it(path: Path) -> None:
    """Has a store be of schema 1, which knew of no audit log."""
    with apsw.Connection(str(path)) as connection:
        connection.execute('DROP TABLE audit; DROP TABLE "use"')
        connection.pragma("user_version", 1)
    connection.close()


def test_an_older_store_is_brought_up_to_date_step_by_step_and_keeps_everything(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    store = filled(path)
    held = dump(store)
    store.close()
    as_the_first_wrote_it(path)
    with pytest.raises(StoreOlder, match="run the host once"):
        SqliteStore.open_readonly(path)
    store = SqliteStore.create_or_open(path)
    assert dump(store) == held
    store.close()
    store = SqliteStore.create_or_open(path, schema=SIX)
    assert dump(store) == held
    store.close()
    with apsw.Connection(str(path)) as connection:
        assert connection.execute("SELECT id FROM later").fetchall() == [(7,)]
        assert connection.pragma("user_version") == 6
    connection.close()


def test_a_newer_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore.create_or_open(path, schema=SIX).close()
    before = path.read_bytes()
    for opened in (SqliteStore.open_readonly, SqliteStore.create_or_open):
        with pytest.raises(StoreNewer, match=r"schema 6, this one knows 4"):
            opened(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path).close()
    broken = Schema(6, CREATE, {**MIGRATIONS, 4: LATER, 5: ("INSERT INTO absent VALUES (7)",)})
    with pytest.raises(AssertionError, match="absent"):
        SqliteStore.create_or_open(path, schema=broken)
    store = SqliteStore.create_or_open(path)
    assert list(store.verify()) == []
    store.close()


# Damage


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE mine (a)")
    other.close()
    foreign = path.read_bytes()
    for content in (b"a letter to a friend " * 900, foreign, foreign[:5000]):
        path.write_bytes(content)
        for opened in (SqliteStore.open_readonly, SqliteStore.create_or_open):
            with pytest.raises(StoreDamaged):
                opened(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("table", "sql", "key"),
    [
        ("journal", "UPDATE journal SET entry = x'00' WHERE id = (2 << 40) + 1", (2, 1)),
        ("journal", "UPDATE journal SET printed = 'never' WHERE id = (2 << 40) + 1", (2, 1)),
        ("journal", "UPDATE journal SET id = (3 << 40) + 500 WHERE id = (2 << 40) + 1", (3, 500)),
        ("machine", "UPDATE machine SET value = x'00' WHERE id = 2", (2,)),
        ("machine", "UPDATE machine SET id = 9 WHERE id = 2", (9,)),
    ],
)
def test_damage_is_named_by_table_and_row(
    tmp_path: Path, table: str, sql: str, key: tuple[int, ...]
) -> None:
    path = tmp_path / "store.db"
    filled(path, 12).close()
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    assert connection.changes() == 1
    connection.close()
    store = SqliteStore.open_readonly(path)
    with pytest.raises(StoreDamaged) as caught:
        list(store.rows("machine"))
        for machine in range(4):
            list(store.entries(machine))
    assert (caught.value.table, caught.value.key) == (table, key)
    assert f"machine {key[0]}, entry" in str(caught.value) or f"({key[0]})" in str(caught.value)
    assert len(list(store.verify())) == 1
    store.close()


def test_a_damaged_snapshot_is_named_and_the_one_before_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore.create_or_open(path)
    store.commit([Transaction(snapshots=[(5, 1, b"one"), (5, 9, b"two")])])
    store.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"two", b"tvo"))
    store = SqliteStore.open_readonly(path)
    with pytest.raises(StoreDamaged, match="snapshot of machine 5, entry 9"):
        store.snapshot(5)
    assert store.snapshot(5, 8) == (1, b"one")
    store.close()


def test_no_flipped_byte_is_read_as_if_nothing_were(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = filled(path, 10)
    held = dump(store)
    store.close()
    whole = path.read_bytes()
    told = 0
    # The page headers, where a flip can send a reader in circles, and some of all else.
    offsets = {*range(0, 112, 3), *range(0, len(whole), 997)}
    for page in range(0, len(whole), 8192):
        offsets |= set(range(page, page + 16))
    for offset in sorted(offsets):
        path.write_bytes(
            whole[:offset] + bytes([whole[offset] ^ (1 << offset % 8)]) + whole[offset + 1 :]
        )
        try:
            with closing(SqliteStore.open_readonly(path)) as damaged:
                found = dump(damaged)
                # Only of journals and snapshots can rows be missing: the chain finds them.
                silent = {part for part in held if found[part] != held[part]}
                assert not silent & TABLES.keys(), offset
                assert not silent or list(damaged.verify()), offset
        except StoreError:
            told += 1
    assert told > len(offsets) / 4


# Copies


def test_c08_a_backup_taken_while_commits_go_on_is_one_of_the_moments(tmp_path: Path) -> None:
    store = SqliteStore.create_or_open(tmp_path / "store.db", log_pages_max=10)
    groups = work(8, 60)

    def write() -> None:
        for group in groups:
            store.commit(group)

    writer = threading.Thread(target=write)
    writer.start()
    for n in range(5):
        store.backup(tmp_path / f"{n}.db")
    writer.join()
    store.close()
    model = MemoryStore()
    moments = [dump(model)]
    for group in groups:
        model.commit(group)
        moments.append(dump(model))
    found = []
    for n in range(5):
        copy = SqliteStore.create_or_open(tmp_path / f"{n}.db")
        assert list(copy.verify()) == []
        found.append(moments.index(dump(copy)))
        copy.close()
    assert all(a <= b for a, b in pairwise(found))


def test_a_backup_never_overwrites_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.db")
    target = tmp_path / "elsewhere" / "copy.db"
    target.parent.mkdir()
    (target.parent / "copy.db.part").write_bytes(b"left by a process that was killed")
    store.backup(target)
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    with pytest.raises(BackupExists, match="name another"):
        store.backup(target)
    with pytest.raises(StoreBroken):
        store.backup(tmp_path / "absent" / "copy.db")
    copy = SqliteStore.open_readonly(target)
    assert dump(copy) == dump(store)
    copy.close()
    store.close()
