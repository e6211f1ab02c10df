"""A part of all crashes of the workloads; `make crashes` makes every one of them."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avm.sim.entropy import Entropy
from tests.crashes.explore import Choice, Exploration, Level
from tests.crashes.trail import DRAWN, KILLED, STILL, SYNCS, Crash, crashes_at
from tests.crashes.workloads import WORKLOADS

SHM = Path("/dev/shm")
KINDS = {*STILL, *DRAWN, "prefix", KILLED}
RECOVERIES = {"small": (4, 2, 6, 40, 8), "tokens": (9, 1, 16, 60, 30)}
"""Of openings, comings back and lives one in so many, of the crashes before, and of those killed."""

LEAST = {"small": 400, "tokens": 600, "life": 800, "checkpoints": 600}
"""Of single crashes."""
SHARES = {"small": (1, 9), "tokens": (3, 20), "life": (10, 60), "checkpoints": (1, 9)}
"""Of those of which all is kept one in so many, and of those between."""
KILLED_EARLY = 11
"""The first boundaries: a directory, keys and a store are made."""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A place in memory, where there is one."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as place:
        yield Path(place)


def never() -> bool:
    return False


def seldom(one_in: int) -> Callable[[], bool]:
    entropy = Entropy(one_in)
    return lambda: entropy.below(one_in) == 0


def some(exploration: Exploration, kept: int, other: int) -> Iterator[Crash]:
    """What is lost at each boundary; what is kept at one in so many, and of other crashes one in so many."""
    entropy = Entropy(9)
    for moment in exploration.trail.moments:
        for crash in crashes_at(moment, 1):
            one_in = {"lost": 1, "kept": kept}.get(crash.fate, other)
            if entropy.below(one_in) == 0:
                yield crash


def all_hold(exploration: Exploration, crashes: Iterator[Crash]) -> None:
    """Fails with the one command that repeats the first that does not."""
    for crash in crashes:
        assert exploration.judge(crash), exploration.tally.wrong[0]


def count(level: Level) -> int:
    return sum(level.states.values())


@pytest.mark.parametrize("name", WORKLOADS)
def test_c01_after_a_crash_at_any_boundary_each_commit_is_whole_or_absent(
    name: str, scratch: Path
) -> None:
    exploration = Exploration(WORKLOADS[name], scratch, Choice(never, never, never))
    all_hold(exploration, some(exploration, *SHARES[name]))
    assert count(exploration.tally.first) >= LEAST[name]


@pytest.mark.parametrize("name", ["tokens", "checkpoints"])
def test_c04_what_was_acknowledged_is_applied_and_applied_once_after_a_crash_anywhere(
    name: str, scratch: Path
) -> None:
    exploration = Exploration(WORKLOADS[name], scratch, Choice(never, never, seldom(7)))
    moments = exploration.trail.moments
    ends = (Crash(one.number, fate, 0) for one in moments for fate in ("lost", "kept"))
    all_hold(exploration, (crash for crash in ends if moments[crash.boundary].doing == "sync"))
    assert exploration.tally.lives >= 5


@pytest.mark.parametrize("name", RECOVERIES)
def test_c01_a_crash_while_a_host_recovers_from_one_changes_nothing(
    name: str, scratch: Path
) -> None:
    again, back, life, few, killed = RECOVERIES[name]
    choice = Choice(seldom(again), seldom(back), seldom(life))
    exploration = Exploration(WORKLOADS[name], scratch, choice)
    entropy = Entropy(3)
    crashes = (crash for one in exploration.trail.moments for crash in crashes_at(one, 1))
    chosen = (one for one in crashes if entropy.below(few if one.fate != KILLED else killed) == 0)
    all_hold(exploration, chosen)
    tally = exploration.tally
    assert {kind for kind in KINDS if tally.again.states[kind]} == KINDS
    assert {kind for kind in KINDS if tally.back.states[kind]} == KINDS
    assert count(tally.again) >= 150 and tally.lives >= 5


def test_c01_a_process_that_is_killed_and_then_the_power_lose_nothing(scratch: Path) -> None:
    """A name that is in the system's cache alone looks as if it had been synchronised."""
    choice = Choice(seldom(1), never, never, draws=0)
    exploration = Exploration(WORKLOADS["small"], scratch, choice)
    moments = exploration.trail.moments[:KILLED_EARLY]
    all_hold(exploration, (Crash(one.number, KILLED, 0) for one in moments if one.doing in SYNCS))


def test_c01_a_backup_after_a_crash_in_the_midst_of_one_is_whole(scratch: Path) -> None:
    """What an earlier attempt left beside the new file was once taken for its log."""
    exploration = Exploration(WORKLOADS["small"], scratch, Choice(never, never))
    moments = exploration.trail.moments
    making = [m for m in moments if WORKLOADS["small"].plan[m.outside.at : m.outside.at + 1]]
    backup = [m for m in making if WORKLOADS["small"].plan[m.outside.at][0] in ("backup", "come")]
    assert len(backup) > 20
    all_hold(exploration, (Crash(m.number, "kept", 0) for m in backup if m.doing in SYNCS))
