"""The SQLite store on a disk that tears, loses, fills up and fails."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from avm.sim.disk import Disk, populate
from avm.sim.image import Fate, Image, Left
from avm.store.errors import DiskFull, StoreBroken, StoreDamaged
from avm.store.interface import Transaction
from avm.store.memory import MemoryStore
from avm.store.sqlite import SqliteStore
from tests.avm.store_dump import Dump, dump, work


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "live").mkdir()
    disk = Disk(tmp_path / "live")
    yield disk
    disk.close()


def after_each(groups: list[list[Transaction]]) -> list[Dump]:
    """What a store holds before the first commit and after each."""
    model = MemoryStore()
    dumps = [dump(model)]
    for group in groups:
        model.commit(group)
        dumps.append(dump(model))
    return dumps


class Crashes:
    """Every moment at which the power may have gone, and how many commits had returned by then."""

    def __init__(self, disk: Disk, seed: int, share: float) -> None:
        self.moments: list[tuple[Image, int]] = []
        self.returned = 0
        rng = random.Random(seed)

        def watch(what: str, _path: str) -> None:
            if what == "sync" or rng.random() < share:
                self.moments.append((disk.image(), self.returned))

        disk.watch = watch

    def run(self, store: SqliteStore, groups: list[list[Transaction]]) -> None:
        for group in groups:
            store.commit(group)
            self.returned += 1
        store.close()


def survived(image: Image, directory: Path, fate: Fate, seed: int) -> Dump:
    """What the store holds when it is opened on what is left of the disk, and that it goes on."""
    directory.mkdir()
    populate(directory, image.left(fate, seed))
    store = SqliteStore.create_or_open(directory / "store.db")
    found = dump(store)
    assert list(store.verify()) == []
    store.commit([Transaction({("meta", "after"): b"the crash"})])
    assert store.get(("meta", "after")) == b"the crash"
    store.close()
    return found


def crash_everywhere(disk: Disk, path: Path, seed: int, commits: int, share: float) -> int:
    """The number of crashes after which the store was whole; asserts that it was after each."""
    groups = work(seed, commits)
    dumps = after_each(groups)
    crashes = Crashes(disk, seed, share)
    live = path / "live" / "store.db"
    crashes.run(SqliteStore.create_or_open(live, disk, log_pages_max=12), groups)
    fates: list[Fate] = ["lost", "kept", "torn", "torn"]
    number = 0
    for image, returned in crashes.moments:
        for fate in fates:
            found = survived(image, path / str(number), fate, number)
            whole = found in dumps[returned : returned + 2]
            assert whole, (seed, number, fate, returned)
            number += 1
    return number


def test_c01_after_a_crash_at_any_point_each_commit_is_whole_or_absent(
    disk: Disk, tmp_path: Path
) -> None:
    assert crash_everywhere(disk, tmp_path, seed=1, commits=14, share=0.1) >= 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_c01_after_many_more_crashes_each_commit_is_whole_or_absent(
    disk: Disk, tmp_path: Path, seed: int
) -> None:
    assert crash_everywhere(disk, tmp_path, seed, commits=20, share=0.2) >= 200


@pytest.mark.parametrize("fault", ["the disk is deaf", "synchronous is off"])
def test_the_crash_check_catches_a_store_that_does_not_synchronise(
    disk: Disk, tmp_path: Path, fault: str
) -> None:
    groups = work(3, 6)
    dumps = after_each(groups)
    crashes = Crashes(disk, 3, 0.2)
    store = SqliteStore.create_or_open(tmp_path / "live" / "store.db", disk)
    if fault == "the disk is deaf":
        disk.deaf = True
    else:
        assert store._write is not None
        store._write.pragma("synchronous", "OFF")
    crashes.run(store, groups)
    lost = [
        number
        for number, (image, returned) in enumerate(crashes.moments)
        if survived(image, tmp_path / str(number), "lost", number)
        not in dumps[returned : returned + 2]
    ]
    assert lost


def test_a_full_disk_refuses_whole_commits_and_goes_on_when_there_is_room(
    disk: Disk, tmp_path: Path
) -> None:
    groups = work(5, 40)
    dumps = after_each(groups)
    rng = random.Random(5)
    store = SqliteStore.create_or_open(tmp_path / "live" / "store.db", disk, log_pages_max=12)
    refusals = 0
    for number, group in enumerate(groups):
        disk.room = rng.randrange(150_000)
        for _ in range(3):
            try:
                store.commit(group)
                break
            except DiskFull:
                refusals += 1
                unchanged = dump(store) == dumps[number]
                assert unchanged
                disk.room = rng.choice((0, 20_000, None))
        else:
            disk.room = None
            store.commit(group)
        whole = dump(store) == dumps[number + 1]
        assert whole
    disk.room = None
    store.close()
    assert refusals > 10
    again = SqliteStore.open_readonly(tmp_path / "live" / "store.db")
    whole = dump(again) == dumps[-1]
    again.close()
    assert whole


def test_a_store_is_not_created_on_a_full_disk_and_is_when_there_is_room(
    disk: Disk, tmp_path: Path
) -> None:
    for room in range(0, 200_000, 9_000):
        disk.room = room
        try:
            SqliteStore.create_or_open(tmp_path / "live" / "store.db", disk).close()
        except DiskFull:
            continue
        break
    assert room > 9_000
    disk.room = None
    store = SqliteStore.open_readonly(tmp_path / "live" / "store.db", disk)
    assert dump(store) == dump(MemoryStore())
    store.close()


@pytest.mark.parametrize("nth", range(8))
def test_a_failed_synchronisation_breaks_the_store_for_good(
    disk: Disk, tmp_path: Path, nth: int
) -> None:
    groups = work(7, 12)
    dumps = after_each(groups)
    store = SqliteStore.create_or_open(tmp_path / "live" / "store.db", disk, log_pages_max=12)
    fatal = disk.syncs + nth

    def watch(what: str, _path: str) -> None:
        disk.syncs_fail = what == "sync" and disk.syncs == fatal

    disk.watch = watch
    returned = 0
    with pytest.raises(StoreBroken):
        for group in groups:
            store.commit(group)
            returned += 1
    disk.watch = lambda _what, _path: None
    disk.syncs_fail = False
    synchronised = disk.syncs
    with pytest.raises(StoreBroken):
        store.commit(groups[returned])
    with pytest.raises(StoreBroken):
        store.get(("meta", "x"))
    store.close()
    assert disk.syncs == synchronised, "a failed synchronisation was tried again"
    image = disk.image()
    fates: list[Fate] = ["lost", "kept", "torn"]
    for number, fate in enumerate(fates):
        found = survived(image, tmp_path / fate, fate, number)
        whole = found in dumps[returned : returned + 2]
        assert whole, fate


def test_what_an_earlier_process_left_in_the_cache_is_written_when_the_store_opens(
    disk: Disk, tmp_path: Path
) -> None:
    """After a failed synchronisation the system may hold clean pages that are on no disk."""
    groups = work(9, 6)
    dumps = after_each(groups)
    path = tmp_path / "live" / "store.db"
    store = SqliteStore.create_or_open(path, disk)
    for group in groups[:3]:
        store.commit(group)
    disk.syncs_fail = True
    with pytest.raises(StoreBroken):
        store.commit(groups[3])
    disk.syncs_fail = False
    store.close()
    for node in disk.model.names.values():
        node.pending.clear()
    again = SqliteStore.create_or_open(path, disk)
    returned = dumps.index(dump(again))
    assert returned in (3, 4)
    for group in groups[returned:]:
        again.commit(group)
    whole = survived(disk.image(), tmp_path / "left", "lost", 0) == dumps[-1]
    again.close()
    assert whole


def log_of(disk: Disk, path: Path, commits: int) -> tuple[dict[str, bytes], list[Dump]]:
    """The files of a store with commits in its log, and what it held after each."""
    groups = work(11, commits)
    store = SqliteStore.create_or_open(path / "live" / "store.db", disk)
    for group in groups:
        store.commit(group)
    left = disk.image().left("kept")
    store.close()
    return left.files, after_each(groups)


def with_log(files: dict[str, bytes], path: Path, log: bytes) -> Path:
    """The same store with another log."""
    path.mkdir()
    populate(path, Left({**files, "store.db-wal": log}, frozenset()))
    return path / "store.db"


def test_a_log_that_is_unreadable_before_its_last_commit_is_damage(
    disk: Disk, tmp_path: Path
) -> None:
    files, dumps = log_of(disk, tmp_path, 5)
    log = files["store.db-wal"]
    found = []
    for byte in range(100, len(log), 2_503):
        flipped = log[:byte] + bytes([log[byte] ^ 4]) + log[byte + 1 :]
        path = with_log(files, tmp_path / str(byte), flipped)
        try:
            store = SqliteStore.create_or_open(path)
        except StoreDamaged as damage:
            assert "its log is unreadable from frame" in str(damage)
            assert Path(f"{path}-wal").read_bytes() == flipped, "what is damaged is left alone"
            found.append("told")
            continue
        assert dump(store) == dumps[-2], "the last commit looks as if it had been cut"
        store.close()
        found.append("taken back")
    assert found.count("told") > 2 * found.count("taken back") > 0


def test_a_damaged_head_of_the_log_is_told_and_one_that_was_never_written_is_none(
    disk: Disk, tmp_path: Path
) -> None:
    files, _dumps = log_of(disk, tmp_path, 3)
    log = files["store.db-wal"]
    for byte in range(32):
        flipped = log[:byte] + bytes([log[byte] ^ 1]) + log[byte + 1 :]
        with pytest.raises(StoreDamaged, match="log"):
            SqliteStore.create_or_open(with_log(files, tmp_path / str(byte), flipped))
    SqliteStore.create_or_open(with_log(files, tmp_path / "zeros", bytes(len(log)))).close()
