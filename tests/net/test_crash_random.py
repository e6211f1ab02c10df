"""Kill -9 of the host and of its workers at random moments, while apples move: the apple test.

A cycle is one kill. After each kill of a host the journals are checked before it starts again.
"""

import random
from contextlib import suppress

import pytest

from avm.plugin.session import HostGone
from tests.net.hosts import RunningHost, wait_until
from tests.net.orchards import Orchards

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=2", "limits.turn_tries=50", "limits.snapshot_turns=60")


def campaign(host: RunningHost, seed: int, host_kills: int, worker_kills: int) -> Orchards:
    """Kills the host so many times, and between two of them a worker so many times."""
    host.settings.extend(SETTINGS)
    host.start()
    orchards = Orchards(host, seed)
    orchards.plant()
    rng = random.Random(f"{seed} kills")
    for _ in range(host_kills):
        for _ in range(worker_kills):
            orchards.work(rng.uniform(0.02, 0.12))
            host.kill_worker(rng.choice(wait_until(host.workers)))
        with suppress(HostGone):
            orchards.work(rng.uniform(0.0, 0.25))
        orchards.go_on()
    return orchards


def test_c02_apples_are_neither_lost_nor_doubled_when_host_and_workers_are_killed(
    host: RunningHost,
) -> None:
    campaign(host, 1, host_kills=15, worker_kills=3).check()
    assert "Traceback" not in host.said()


def test_c04_a_host_stopped_in_the_middle_of_work_goes_on_where_it_was(host: RunningHost) -> None:
    host.settings.extend(SETTINGS)
    host.start()
    orchards = Orchards(host, 7, orchards=3, movers=2)
    orchards.plant()
    for _ in range(3):
        orchards.work(0.2)
        assert host.stop() == 0
        orchards.go_on()
    orchards.check()
    assert "Traceback" not in host.said()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_c02_apples_are_neither_lost_nor_doubled_in_the_long_run(
    host: RunningHost, seed: int
) -> None:
    campaign(host, seed, host_kills=60, worker_kills=4).check()
