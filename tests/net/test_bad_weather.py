"""Several host processes in bad weather: every datagram between them goes through a seeded proxy."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.net.client import HostGone
from tests.net.hosts import RunningHost, wait_until
from tests.net.judge import judge
from tests.net.spread import Spread, seeded
from tests.net.weather import CALM, STORM, Front, Weather, in_weather

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.snapshot_turns=60", "limits.rerun_share=0")


@pytest.fixture
def weather() -> Iterator[Weather]:
    """Fair, until a test says otherwise."""
    one = Weather(1)
    yield one
    one.close()


@pytest.fixture
def hosts(tmp_path: Path, weather: Weather) -> Iterator[list[Front]]:
    """Three hosts."""
    running = in_weather(tmp_path, weather, "abc", *SETTINGS)
    yield running
    for one in running:
        one.close()


@pytest.fixture
def pair(tmp_path: Path, weather: Weather) -> Iterator[list[Front]]:
    """Two hosts."""
    running = in_weather(tmp_path, weather, "ab", *SETTINGS)
    yield running
    for one in running:
        one.close()


class Post:
    """A machine `mail` at each host, and a client there."""

    def __init__(self, hosts: list[Front]) -> None:
        self.hosts = hosts
        self.clients = [host.client(f"clerk {i}", durable=True) for i, host in enumerate(hosts)]
        self.caps: list[dict[str, bytes]] = []
        for host, client in zip(hosts, self.clients, strict=True):
            names: Any = host.create(client, "mail.py")
            self.caps.append({name: client.wire(cap) for name, cap in names.items()})

    def back(self, host: Front) -> None:
        """Has a host that was killed come back, and its client with it."""
        with suppress(HostGone):
            for client in self.clients:
                while client.pump():
                    pass
        host.kill()
        host.start()
        client = self.clients[self.hosts.index(host)]
        client.connect()
        # Who is asked by it uses the new link from then on, and need not wait for the old one's end.
        for caps in self.caps:
            client.offer(caps["read"], asks=True)

    def read(self, place: int) -> Any:
        """What the machine at a host says of itself."""
        return self.clients[place].call(self.caps[place]["read"])


def test_w05_a_thousand_batches_come_without_gap_double_or_inversion(
    pair: list[Front], weather: Weather
) -> None:
    post = Post(pair)
    here, there = pair
    client = post.clients[0]
    weather.turns(STORM)
    to = client.hold(post.caps[1]["take"])
    for n in range(10):
        assert client.send(post.caps[0]["post"], (to, 1 + 100 * n, 100)) == ["applied"]
    killed = [(150, there), (400, here), (650, there), (850, here)]
    for at, host in killed:
        wait_until(lambda at=at: post.read(1)[0] >= at, f"letter {at} does not come")
        post.back(host)
    wait_until(lambda: post.read(1)[0] == 1000, "not all letters come")
    assert post.read(1)[2] == ()
    weather.turns(CALM)
    for host in pair:
        assert host.stop() == 0
    journal = judge(there.directory.store)
    sender = next(pair for pair in journal.marks if journal.marks[pair] == 1000)
    sent = judge(here.directory.store).sent
    assert sent[sender] == 1000
