"""Machines on several hosts under crashes, broken links and hosts that are away for a while."""

import pytest

from tests.sim.orchard import Orchard


@pytest.mark.parametrize("seed", range(30))
def test_c02_tokens_are_conserved_over_three_hosts(seed: int) -> None:
    orchard = Orchard(seed)
    orchard.run(40, crash=0.02, cut=0.03, stop=0.02)
    orchard.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_c02_tokens_are_conserved_over_three_hosts_in_the_long_run(seed: int) -> None:
    orchard = Orchard(seed)
    orchard.run(120, crash=0.02, cut=0.03, stop=0.02)
    orchard.check()
