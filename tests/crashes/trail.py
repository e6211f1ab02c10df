"""A run of a workload with all its boundaries, and the crashes that there may be at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from avm.sim.disk import Disk
from avm.sim.image import Fate, Image, Left
from avm.store.memory import MemoryStore
from tests.crashes.host import DiskHost
from tests.crashes.outside import NOTHING, Still
from tests.crashes.play import Play
from tests.crashes.workloads import Workload

KILLED = "killed"
"""The process dies and the system goes on: nothing is lost, and nothing has become durable."""
STILL: tuple[Fate, ...] = ("lost", "kept")
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
    outside: Still
    returned: int


@dataclass(slots=True)
class Trail:
    """The boundaries of a run, and what the store must hold after each commit."""

    moments: list[Moment]
    models: list[MemoryStore]
    contents: list[bytes]


class Watching:
    """Notes the boundaries of a host from before it starts; `host` is there once it has begun to."""

    def __init__(self, disk: Disk, outside: Still) -> None:
        self.moments: list[Moment] = []
        self.host: DiskHost | None = None
        self._disk = disk
        self._before = outside
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
        trail = Trail(self.moments, list(witness.models), list(witness.contents))
        self.host.unwatch()
        return trail


def live(workload: Workload, root: Path) -> Trail:
    """Runs a workload to its end, with all its boundaries."""
    disk = Disk(root)
    try:
        watching = Watching(disk, NOTHING)
        host = DiskHost(disk, NOTHING, workload.limits, workload.log_pages_max)
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
    yield from _crashes(moment.number, moment.doing, moment.image, (*STILL, *DRAWN), draws)


def second_crashes_at(number: int, doing: str, image: Image, draws: int) -> Iterator[Crash]:
    """Those at a boundary of a recovery."""
    yield from _crashes(number, doing, image, (*STILL, *DRAWN), draws)


def _crashes(
    n: int, doing: str, image: Image, fates: tuple[str, ...], draws: int
) -> Iterator[Crash]:
    for fate in fates:
        drawn = range(n * draws, n * draws + draws) if fate in DRAWN else range(1)
        yield from (Crash(n, fate, seed) for seed in drawn)
    if doing in SYNCS:
        yield from (Crash(n, "prefix", last) for last in range(image.prefixes()))
        yield Crash(n, KILLED, 0)
