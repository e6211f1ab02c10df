"""Each seeded fault is caught by the test that is known to catch it."""

import pytest

from tests.mutants.__main__ import FAULTS, catches
from tests.mutants.faults import Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_seeded_fault_is_caught(fault: Fault) -> None:
    assert catches(fault, fault.caught_by), "the test lets this fault live"
