"""Each seeded fault is caught by the test that is known to catch it: the first ones and a twelfth of the rest."""

from collections.abc import Iterator

import pytest

from tests.mutants.__main__ import ALL, Trees
from tests.mutants.faults import Fault

# What loses, doubles or disorders a message on one host; then every twelfth of all others.
FIRST, EVERY = 15, 12


def slice_of(faults: tuple[Fault, ...]) -> Iterator[object]:
    """Those that are run with each change; the others are with --slow, and with `make mutants`."""
    for place, fault in enumerate(faults):
        often = place < FIRST or place % EVERY == 0
        name = fault.name.replace(" ", "-")
        yield pytest.param(fault, id=name, marks=() if often else pytest.mark.slow)


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with Trees() as found:
        yield found


@pytest.mark.parametrize("fault", list(slice_of(ALL)))
def test_a_seeded_fault_is_caught(trees: Trees, fault: Fault) -> None:
    assert trees.catches(fault, fault.caught_by), "the test lets this fault live"
