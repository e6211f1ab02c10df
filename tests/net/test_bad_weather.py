"""Several host processes in bad weather: every datagram between them goes through a seeded proxy."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import wait_until
from tests.net.judge import judge
from tests.net.post import Post
from tests.net.spread import SETTINGS, Spread, seeded
from tests.net.udp_proxy import Faults
from tests.net.weather import CALM, STORM, Front, Weather, in_weather

pytestmark = pytest.mark.net
MIB = 1024 * 1024


@pytest.fixture
def hosts(tmp_path: Path, weather: Weather) -> Iterator[list[Front]]:
    """Three hosts."""
    running = in_weather(tmp_path, weather, "abc", *SETTINGS)
    yield running
    for one in running:
        one.close()


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
        post.await_letter(1, at)
        post.back(host)
    post.await_letter(1, 1000)
    assert post.read(1)[2] == ()
    weather.turns(CALM)
    for host in pair:
        assert host.stop() == 0
    journal = judge(there.directory.store)
    sender = next(pair for pair in journal.marks if journal.marks[pair] == 1000)
    sent = judge(here.directory.store).sent
    assert sent[sender] == 1000


def weathered_apples(
    hosts: list[Front], weather: Weather, seed: int, moves: int, paused_s: float
) -> Spread:
    """Moves of apples while datagrams are lost and hosts killed with -9 or stopped for a while."""
    spread = Spread(list(hosts), seed)
    spread.plant()
    weather.turns(STORM)
    rng = seeded(seed)
    while sum(sum(mover.ordered.values()) for mover in spread.movers) < moves:
        spread.work(0.3)
        host = rng.choice(hosts)
        match rng.randrange(4):
            case 0:
                spread.kill_and_start(host, elsewhere=False)
            case 1:
                os.kill(host.pid, signal.SIGSTOP)
                time.sleep(rng.random() * paused_s)
                os.kill(host.pid, signal.SIGCONT)
            case 2:
                weather.rebind(host.front)
            case 3:
                host.kill_worker(rng.choice(wait_until(host.workers)))
    weather.turns(CALM)
    return spread


def test_c02_apples_on_three_hosts_in_a_storm_are_neither_lost_nor_doubled(
    hosts: list[Front], weather: Weather
) -> None:
    weathered_apples(hosts, weather, 1, 300, 1.0).settled_check()


@pytest.mark.slow
def test_c02_twenty_thousand_moves_in_a_storm(hosts: list[Front], weather: Weather) -> None:
    weathered_apples(hosts, weather, 2, 20_000, 6.0).settled_check()


def test_w28_an_ask_whose_fate_is_unknown_has_that_one_outcome_though_both_hosts_die(
    pair: list[Front],
) -> None:
    post = Post(pair)
    here, there = pair
    asker, answerer = post.clients
    to = asker.hold(post.caps[1]["take"])
    ask = post.caps[0]["ask"]
    assert asker.send(ask, (to, 1, 20.0)) == ["applied"]
    wait_until(lambda: post.read(0)[4].get(1) == ("1",), "no answer")
    answerer.operate("suspend", machine="mail", mode="hold")
    assert asker.send(ask, (to, 2, 3.0)) == ["applied"]
    wait_until(lambda: answerer.operate("status")["waiting"] == 1, "it does not arrive")
    there.kill()
    post.back(here)
    wait_until(lambda: post.read(0)[4].get(2), "no outcome")
    assert post.read(0)[4][2] == ("unknown",)
    there.start()
    answerer.connect()
    answerer.operate("resume", machine="mail")
    assert asker.send(ask, (to, 3, 20.0)) == ["applied"]
    wait_until(lambda: post.read(0)[4].get(3) == ("3",), "it goes on", 20.0)
    assert post.read(0)[4][2] == ("unknown",), "each ask has one outcome"
    assert post.read(1)[0] == 3


def test_s02_six_asks_at_once_are_answered_out_of_order(
    pair: list[Front], weather: Weather
) -> None:
    post = Post(pair)
    asker, answerer = post.clients
    weather.turns(STORM)
    asks = []
    for n in range(1, 7):
        asker.offer(post.caps[1]["keep"], n, asks=True)
        asks.append(asker.next_ask)
    wait_until(lambda: post.read(1)[3] == 6, "not all come")
    for n in (4, 1, 6, 2, 5, 3):
        assert answerer.send(post.caps[1]["answer"], n) == ["applied"]
        asker.wait(partial(asker.outcomes.get, asks[n - 1]))
        assert asker.outcomes[asks[n - 1]] == [n]
    assert post.read(1)[3] == 0


@pytest.mark.parametrize("megabytes", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_s06_bulk_comes_through_a_tenth_lost_while_small_messages_stay_answered(
    pair: list[Front], weather: Weather, megabytes: int
) -> None:
    post = Post(pair)
    asker, owner = post.clients
    small: Any = pair[1].create(owner, "mail.py", "small")
    take = owner.wire(small["take"])
    assert asker.call(take, 1) == 1
    weather.turns(Faults(loss=0.1))
    for _ in range(megabytes):
        asker.offer(post.caps[1]["bulk"], *["x" * 250_000] * 4)
    waits: list[float] = []
    while not asker.idle:
        began = time.monotonic()
        number = len(waits) + 2
        assert asker.call(take, number) == number
        waits.append(time.monotonic() - began)
    assert post.read(1)[1] == megabytes * 1_000_000
    assert len(waits) > megabytes, "small ones wait for large ones"


def test_s11_links_stay_up_while_a_commit_is_held_back(tmp_path: Path, weather: Weather) -> None:
    held = tmp_path / "held"
    pair = in_weather(tmp_path, weather, "ab", *SETTINGS)
    here, there = pair
    try:
        there.kill()
        there.faults = ["--hold", str(held)]
        here.kill()
        for host in pair:
            host.settings += ["links.idle_s=1.5", "links.keep_alive_s=0.375"]
            host.start()
        post = Post(pair)
        asker = post.clients[0]
        assert asker.call(post.caps[1]["take"], 1) == 1
        links = here.said().count("link.up")
        held.touch()
        asker.offer(post.caps[1]["take"], 2, asks=True)
        ask, end = asker.next_ask, time.monotonic() + 4.0
        wait_until(lambda: asker.pump() or time.monotonic() > end)
        while time.monotonic() < end:
            asker.pump(0.05)
        assert not asker.outcomes[ask], "nothing leaves before its commit"
        held.unlink()
        asker.wait(lambda: asker.outcomes[ask])
        assert asker.outcomes[ask] == [2]
        assert here.said().count("link.up") == links and "link.down" not in here.said()
    finally:
        held.unlink(missing_ok=True)
        for host in pair:
            host.close()
