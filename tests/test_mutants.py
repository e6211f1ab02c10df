"""Each seeded fault is caught by the test that is known to catch it."""

from collections.abc import Iterator

import pytest

from tests.mutants.__main__ import ALL, NEWEST, Trees
from tests.mutants.faults import Fault


def slice_of(faults: tuple[Fault, ...]) -> Iterator[object]:
    """The newest, and of the older ones every second; the others with --slow."""
    for place, fault in enumerate(faults):
        often = fault in NEWEST or place % 2 == 0
        name = fault.name.replace(" ", "-")
        yield pytest.param(fault, id=name, marks=() if often else pytest.mark.slow)


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with Trees() as found:
        yield found


@pytest.mark.parametrize("fault", list(slice_of(ALL)))
def test_a_seeded_fault_is_caught(trees: Trees, fault: Fault) -> None:
    assert trees.catches(fault, fault.caught_by), "the test lets this fault live"
