"""Each crash of a workload, and of each recovery from one: made, recovered from, and judged.

A run of the workload leaves a moment before each write, truncation, synchronisation, creation,
renaming and removal. Of each moment every fate is made. What is left is opened as a starting host
opens it; the store must hold what was committed by the last commit that returned, or that and the
one under way. Then the host comes back, goes on to the end of its plan and is judged.

There are crashes of the recovery in two parts: while the store is opened (`again`), and while the
host that has opened it comes back and commits for the first time (`back`). After each of these the
host comes back once more and lives to its end.

Equal things are judged once, and equal is what `tests.crashes.equal` says: an opening for each disk,
a life for each disk that has been opened and each world outside, and the two at each place.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from avm.sim.image import Image
from avm.store.memory import MemoryStore
from tests.crashes.host import DiskHost
from tests.crashes.judge import States, quiet, told_is_kept
from tests.crashes.opening import BAD, Opening, Openings, Place, Start
from tests.crashes.play import Play
from tests.crashes.trail import (
    KILLED,
    Crash,
    Moment,
    Trail,
    Watching,
    live,
    second_crashes_at,
)
from tests.crashes.workloads import Workload


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


class Exploration:
    """The crashes of one workload, judged."""

    def __init__(self, workload: Workload, scratch: Path, choice: Choice) -> None:
        self.workload = workload
        self.scratch = scratch
        self.choice = choice
        self.tally = Tally()
        self._judged: set[tuple[bytes, bytes, bool]] = set()
        self._lived: set[tuple[bytes, bytes, bool]] = set()
        self._states: dict[bytes, States] = {}
        self._models: dict[bytes, MemoryStore] = {}
        (scratch / "live").mkdir()
        self.trail = live(workload, scratch / "live")
        self._know(self.trail)
        self.tally.first.boundaries.update(moment.doing for moment in self.trail.moments)
        self.keys = (scratch / "live" / "host" / "keys" / "host.key").read_bytes()
        self.openings = Openings(scratch, workload.log_pages_max, self.keys)

    def judge(self, crash: Crash) -> bool:
        """Whether all holds after a crash, and after those of its recovery."""
        before = len(self.tally.wrong)
        place = self._place(self.trail, self.trail.moments[crash.boundary])
        self._crash(self.trail, crash, place, self.tally.first, str(crash), True)
        return len(self.tally.wrong) == before

    def _know(self, trail: Trail) -> None:
        self._models.update(zip(trail.contents, trail.models, strict=True))

    def _place(self, trail: Trail, moment: Moment) -> Place:
        allowed = trail.contents[moment.returned : moment.returned + 2]
        keyed = moment.returned > 0 or trail is not self.trail
        return Place(moment.outside, tuple(allowed), keyed)

    def _crash(
        self, trail: Trail, crash: Crash, place: Place, level: Level, told: str, deep: bool
    ) -> None:
        level.states[crash.fate] += 1
        self._judge(started(crash, trail.moments[crash.boundary].image), place, level, told, deep)

    def _judge(self, start: Start, place: Place, level: Level, told: str, deep: bool) -> None:
        """What is left is opened and lives on, once for each two of a disk and a place."""
        key = start.digest, place.digest
        if (*key, True) in self._judged or (*key, deep) in self._judged:
            return
        self._judged.add((*key, deep))
        level.disks += 1
        opening = self.openings.of(start, place.outside)
        try:
            opening.fits(place, self.keys)
            self._go_on(start, place, opening, told, deep)
        except BAD as why:
            self._wrong(told, why)
            return
        if deep and self.choice.again():
            self._again(start, place, opening, told)

    def _wrong(self, told: str, why: Exception) -> None:
        command = f"python -m tests.crashes --workload {self.workload.name} --crash {told}"
        line = " ".join(str(why).split()).replace(str(self.scratch), "")
        self.tally.wrong.append(f"{command}   # {type(why).__name__}: {line[:300]}")

    # On to the end.

    def _go_on(self, start: Start, place: Place, opening: Opening, told: str, deep: bool) -> None:
        """The host comes back from what is left and goes through the rest of its plan."""
        outside = place.outside.digest
        key = (opening.after if deep else opening.seen), outside, deep
        if key in self._lived or not self.choice.life():
            return
        self._lived |= {key, (opening.seen, outside, False)}
        self.tally.lives += 1
        back = self._live(start, place, self._models[opening.found].copy(), deep)
        if back is not None and self.choice.back():
            self._know(back.trail)
            self._back(back, told)

    def _live(self, start: Start, place: Place, model: MemoryStore, watched: bool) -> "Back | None":
        """A life to its end, with the boundaries of its coming back where it is watched."""
        limits, pages = self.workload.limits, self.workload.log_pages_max
        back: Back | None = None
        with self.openings.disk(start) as disk:
            watching = Watching(disk, place.outside) if watched else None
            host = DiskHost(disk, place.outside, limits, pages, model, watched)
            told_is_kept(host)
            opened = 0
            if watching is not None:
                watching.host, opened = host, len(watching.moments)
            host.settle()
            if watching is not None:
                back = Back(watching.trail(), opened)
            Play(host, self.workload.plan).run()
            quiet(host, self._states)
        return back

    # Crashes of the recovery.

    def _again(self, start: Start, place: Place, opening: Opening, told: str) -> None:
        """Crashes while the store is opened; once it is, what was found in it has to stay."""
        again: list[tuple[str, Image]] = []
        self.openings.watched(
            start, place.outside, lambda disk, doing: again.append((doing, disk.image()))
        )
        level = self.tally.again
        level.boundaries.update(doing for doing, _image in again)
        ended = Place(place.outside, (opening.found,), place.keyed)
        for number, (doing, image) in enumerate(again):
            there = ended if doing == "end" else place
            for crash in second_crashes_at(number, doing, image, self.choice.draws):
                level.states[crash.fate] += 1
                second = f"{told} --again {crash}"
                self._judge(started(crash, image), there, level, second, False)

    def _back(self, back: "Back", told: str) -> None:
        """Crashes from where the store has opened to the first commits' end, and on to the end again."""
        level, trail = self.tally.back, back.trail
        for moment in trail.moments[back.opened :]:
            level.boundaries[moment.doing] += 1
            place = self._place(trail, moment)
            number, doing, image = moment.number, moment.doing, moment.image
            for crash in second_crashes_at(number, doing, image, self.choice.draws):
                self._crash(trail, crash, place, level, f"{told} --back {crash}", False)


@dataclass(frozen=True, slots=True)
class Back:
    """The boundaries of a host that came back: of its opening, and from there to rest."""

    trail: Trail
    opened: int


def started(crash: Crash, image: Image) -> Start:
    """What a crash leaves."""
    return Start(crash.left(image), image if crash.fate == KILLED else None)
