"""The simulated disk: what lasts, what is left after each fate, and how it lies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from avm.host.core import Core
from avm.host.keys import Keyring
from avm.limits import Limits
from avm.run.backup import KEYS, back_up, drop_keys, take_keys
from avm.run.directory import Directory
from avm.run.loading import load_core
from avm.sim.disk import Disk, populate
from avm.sim.entropy import Entropy
from avm.sim.image import FATES, SECTOR_BYTES, Left
from avm.store.errors import StoreDamaged
from avm.store.files import make_own_directory, put
from avm.store.interface import Transaction
from avm.store.sqlite import SqliteStore

EMPTY: Left = Left({}, frozenset())
PAGE = 8192


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def test_bytes_and_names_last_each_with_its_own_synchronisation(disk: Disk) -> None:
    path = disk.root / "a"
    disk.write(path, b"first")
    assert disk.image().left("lost") == EMPTY
    disk.sync(path)
    assert disk.image().left("lost") == EMPTY, "its name is not there"
    disk.sync_directory(disk.root)
    disk.write(path, b"second")
    assert disk.image().left("lost").files == {"a": b"first"}
    assert disk.image().left("kept").files == {"a": b"second"}
    disk.replace(path, disk.root / "b")
    assert disk.image().left("lost").files == {"a": b"first"}
    disk.sync_directory(disk.root)
    assert disk.image().left("lost").files == {"b": b"first"}
    disk.remove(disk.root / "b")
    assert disk.image().left("lost").files == {"b": b"first"}
    assert disk.image().left("kept") == EMPTY


def test_what_lies_in_a_directory_without_a_name_is_lost_with_it(disk: Disk) -> None:
    disk.make_directory(disk.root / "in")
    disk.write(disk.root / "in" / "a", b"x")
    disk.sync(disk.root / "in" / "a")
    disk.sync_directory(disk.root / "in")
    assert disk.image().left("lost") == EMPTY
    disk.sync_directory(disk.root)
    assert disk.image().left("lost") == Left({"in/a": b"x"}, frozenset({"in"}))


def test_a_torn_write_is_torn_at_sectors_and_a_prefix_keeps_the_order(disk: Disk) -> None:
    path = disk.root / "a"
    disk.write(path, bytes(4 * SECTOR_BYTES))
    disk.sync(path)
    disk.sync_directory(disk.root)
    node = disk.model.names["a"]
    for value in (1, 2, 3):
        disk.written(node, "a", 0, bytes([value]) * 4 * SECTOR_BYTES)
    image = disk.image()
    torn = {image.left("torn", seed).files["a"] for seed in range(40)}
    assert len(torn) > 10
    for body in torn:
        sectors = [set(body[n : n + SECTOR_BYTES]) for n in range(0, len(body), SECTOR_BYTES)]
        assert all(len(one) == 1 for one in sectors), "a sector is whole"
    assert image.prefixes() == 3
    for last in range(3):
        assert image.left("prefix", last).files["a"][:1] == bytes([last + 1])
    whole = {image.left("reordered", seed).files["a"] for seed in range(40)}
    assert whole == {bytes([value]) * 4 * SECTOR_BYTES for value in range(4)}
    for fate in FATES:
        assert image.left(fate, 5) == image.left(fate, 5)


def test_a_system_that_goes_on_has_not_made_durable_what_a_dead_process_wrote(
    disk: Disk, tmp_path: Path
) -> None:
    disk.write(disk.root / "a", b"x")
    image = disk.image()
    (tmp_path / "next").mkdir()
    populate(tmp_path / "next", image.left("kept"))
    after = Disk(tmp_path / "next", image.model())
    assert (after.root / "a").read_bytes() == b"x"
    assert after.image().left("lost") == EMPTY
    after.sync(after.root / "a")
    after.sync_directory(after.root)
    assert after.image().left("lost").files == {"a": b"x"}
    assert disk.image().left("lost") == EMPTY, "the first disk is as it was"
    after.close()


def test_a_disk_that_lies_loses_what_it_acknowledged(disk: Disk) -> None:
    store = SqliteStore.create_or_open(disk.root / "store.db", disk)
    key = ("meta", "a")
    store.commit([Transaction({key: b"1"})])
    disk.loses = lambda path, _offset: path.endswith("-wal")
    store.commit([Transaction({key: b"2"})])
    assert store.get(key) == b"2", "the system's cache has it"
    left = disk.image().left("kept")
    store.close()
    for path, body in left.files.items():
        (disk.root / path).write_bytes(body)
    again = SqliteStore.create_or_open(disk.root / "store.db")
    assert again.get(key) == b"1"
    again.close()


def test_a_flipped_and_a_stale_read_are_what_a_store_reads(disk: Disk) -> None:
    path = disk.root / "store.db"
    store = SqliteStore.create_or_open(path, disk)
    for n in range(3):
        store.commit([Transaction({("meta", "a"): bytes([n]) * 1_000})])
        store.close()
        store = SqliteStore.create_or_open(path, disk)
    store.close()
    page = next(
        at
        for at in range(0, path.stat().st_size, PAGE)
        if bytes([2]) * 1_000 in path.read_bytes()[at : at + PAGE]
    )
    old = disk.stale("store.db", page, PAGE)
    assert old is not None and bytes([1]) * 1_000 in old
    for given, read in ((old, bytes([1]) * 1_000), (None, None)):

        def on_read(place: str, at: int, body: bytes, given: bytes | None = given) -> bytes:
            if place != "store.db" or at != page:
                return body
            return given if given is not None else body.replace(b"\2\2\2\2", b"\2\2\3\2")

        disk.on_read = on_read
        store = SqliteStore.open_readonly(path, disk)
        if read is not None:
            assert store.get(("meta", "a")) == read, "nothing tells that a page is old"
        else:
            with pytest.raises(StoreDamaged, match="table meta"):
                store.get(("meta", "a"))
        disk.on_read = None
        store.close()


# What the enumeration of crashes found.


def test_a_new_host_keeps_its_directory_and_keys_when_the_power_goes(disk: Disk) -> None:
    """The directory had no durable name, so that a host could vanish whole after its first commits."""
    directory = Directory(disk.root / "some" / "where", disk)
    directory.create()
    directory.keyring(Entropy(1).bytes)
    assert "some/where/keys/host.key" in disk.image().left("lost").files


def test_keys_that_a_killed_process_wrote_last_before_there_is_a_store(disk: Disk) -> None:
    """Their name was in the system's cache alone, and the store made after it was durable."""
    directory = Directory(disk.root / "host", disk)
    make_own_directory(disk, directory.keys)
    disk.write(directory.key_file, Entropy(1).bytes(64))
    directory.keyring(Entropy(2).bytes)
    assert disk.image().left("lost").files["host/keys/host.key"] == Entropy(1).bytes(64)


def backed_up(disk: Disk) -> Directory:
    """A host's directory in which a backup was put."""
    first = Directory(disk.root / "first", disk)
    first.create()
    first.keyring(Entropy(1).bytes)
    store = SqliteStore.create_or_open(first.store, disk)
    back_up(store, first, disk.root / "monday.avm")
    store.close()
    second = Directory(disk.root / "second", disk)
    second.create()
    put(disk, second.store, (disk.root / "monday.avm").read_bytes())
    return second


def test_the_keys_of_a_backup_are_durable_before_they_are_erased_from_it(disk: Disk) -> None:
    """The directory of the keys had no durable name yet when they were erased: a host was gone."""
    second = backed_up(disk)
    moments = []
    disk.watch = lambda _doing, _path: moments.append(disk.image())
    take_keys(second)
    for image in [*moments, disk.image()]:
        files = image.left("lost").files
        key = Entropy(1).bytes(64)
        assert files.get("second/keys/host.key") == key or key in files["second/store.db"]


def test_keys_are_erased_from_a_backup_though_the_process_died_in_between(disk: Disk) -> None:
    """They stayed in the store for good when the process had died after it wrote the key file."""
    second = backed_up(disk)
    second.write_keys(Entropy(1).bytes(64))
    take_keys(second)
    store = SqliteStore.create_or_open(second.store, disk)
    assert store.get(KEYS) is not None
    drop_keys(second, store)
    assert store.get(KEYS) is None
    store.close()
    assert Entropy(1).bytes(64) not in second.store.read_bytes()


def test_rows_that_do_not_fit_together_are_damage_of_the_store(tmp_path: Path) -> None:
    """A flipped bit that hid a machine's row ended the host with a traceback."""
    store = SqliteStore.create_or_open(tmp_path / "store.db")
    store.commit([Transaction({("slot", 7, 1): b"\x81\x00"})])
    core = Core(Keyring(bytes(32), bytes(32)), Limits(), now_ms=0, python="", version="")
    with pytest.raises(StoreDamaged, match="do not fit together"):
        load_core(core, store)
    store.close()
