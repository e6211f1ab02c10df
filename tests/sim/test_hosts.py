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


@pytest.mark.parametrize("seed", range(2000, 2020))
def test_c02_tokens_are_conserved_though_hosts_are_cut_apart_and_deaths_go_unnoticed(
    seed: int,
) -> None:
    orchard = Orchard(seed)
    orchard.run(40, crash=0.02, cut=0.02, stop=0.01, part=0.05)
    orchard.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3400))
def test_c02_tokens_are_conserved_though_hosts_are_cut_apart_in_the_long_run(seed: int) -> None:
    orchard = Orchard(seed)
    orchard.run(120, crash=0.02, cut=0.02, stop=0.02, part=0.05)
    orchard.check()


@pytest.mark.parametrize("seed", range(4000, 4010))
def test_c02_tokens_are_conserved_though_clocks_are_off(seed: int) -> None:
    orchard = Orchard(seed, skew=True)
    orchard.run(40, crash=0.02, cut=0.03, part=0.03)
    orchard.check()
