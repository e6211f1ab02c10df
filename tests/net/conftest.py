"""A host process, or two in weather of their own, for each test that asks for them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import RunningHost
from tests.net.spread import SETTINGS
from tests.net.weather import Front, Weather, in_weather

# A shell has what it starts in the background ignore interrupts, and so would the hosts and commands here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningHost]:
    """A host that has not been started."""
    one = RunningHost(tmp_path)
    yield one
    one.close()


@pytest.fixture
def weather() -> Iterator[Weather]:
    """Fair, until a test says otherwise."""
    one = Weather(1)
    yield one
    one.close()


@pytest.fixture
def pair(tmp_path: Path, weather: Weather) -> Iterator[list[Front]]:
    """Two hosts, each behind the weather."""
    running = in_weather(tmp_path, weather, "ab", *SETTINGS)
    yield running
    for one in running:
        one.close()
