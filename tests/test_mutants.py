"""Each seeded fault is caught by the test that is known to catch it."""

from collections.abc import Iterator

import pytest

from tests.mutants.__main__ import ALL, Trees
from tests.mutants.faults import Fault


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with Trees() as found:
        yield found


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_seeded_fault_is_caught(trees: Trees, fault: Fault) -> None:
    assert trees.catches(fault, fault.caught_by), "the test lets this fault live"
