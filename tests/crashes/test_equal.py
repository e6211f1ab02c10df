"""What the enumeration takes for equal is equal: logs are read as SQLite reads them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from avm.sim.disk import Disk, populate
from avm.sim.image import Fate, Image, Left, Model
from avm.store.log import HEADER_BYTES, agrees
from avm.store.sqlite import SqliteStore
from tests.avm.store_dump import Dump, dump, work
from tests.crashes.equal import frames_of, image_digest, left_digest
from tests.crashes.trail import live
from tests.crashes.workloads import WORKLOADS

LOG = "store.db-wal"
FATES: tuple[Fate, ...] = ("torn", "reordered", "prefix")


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def run(place: Path, log_pages_max: int) -> list[Image]:
    """The boundaries of some commits, over a log that is begun anew now and then."""
    place.mkdir()
    disk = Disk(place)
    images: list[Image] = []
    try:
        store = SqliteStore.create_or_open(place / "store.db", disk, log_pages_max=log_pages_max)
        disk.watch = lambda _doing, _path: images.append(disk.image())
        for group in work(3, 7, 1):
            store.commit(group)
        images.append(disk.image())
        store.close()
    finally:
        disk.close()
    return images


def read_by_sqlite(left: Left, place: Path) -> tuple[int, Dump]:
    """How many frames of the log SQLite reads, and what the store holds."""
    place.mkdir()
    populate(place, left)
    connection = apsw.Connection(str(place / "store.db"))
    connection.execute("SELECT * FROM sqlite_schema").fetchall()
    frames, _copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    connection.close()
    store = SqliteStore.create_or_open(place / "store.db")
    held = dump(store)
    store.close()
    return frames, held


def test_the_frames_that_count_are_those_that_sqlite_reads_and_equal_disks_hold_the_same(
    scratch: Path,
) -> None:
    held: dict[bytes, Dump] = {}
    bodies: set[bytes] = set()
    read: set[int] = set()
    for n, image in enumerate(run(scratch / "live", 12)[::2]):
        left = image.left(FATES[n % 3], n)
        log = left.files[LOG]
        bodies.add(log)
        found, dumped = read_by_sqlite(left, scratch / str(n))
        header = log[:HEADER_BYTES]
        frames = len(frames_of(log, header)[0]) if agrees(header) else 0
        assert frames == found, n
        assert held.setdefault(left_digest(left), dumped) == dumped
        read.add(frames)
    assert len(held) < len(bodies), "some logs differ in what nobody reads"
    assert len(read) >= 5


def test_the_salts_of_a_log_make_no_difference_and_a_byte_that_is_read_does(
    scratch: Path,
) -> None:
    here, there = (run(scratch / name, 100)[-1] for name in ("here", "there"))
    left, other = here.left("kept"), there.left("kept")
    assert left.files[LOG] != other.files[LOG]
    assert left_digest(left) == left_digest(other)
    assert image_digest(here) == image_digest(there)
    size = len(left.files[LOG])
    for byte in range(0, size, size // 20):
        flipped = bytearray(left.files[LOG])
        flipped[byte] ^= 1
        assert left_digest(Left({**left.files, LOG: bytes(flipped)}, left.directories)) != (
            left_digest(left)
        )


def written(first: int, second: int, *bodies: bytes) -> Model:
    """Two files with a write to each, at some times."""
    model = Model({"one": b"1", "two": b"2"}, set())
    for time, path, body in sorted(zip((first, second), ("one", "two"), bodies, strict=True)):
        model.clock = time
        model.write(model.names[path], 0, body)
    return model


def test_what_is_not_durable_and_its_order_tell_disks_apart() -> None:
    images = [
        written(1, 2, b"a", b"b"),
        written(2, 1, b"a", b"b"),
        written(1, 2, b"a", b""),
        Model({"one": b"a", "two": b"b"}, set()),
        Model({"one": b"1", "two": b"2"}, set()),
    ]
    assert len({image_digest(model.image()) for model in images}) == len(images)
    earlier, later = written(1, 2, b"a", b"b"), written(7, 9, b"a", b"b")
    assert image_digest(earlier.image()) == image_digest(later.image())


def test_names_that_are_not_durable_tell_disks_apart() -> None:
    images: list[bytes] = []
    for together in (True, False):
        for old in ("one", "two"):
            model = Model({"one": b"", "two": b""}, set())
            gone, come = (old, None), ("new", model.names[old])
            for names in [(gone, come)] if together else [(gone,), (come,)]:
                model.rename("", *names)
            images.append(image_digest(model.image()))
    assert len(set(images)) == len(images)


def test_worlds_that_are_equal_are_so_until_one_goes_on(scratch: Path) -> None:
    trail = live(WORKLOADS["tokens"], scratch)
    stills = list({moment.outside.digest: moment.outside for moment in trail.moments}.values())
    assert len(stills) > 20
    for still in stills:
        world, other = still.copy(), still.copy()
        assert world.still().digest == other.still().digest
        world.entropy.bytes(1)
        assert world.still().digest != other.still().digest
