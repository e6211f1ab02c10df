"""Each crash of a workload, and of each recovery from one: made, recovered from, and judged.

A run of the workload leaves a moment before each write, truncation, synchronisation, creation,
renaming and removal. Of each moment every fate is made. What is left is opened as a starting host
opens it; the store must hold what was committed after the last commit that returned, or that and
the one under way. Then the host comes back, goes on to the end of its plan and is judged.

Equal things are judged once: two equal disks, and two equal stores with the same world outside,
since all that comes then is decided by them.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from avm.errors import AvmError
from avm.sim.disk import Disk, populate
from avm.sim.entropy import Entropy
from avm.sim.image import Fate, Image, Left
from avm.store.memory import MemoryStore
from tests.crashes.host import DiskHost, Outside, boot, content
from tests.crashes.judge import Wrong, audited, backup_is_whole, holds, quiet, told_is_kept
from tests.crashes.play import Play, backups
from tests.crashes.workloads import Workload

KILLED = "killed"
"""The process dies and the system goes on: nothing is lost, and nothing has become durable."""


class Crash(NamedTuple):
    """One crash: at which boundary, and what becomes of what is not durable."""

    boundary: int
    fate: str
    seed: int

    def __str__(self) -> str:
        return f"{self.boundary}:{self.fate}:{self.seed}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A boundary: the disk just before an operation, and what stood outside of the host."""

    number: int
    doing: str
    path: str
    image: Image
    outside: Outside
    returned: int


@dataclass(slots=True)
class Trail:
    """All boundaries of a run, and what the store must hold after each commit."""

    moments: list[Moment]
    models: list[MemoryStore]
    contents: list[bytes]


@dataclass(slots=True)
class Tally:
    """What was enumerated and found."""

    boundaries: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    disks: int = 0
    recoveries: int = 0
    again: Counter[str] = field(default_factory=Counter)
    again_disks: int = 0
    again_boundaries: int = 0
    lives: int = 0
    wrong: list[str] = field(default_factory=list)


def live(workload: Workload, root: Path) -> Trail:
    """Runs a workload to its end, with all its boundaries."""
    disk = Disk(root)
    moments: list[Moment] = []
    outside = Outside(1)
    at: list[DiskHost] = []

    def watch(doing: str, path: str) -> None:
        seen, returned = outside, 0
        if at and hasattr(at[0], "witness"):
            seen, returned = at[0].seen, at[0].witness.returned
        moments.append(Moment(len(moments), doing, path, disk.image(), seen, returned))

    disk.watch = watch
    host = DiskHost.__new__(DiskHost)
    at.append(host)
    host.__init__(disk, outside.copy(), workload.limits, workload.log_pages_max)  # type: ignore[misc]
    Play(host, workload.plan).run()
    host.stop()
    watch("end", "")
    witness = host.witness
    disk.close()
    return Trail(moments, witness.models, witness.contents)


def crashes_at(moment: Moment, draws: int, prefixes: bool) -> Iterator[Crash]:
    """The crashes at a boundary; `draws` is how many of each random fate.

    All that was written in order is there at one of the boundaries of synchronisations, so each
    prefix is enumerated there and not again at the writes before.
    """
    n = moment.number
    yield Crash(n, "lost", 0)
    yield Crash(n, "kept", 0)
    for seed in range(draws):
        yield Crash(n, "torn", n * draws + seed)
        yield Crash(n, "reordered", n * draws + seed)
    if prefixes and moment.doing in ("sync", "syncdir", "end", "remove"):
        for last in range(moment.image.prefixes()):
            yield Crash(n, "prefix", last)


def hash_of(left: Left) -> bytes:
    """A hash of a disk."""
    whole = hashlib.blake2b(repr(sorted(left.directories)).encode(), digest_size=16)
    for path, body in sorted(left.files.items()):
        whole.update(f"{path} {len(body)} ".encode())
        whole.update(body)
    return whole.digest()


class Exploration:
    """The crashes of one workload, judged."""

    def __init__(self, workload: Workload, scratch: Path, *, tries: Callable[[], bool]) -> None:
        """`tries` says of each new way into a second crash whether it is taken."""
        self.workload = workload
        self.scratch = scratch
        self.tally = Tally()
        self.tries = tries
        self.draws_again = 1
        self._places = 0
        self._disks: set[bytes] = set()
        self._recoveries: set[bytes] = set()
        self._lives: set[tuple[bytes, int]] = set()
        self._audited: set[bytes] = set()
        self._backups: set[bytes] = set()
        (scratch / "live").mkdir()
        self.trail = live(workload, scratch / "live")
        for moment in self.trail.moments:
            self.tally.boundaries[moment.doing] += 1
        self.keys = (scratch / "live" / "host" / "keys" / "host.key").read_bytes()

    def judge(self, crash: Crash) -> bool:
        """Whether all holds after a crash; what does not is in the tally."""
        self.tally.states[crash.fate] += 1
        moment = self.trail.moments[crash.boundary]
        try:
            if crash.fate == KILLED:
                self._recover(moment, moment.image.left("kept"), moment.image, str(crash))
            else:
                left = moment.image.left(_fate(crash.fate), crash.seed)
                if self._is_new(left, moment):
                    self._recover(moment, left, None, str(crash))
        except (Wrong, AssertionError, AvmError, OSError) as why:
            self._wrong(str(crash), why)
            return False
        return True

    def _wrong(self, crash: str, why: Exception) -> None:
        self.tally.wrong.append(
            f"python -m tests.crashes --workload {self.workload.name} --crash {crash}"
            f"   # {type(why).__name__}: {why}"
        )

    def _is_new(self, left: Left, moment: Moment) -> bool:
        key = hash_of(left) + repr((moment.returned, id(moment.outside))).encode()
        if key in self._disks:
            return False
        self._disks.add(key)
        self.tally.disks += 1
        return True

    @contextmanager
    def _disk(self, left: Left, image: Image | None = None) -> Iterator[Disk]:
        """What is left, as a disk in a place of its own; with `image` nothing more is durable."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            populate(Path(name), left)
            disk = Disk(Path(name), image.model() if image is not None else None)
            try:
                yield disk
            finally:
                disk.close()

    # One level down.

    def _recover(self, moment: Moment, left: Left, image: Image | None, crash: str) -> None:
        """Opens what is left, goes on with it, and crashes while it is opened."""
        again: list[tuple[str, Image]] = []
        with self._disk(left, image) as disk:
            disk.watch = lambda doing, _path: again.append((doing, disk.image()))
            found = self._open(disk, moment)
            again.append(("end", disk.image()))
            self.tally.recoveries += 1
            self._go_on(moment, found, left)
        trace = hashlib.blake2b(left.files.get("host/store.db", b""), digest_size=16)
        trace.update(repr([doing for doing, _ in again]).encode())
        last = again[-1][1].left("kept")
        trace.update(hash_of(last))
        key = trace.digest() + (crash.encode() if image is not None else b"")
        if key not in self._recoveries and self.tries():
            self._recoveries.add(key)
            self._again(moment, again, found, crash)

    def _open(self, disk: Disk, moment: Moment) -> bytes:
        """What the store holds when it was opened as a starting host does."""
        opened = boot(disk, self.workload.log_pages_max)
        try:
            found = content(opened.store)
            expected = self.trail.contents[moment.returned : moment.returned + 2]
            holds(found in expected, "a commit is neither whole nor absent, or one is lost")
            if moment.returned:
                holds(opened.keys == self.keys, "the keys are others")
            damage = list(opened.store.verify())
            holds(not damage, f"verify: {damage}")
            if found not in self._audited:
                audited(opened.store, opened.keys)
                self._audited.add(found)
        finally:
            opened.store.close()
        self._see_backups(disk, moment)
        return found

    def _see_backups(self, disk: Disk, moment: Moment) -> None:
        for name in moment.outside.backups:
            holds((disk.root / name).exists(), f"{name} was made and is not there")
        for name in backups(disk.root):
            body = (disk.root / name).read_bytes()
            wanted = moment.outside.backups.get(name)
            key = hashlib.blake2b(body + (wanted or b"")).digest()
            if key not in self._backups:
                with tempfile.TemporaryDirectory(dir=self.scratch) as place:
                    scratch = Path(place) / "restored"
                    backup_is_whole(disk.root / name, scratch, self.keys, wanted)
                self._backups.add(key)
        for kind, place in [key for key in moment.outside.ledger if key[0] == "put"]:
            opened = boot(disk, self.workload.log_pages_max, place)
            found = content(opened.store)
            opened.store.close()
            holds(opened.keys == self.keys, f"{kind} {place}: the keys are others")
            holds(found == moment.outside.ledger[kind, place], f"{place} holds something else")

    # On to the end.

    def _go_on(self, moment: Moment, found: bytes, left: Left) -> None:
        """The host comes back from what is left and goes through the rest of its plan."""
        key = (found, id(moment.outside))
        if key in self._lives:
            return
        self._lives.add(key)
        self.tally.lives += 1
        model = self.trail.models[self.trail.contents.index(found, moment.returned)]
        with self._disk(left) as disk:
            outside = moment.outside.copy()
            host = DiskHost(
                disk, outside, self.workload.limits, self.workload.log_pages_max, model.copy()
            )
            told_is_kept(host)
            Play(host, self.workload.plan).run()
            quiet(host)

    # A crash of the recovery.

    def _again(
        self, moment: Moment, again: list[tuple[str, Image]], found: bytes, crash: str
    ) -> None:
        self.tally.again_boundaries += len(again)
        for number, (doing, image) in enumerate(again):
            fates = [("lost", 0), ("kept", 0)]
            fates += [("torn", number * 8 + draw) for draw in range(self.draws_again)]
            for fate, seed in fates:
                self.tally.again[fate] += 1
                left = image.left(_fate(fate), seed)
                key = hash_of(left) + repr((moment.returned, doing == "end" and found)).encode()
                if key in self._disks:
                    continue
                self._disks.add(key)
                self.tally.again_disks += 1
                second = f"{crash} --again {Crash(number, fate, seed)}"
                try:
                    with self._disk(left) as disk:
                        now = self._open(disk, moment)
                    if doing == "end":
                        holds(now == found, "what the host has come back with is gone again")
                except (Wrong, AssertionError, AvmError, OSError) as why:
                    self._wrong(second, why)


def _fate(name: str) -> Fate:
    assert name in ("lost", "kept", "prefix", "reordered", "torn"), name
    return name  # type: ignore[return-value]


def every(exploration: Exploration, draws: int) -> Iterator[Crash]:
    """Every crash of a workload."""
    for moment in exploration.trail.moments:
        yield from crashes_at(moment, draws, prefixes=True)
        if moment.doing in ("sync", "syncdir", "end"):
            yield Crash(moment.number, KILLED, 0)


def some(exploration: Exploration, share: float, seed: int) -> Iterator[Crash]:
    """A seeded part of them, and of each boundary what is lost at it."""
    entropy = Entropy(seed)
    for crash in every(exploration, 1):
        if crash.fate == "lost" or entropy.chance(share):
            yield crash
