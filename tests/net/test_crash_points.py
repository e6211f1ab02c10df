"""Kill -9 of the host at named points of a message's journey: all or nothing at each of them.

One host goes through all points, one after the other: what a crash leaves is what the next begins
with. Points that come with a start are reached by starting again, the others by moving apples.
"""

import pytest

from avm.plugin.session import HostGone
from tests.net.entry import POINTS
from tests.net.hosts import RunningHost, wait_until
from tests.net.orchards import Orchards

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=2", "limits.turn_tries=50", "limits.snapshot_turns=10")
SIGKILLED = -9

# Where nothing happens unless something else is done as well, and where it happens seldom.
DRAINING = "draining"
WORKER_LOST = ("worker lost",)
AT_START = ("in the middle of loading the host", "the host loaded", "worker started")
MOVING = [name for name in POINTS if name not in (DRAINING, *WORKER_LOST, *AT_START)]
WITHIN_S = 8.0


def die_at(orchards: Orchards, point: str, at: int) -> None:
    """Starts the host so that it dies at a point, and works until it has."""
    host = orchards.host
    host.start(point, at)
    try:
        orchards.connect()
        if point == DRAINING:
            orchards.work(0.05)
            assert host.stop() == SIGKILLED
        if point in WORKER_LOST:
            kill_workers(orchards)
        orchards.work(WITHIN_S)
    except HostGone:
        pass
    wait_until(lambda: host.ended, f"the point is not reached: {point}, {at}", WITHIN_S)
    assert host.exit_code() == SIGKILLED, f"{point}, {at}: {host.said()[-2000:]}"
    host.kill()
    orchards.acknowledged_is_there()


def kill_workers(orchards: Orchards) -> None:
    """Kills one worker after the other; `HostGone` when the host has died of that."""
    while True:
        orchards.host.kill_worker(wait_until(orchards.host.workers)[0])
        orchards.work(0.1)


def campaign(host: RunningHost, seed: int, points: list[tuple[str, int]]) -> None:
    host.settings.extend(SETTINGS)
    host.start()
    orchards = Orchards(host, seed, orchards=3, movers=2)
    orchards.plant()
    assert host.stop() == 0
    for point, at in points:
        die_at(orchards, point, at)
    host.start()
    orchards.connect()
    orchards.check()


def test_c01_a_crash_at_any_point_of_the_journey_leaves_all_or_nothing(host: RunningHost) -> None:
    campaign(host, 1, [(point, 1 + place % 3) for place, point in enumerate(MOVING)])


def test_c04_a_crash_while_starting_or_stopping_loses_nothing(host: RunningHost) -> None:
    points = [(point, 1) for point in (*AT_START, *WORKER_LOST, DRAINING)]
    campaign(host, 5, [("worker started", 2), *points])


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3, 4, 7, 12, 25, 40, 77])
def test_c01_a_crash_at_any_point_leaves_all_or_nothing_at_length(
    host: RunningHost, at: int
) -> None:
    often = [point for point in MOVING if "machine" not in point and "signal" not in point]
    campaign(host, 100 + at, [(point, at) for point in often])
