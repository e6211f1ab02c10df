"""Machines on several hosts under crashes, broken links and hosts that are away for a while."""

import pytest

from tests.sim.orchard import Orchard


@pytest.mark.parametrize("seed", range(12))
def test_c02_tokens_are_conserved_over_three_hosts(seed: int) -> None:
    orchard = Orchard(seed)
    orchard.run(40, crash=0.01, cut=0.02, stop=0.005)
    orchard.check()
