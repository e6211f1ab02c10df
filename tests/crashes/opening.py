"""One opening of what a crash left: what is found, and what must be; of equal disks done once.

An opening reads the disk and nothing else, not even a clock: it is the same for equal disks. What may
be found differs from place to place, and is held against it at each.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from avm.errors import AvmError
from avm.sim.disk import Disk, populate
from avm.sim.image import Image, Left
from tests.crashes.equal import digest, image_digest, left_digest
from tests.crashes.host import Opened, boot, content
from tests.crashes.judge import Wrong, audited, held_by_backup, holds
from tests.crashes.outside import Still
from tests.crashes.play import backups

BAD = (Wrong, AssertionError, AvmError, OSError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Start:
    """What a crash left of a disk; with `image` only processes died, and nothing more is durable."""

    left: Left
    image: Image | None = None

    @cached_property
    def digest(self) -> bytes:
        """Equal for disks that are equal to who opens them and to the power."""
        if self.image is not None:
            return digest(b"killed", image_digest(self.image))
        return left_digest(self.left)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crash came: the world outside, and what the store may hold after it.

    `keyed`: the keys lasted before, and cannot be others.
    """

    outside: Still
    allowed: tuple[bytes, ...]
    keyed: bool

    @property
    def digest(self) -> bytes:
        """Equal for equal places."""
        return digest(self.outside.digest, *self.allowed, bytes([self.keyed]))


@dataclass(frozen=True, slots=True)
class Opening:
    """What is found at an opening: in the store, in backups, and where those were put.

    `seen` is what can be read of the disk when the store has been opened: a life is decided by it and
    the world outside. `after` is all of the disk then: so are the crashes of that life. `wrong` says
    what is wrong with it anywhere.
    """

    found: bytes = b""
    keys: bytes = b""
    seen: bytes = b""
    after: bytes = b""
    backups: dict[str, bytes] = field(default_factory=dict)
    put: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    wrong: str = ""

    def fits(self, place: Place, keys: bytes) -> None:
        """Raises `Wrong` unless this may be found at a place."""
        holds(not self.wrong, self.wrong)
        whole = self.found in place.allowed
        holds(whole, "a commit is neither whole nor absent, or one is lost")
        holds(self.keys == keys or not place.keyed, "the keys are others")
        for name, wanted in place.outside.backups.items():
            holds(name in self.backups, f"{name} was made and is not there")
            holds(self.backups[name] == wanted, f"{name} holds something else")
        for name, wanted in place.outside.puts.items():
            held, its_keys = self.put[name]
            holds(its_keys == keys, f"{name}: the keys are others")
            holds(held == wanted, f"{name} holds something else")


class Openings:
    """The openings of one exploration."""

    def __init__(self, scratch: Path, log_pages_max: int, keys: bytes) -> None:
        self.scratch = scratch
        self.log_pages_max = log_pages_max
        self.keys = keys
        self.count = 0
        self._known: dict[tuple[bytes, tuple[str, ...]], Opening] = {}
        self._contents: dict[bytes, bytes] = {}
        self._backups: dict[bytes, bytes] = {}
        self._audited: set[bytes] = set()

    @contextmanager
    def disk(self, start: Start) -> Iterator[Disk]:
        """What is left, as a disk in a place of its own."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            populate(Path(name), start.left)
            disk = Disk(Path(name), start.image.model() if start.image is not None else None)
            try:
                yield disk
            finally:
                disk.close()

    def of(self, start: Start, outside: Still) -> Opening:
        """What is found where a disk is opened, and every place into which a backup was put."""
        key = start.digest, tuple(outside.puts)
        if key not in self._known:
            self._known[key] = self.watched(start, outside, lambda _disk, _doing: None)
        return self._known[key]

    def watched(self, start: Start, outside: Still, watch: Callable[[Disk, str], None]) -> Opening:
        """The same, with a call before each operation."""
        self.count += 1
        with self.disk(start) as disk:
            disk.watch = lambda doing, _path: watch(disk, doing)
            try:
                return self._open(disk, list(outside.puts))
            except BAD as why:
                text = " ".join(f"{type(why).__name__}: {why}".split())
                return Opening(
                    wrong=text.replace(str(disk.root), "").replace(str(self.scratch), "")
                )
            finally:
                watch(disk, "end")

    def _open(self, disk: Disk, puts: list[str]) -> Opening:
        opened = boot(disk, self.log_pages_max)
        try:
            image = disk.image()
            found = self._read(opened)
        finally:
            opened.store.close()
        bodies = {name: (disk.root / name).read_bytes() for name in backups(disk.root)}
        held = {name: self._held(body) for name, body in bodies.items()}
        put = {name: self._put(disk, name) for name in puts}
        seen, after = left_digest(image.left("kept")), image_digest(image)
        return Opening(found, opened.keys, seen, after, held, put)

    def _read(self, opened: Opened) -> bytes:
        """What a store holds, in which `verify` finds nothing; the same of the same bytes."""
        path = opened.directory.store
        key = digest(path.read_bytes(), Path(f"{path}-wal").read_bytes())
        if key not in self._contents:
            found = content(opened.store)
            damage = list(opened.store.verify())
            holds(not damage, f"verify: {damage}")
            if found not in self._audited:
                audited(opened.store, opened.keys)
                self._audited.add(found)
            self._contents[key] = found
        return self._contents[key]

    def _held(self, body: bytes) -> bytes:
        key = digest(body)
        if key not in self._backups:
            with tempfile.TemporaryDirectory(dir=self.scratch) as place:
                self._backups[key] = held_by_backup(body, Path(place), self.keys)
        return self._backups[key]

    def _put(self, disk: Disk, name: str) -> tuple[bytes, bytes]:
        opened = boot(disk, self.log_pages_max, name)
        try:
            return content(opened.store), opened.keys
        finally:
            opened.store.close()
