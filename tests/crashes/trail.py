"""A run of a workload with all its boundaries, and the crashes that there may be at each."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from avm.sim.disk import Disk
from avm.sim.image import Fate, Image, Left
from avm.store.memory import MemoryStore
from tests.crashes.host import DiskHost, Outside
from tests.crashes.play import Play
from tests.crashes.workloads import Workload

KILLED = "killed"
"""The process dies and the system goes on: nothing is lost, and nothing has become durable."""
DRAWN: tuple[Fate, ...] = ("torn", "reordered")
SYNCS = ("sync", "syncdir", "remove", "end")


class Crash(NamedTuple):
    """One crash: at which boundary, and what becomes of what is not durable."""

    boundary: int
    fate: str
    seed: int

    def __str__(self) -> str:
        return f"{self.boundary}:{self.fate}:{self.seed}"

    def left(self, image: Image) -> Left:
        """What is left of the disk; all of it when only the process dies."""
        for fate in ("lost", "prefix", "reordered", "torn"):
            if fate == self.fate:
                return image.left(fate, self.seed)
        assert self.fate in ("kept", KILLED), self.fate
        return image.left("kept")


@dataclass(slots=True)
class Moment:
    """A boundary: the disk just before an operation, and what stood outside of the host."""

    number: int
    doing: str
    image: Image
    outside: Outside
    returned: int


@dataclass(slots=True)
class Trail:
    """The boundaries of a run, and what the store must hold after each commit."""

    moments: list[Moment]
    models: list[MemoryStore]
    contents: list[bytes]


class Watching:
    """Notes the boundaries of a host from before it starts; `host` is there once it has begun to."""

    def __init__(self, disk: Disk, outside: Outside) -> None:
        self.moments: list[Moment] = []
        self.host: DiskHost | None = None
        self._disk = disk
        self._before = outside.copy()
        disk.watch = lambda doing, _path: self.note(doing)

    def note(self, doing: str) -> None:
        """A boundary."""
        seen, returned = self._before, 0
        if self.host is not None:
            seen, returned = self.host.seen, self.host.witness.returned
        number = len(self.moments)
        self.moments.append(Moment(number, doing, self._disk.image(), seen, returned))

    def trail(self) -> Trail:
        """What was seen until now."""
        assert self.host is not None
        self.note("end")
        self._disk.watch = lambda _doing, _path: None
        witness = self.host.witness
        return Trail(self.moments, list(witness.models), list(witness.contents))


def live(workload: Workload, root: Path) -> Trail:
    """Runs a workload to its end, with all its boundaries."""
    disk = Disk(root)
    try:
        watching = Watching(disk, Outside())
        host = DiskHost(disk, Outside(), workload.limits, workload.log_pages_max)
        watching.host = host
        Play(host, workload.plan).run()
        host.stop()
        return watching.trail()
    finally:
        disk.close()


def crashes_at(moment: Moment, draws: int) -> Iterator[Crash]:
    """The crashes at a boundary; `draws` is how many of each random fate.

    Each prefix of what is not durable stands at the synchronisation that would make it so: it need
    not be made again at the writes before. A process that dies is told from one that dies at the
    next synchronisation by nothing but what it has still to write.
    """
    n = moment.number
    yield Crash(n, "lost", 0)
    yield Crash(n, "kept", 0)
    for fate in DRAWN:
        for draw in range(draws):
            yield Crash(n, fate, n * draws + draw)
    if moment.doing in SYNCS:
        for last in range(moment.image.prefixes()):
            yield Crash(n, "prefix", last)
        yield Crash(n, KILLED, 0)


def hash_of(left: Left) -> bytes:
    """A hash of a disk."""
    whole = hashlib.blake2b(repr(sorted(left.directories)).encode(), digest_size=16)
    for path, body in sorted(left.files.items()):
        whole.update(f"{path} {len(body)} ".encode())
        whole.update(body)
    return whole.digest()
