"""Each crash of a workload, and of each recovery from one: made, recovered from, and judged.

A run of the workload leaves a moment before each write, truncation, synchronisation, creation,
renaming and removal. Of each moment every fate is made. What is left is opened as a starting host
opens it; the store must hold what was committed by the last commit that returned, or that and the
one under way. Then the host comes back, goes on to the end of its plan and is judged.

There are crashes of the recovery in two parts: while the store is opened (`again`), and while the
host that has opened it comes back and commits for the first time (`back`).

Equal things are judged once: equal disks in the same place of the run, and equal stores with the
same world outside, since all that comes then is decided by these.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from avm.errors import AvmError
from avm.sim.disk import Disk, populate
from avm.sim.image import Image, Left
from tests.crashes.host import HOST, DiskHost, Opened, Outside, boot, content
from tests.crashes.judge import Wrong, audited, backup_is_whole, holds, quiet, told_is_kept
from tests.crashes.play import Play, backups
from tests.crashes.trail import KILLED, Crash, Moment, Trail, Watching, hash_of, live
from tests.crashes.workloads import Workload

BAD = (Wrong, AssertionError, AvmError, OSError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Level:
    """What was enumerated at one depth: states by fate, how many of them differ, boundaries."""

    boundaries: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    disks: int = 0


@dataclass(slots=True)
class Tally:
    """What was enumerated and found: crashes, those of the opening, those of the coming back."""

    first: Level = field(default_factory=Level)
    again: Level = field(default_factory=Level)
    back: Level = field(default_factory=Level)
    lives: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the second crashes and of the lives are taken; each is asked for every new one."""

    again: Callable[[], bool] = lambda: True
    back: Callable[[], bool] = lambda: True
    life: Callable[[], bool] = lambda: True
    draws: int = 1
    only: str = ""


class Exploration:
    """The crashes of one workload, judged."""

    def __init__(self, workload: Workload, scratch: Path, choice: Choice) -> None:
        self.workload = workload
        self.scratch = scratch
        self.choice = choice
        self.tally = Tally()
        self._seen: set[bytes] = set()
        self._openings: set[bytes] = set()
        self._lives: set[tuple[object, ...]] = set()
        self._audited: set[bytes] = set()
        self._contents: dict[bytes, bytes] = {}
        self._kept: list[Trail] = []
        (scratch / "live").mkdir()
        self.trail = live(workload, scratch / "live")
        self.tally.first.boundaries.update(moment.doing for moment in self.trail.moments)
        self.keys = (scratch / "live" / "host" / "keys" / "host.key").read_bytes()

    def judge(self, crash: Crash) -> bool:
        """Whether all holds after a crash, and after those of its recovery."""
        before = len(self.tally.wrong)
        self._judge(self.trail, crash, self.tally.first, str(crash), True)
        return len(self.tally.wrong) == before

    def _judge(self, trail: Trail, crash: Crash, level: Level, told: str, deep: bool) -> None:
        level.states[crash.fate] += 1
        moment = trail.moments[crash.boundary]
        image = moment.image if crash.fate == KILLED else None
        left = crash.left(moment.image)
        if image is None and not self._is_new(left, moment.returned, id(moment.outside), deep):
            return
        level.disks += 1
        try:
            self._recover(trail, moment, left, image, told, deep)
        except BAD as why:
            self._wrong(told, why)

    def _wrong(self, told: str, why: Exception) -> None:
        command = f"python -m tests.crashes --workload {self.workload.name} --crash {told}"
        line = " ".join(str(why).split()).replace(str(self.scratch), "")
        self.tally.wrong.append(f"{command}   # {type(why).__name__}: {line[:300]}")

    def _is_new(self, left: Left, *place: object) -> bool:
        key = hash_of(left) + repr(place).encode()
        new = key not in self._seen
        self._seen.add(key)
        return new

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

    # The store is opened.

    def _recover(
        self, trail: Trail, moment: Moment, left: Left, image: Image | None, told: str, deep: bool
    ) -> None:
        again: list[tuple[str, Image]] = []
        with self._disk(left, image) as disk:
            disk.watch = lambda doing, _path: again.append((doing, disk.image()))
            found = self._open(disk, trail, moment)
            again.append(("end", disk.image()))
        self._go_on(trail, moment, found, left, image, told, deep)
        if deep and self._opens_anew(left, image, again) and self.choice.again():
            self._again(trail, moment, again, found, told)

    def _open(self, disk: Disk, trail: Trail, moment: Moment) -> bytes:
        """What the store holds when it was opened as a starting host does."""
        opened = boot(disk, self.workload.log_pages_max)
        try:
            found = self._read(opened)
            expected = trail.contents[moment.returned : moment.returned + 2]
            holds(found in expected, "a commit is neither whole nor absent, or one is lost")
            if moment.returned or trail is not self.trail:
                holds(opened.keys == self.keys, "the keys are others")
        finally:
            opened.store.close()
        self._see_backups(disk, moment.outside)
        return found

    def _read(self, opened: Opened) -> bytes:
        """What a store holds, in which `verify` finds nothing; the same of the same bytes."""
        path = opened.directory.store
        log = Path(f"{path}-wal").read_bytes()
        key = hashlib.blake2b(path.read_bytes() + b"|" + log).digest()
        if key not in self._contents:
            found = content(opened.store)
            damage = list(opened.store.verify())
            holds(not damage, f"verify: {damage}")
            if found not in self._audited:
                audited(opened.store, opened.keys)
                self._audited.add(found)
            self._contents[key] = found
        return self._contents[key]

    def _see_backups(self, disk: Disk, outside: Outside) -> None:
        for name in outside.backups:
            holds((disk.root / name).exists(), f"{name} was made and is not there")
        for name in backups(disk.root):
            body, wanted = (disk.root / name).read_bytes(), outside.backups.get(name)
            key = hashlib.blake2b(body + (wanted or b"")).digest()
            if key not in self._audited:
                with tempfile.TemporaryDirectory(dir=self.scratch) as place:
                    backup_is_whole(body, Path(place), self.keys, wanted)
                self._audited.add(key)
        for kind, place in [key for key in outside.ledger if key[0] == "put"]:
            opened = boot(disk, self.workload.log_pages_max, place)
            found = content(opened.store)
            opened.store.close()
            holds(opened.keys == self.keys, f"{kind} {place}: the keys are others")
            holds(found == outside.ledger[kind, place], f"{place} holds something else")

    # On to the end.

    def _go_on(
        self,
        trail: Trail,
        moment: Moment,
        found: bytes,
        left: Left,
        image: Image | None,
        told: str,
        deep: bool,
    ) -> None:
        """The host comes back from what is left and goes through the rest of its plan."""
        beside = {path: body for path, body in left.files.items() if not path.startswith(HOST)}
        key = (found, id(moment.outside), hash_of(Left(beside, frozenset())), image is None)
        if key in self._lives or not self.choice.life():
            return
        self._lives.add(key)
        self.tally.lives += 1
        model = trail.models[trail.contents.index(found, moment.returned)]
        with self._disk(left, image) as disk:
            watching = Watching(disk, moment.outside)
            limits, pages = self.workload.limits, self.workload.log_pages_max
            host = DiskHost(disk, moment.outside.copy(), limits, pages, model.copy())
            watching.host, opened = host, len(watching.moments)
            told_is_kept(host)
            host.settle()
            back = watching.trail()
            Play(host, self.workload.plan).run()
            quiet(host)
        if deep and self.choice.back():
            self._kept.append(back)
            self._back(back, opened, told)

    # Crashes of the recovery.

    def _opens_anew(self, left: Left, image: Image | None, again: list[tuple[str, Image]]) -> bool:
        """Whether this opening writes what none did before.

        What stands in the log behind its last commit is not read, so that it makes no difference.
        """
        if image is not None:
            return True
        key = hashlib.blake2b(digest_size=16)
        for path, body in sorted(left.files.items()):
            if not path.endswith("-wal"):
                key.update(path.encode() + body)
        key.update(repr([doing for doing, _ in again]).encode())
        key.update(hash_of(again[-1][1].left("kept")))
        new = key.digest() not in self._openings
        self._openings.add(key.digest())
        return new

    def _second(self, image: Image, number: int) -> Iterator[tuple[Crash, Left]]:
        crashes = [Crash(number, "lost", 0), Crash(number, "kept", 0)]
        for draw in range(self.choice.draws):
            crashes.append(Crash(number, "torn", number * self.choice.draws + draw))
        for crash in crashes:
            yield crash, crash.left(image)

    def _again(
        self,
        trail: Trail,
        moment: Moment,
        again: list[tuple[str, Image]],
        found: bytes,
        told: str,
    ) -> None:
        """Crashes while the store is opened; once it is, what was found in it has to stay."""
        level = self.tally.again
        level.boundaries.update(doing for doing, _ in again)
        for number, (doing, image) in enumerate(again):
            for crash, left in self._second(image, number):
                second = f"{told} --again {crash}"
                level.states[crash.fate] += 1
                at_end = found if doing == "end" else b""
                if not self._is_new(left, moment.returned, "again", at_end):
                    continue
                level.disks += 1
                try:
                    with self._disk(left) as disk:
                        now = self._open(disk, trail, moment)
                    holds(now == found or not at_end, "what a host came back with is gone again")
                except BAD as why:
                    self._wrong(second, why)

    def _back(self, trail: Trail, opened: int, told: str) -> None:
        """Crashes from where the store has opened to the first commits' end, and on to the end again."""
        level = self.tally.back
        level.boundaries.update(moment.doing for moment in trail.moments[opened:])
        for moment in trail.moments[opened:]:
            for crash, _left in self._second(moment.image, moment.number):
                self._judge(trail, crash, level, f"{told} --back {crash}", False)
