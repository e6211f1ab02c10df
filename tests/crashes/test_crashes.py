"""A part of all crashes of the three workloads; `make crashes` makes every one of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avm.sim.entropy import Entropy
from tests.crashes.explore import Choice, Exploration, Level
from tests.crashes.trail import KILLED, Crash, crashes_at
from tests.crashes.workloads import WORKLOADS

LEAST = {"tokens": 700, "life": 1_000, "checkpoints": 400}
"""Of single crashes, enough for 2,000 of the three."""


def never() -> bool:
    return False


def seldom(one_in: int) -> Callable[[], bool]:
    entropy = Entropy(one_in)
    return lambda: entropy.below(one_in) == 0


def some(exploration: Exploration, one_in: int) -> Iterator[Crash]:
    """Of each boundary what is lost at it and what is kept, and of the other crashes one in so many."""
    entropy = Entropy(one_in)
    for moment in exploration.trail.moments:
        for crash in crashes_at(moment, 1):
            if crash.fate in ("lost", "kept") or entropy.below(one_in) == 0:
                yield crash


def all_hold(exploration: Exploration, crashes: Iterator[Crash]) -> None:
    """Fails with the one command that repeats the first that does not."""
    for crash in crashes:
        assert exploration.judge(crash), exploration.tally.wrong[0]


def count(level: Level) -> int:
    return sum(level.states.values())


@pytest.mark.parametrize("name", WORKLOADS)
def test_c01_after_a_crash_at_any_boundary_each_commit_is_whole_or_absent(
    name: str, tmp_path: Path
) -> None:
    exploration = Exploration(WORKLOADS[name], tmp_path, Choice(never, never, never))
    all_hold(exploration, some(exploration, 6))
    assert count(exploration.tally.first) >= LEAST[name]


@pytest.mark.parametrize("name", WORKLOADS)
def test_c04_what_was_acknowledged_is_applied_and_applied_once_after_a_crash_anywhere(
    name: str, tmp_path: Path
) -> None:
    exploration = Exploration(WORKLOADS[name], tmp_path, Choice(never, never, seldom(3)))
    moments = exploration.trail.moments
    ends = (Crash(one.number, fate, 0) for one in moments for fate in ("lost", "kept"))
    all_hold(exploration, (crash for crash in ends if moments[crash.boundary].doing == "sync"))
    assert exploration.tally.lives >= 5


@pytest.mark.parametrize("name", WORKLOADS)
def test_c01_a_crash_while_a_host_recovers_from_one_changes_nothing(
    name: str, tmp_path: Path
) -> None:
    choice = Choice(seldom(8), seldom(2), seldom(20))
    exploration = Exploration(WORKLOADS[name], tmp_path, choice)
    entropy = Entropy(3)
    crashes = (crash for one in exploration.trail.moments for crash in crashes_at(one, 1))
    chosen = (one for one in crashes if entropy.below(40 if one.fate != KILLED else 12) == 0)
    all_hold(exploration, chosen)
    assert count(exploration.tally.again) >= 200
