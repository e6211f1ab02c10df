"""Several host processes on loopback: found by the network, linked by QUIC, killed with -9."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caps.map import Map
from caps.value import Failed
from tests.net.hosts import RunningHost, wait_until
from tests.net.spread import SETTINGS, Spread, listening, route_of, seeded, three_hosts

pytestmark = pytest.mark.net


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[RunningHost]]:
    """Three hosts that know one another by the first alone."""
    running = three_hosts(tmp_path, *SETTINGS)
    yield running
    for one in running:
        one.close()


def test_c02_apples_on_three_hosts_are_neither_lost_nor_doubled_under_kill_9(
    hosts: list[RunningHost],
) -> None:
    spread = Spread(hosts, 1)
    spread.plant()
    rng = seeded(1)
    for round_ in range(4):
        for one in hosts:
            spread.work(0.15)
            one.kill_worker(rng.choice(wait_until(one.workers)))
        spread.work(0.2)
        spread.kill_and_start(rng.choice(hosts), elsewhere=round_ == 2)
    spread.work(0.2)
    spread.settled_check()


def test_w18_a_host_that_comes_back_on_another_port_is_found_again(
    hosts: list[RunningHost],
) -> None:
    here, _, there = hosts
    spread = Spread([here, there], 2, orchards=2)
    spread.plant()
    order = spread.caps[1]["move"]
    assert spread.movers[0].client.call(order, (1, 1, 0, 0.0, None)) == 1
    spread.kill_and_start(there, elsewhere=True)
    assert spread.movers[0].client.call(order, (1, 2, 0, 0.0, None)) == 2
    spread.movers[0].ordered[1] = 2


def test_w28_an_ask_to_a_host_that_is_gone_is_unknown_or_undelivered_at_its_deadline(
    tmp_path: Path,
) -> None:
    soon = (*SETTINGS, "links.idle_s=2", "links.keep_alive_s=0.5", "links.handshake_s=2")
    first = listening(tmp_path / "a", *soon)
    first.start()
    other = listening(tmp_path / "b", *soon, through=route_of(first))
    other.start()
    try:
        client, there = first.client("asker"), other.client("maker")
        names = other.create(there, "orchard.py", "orchard-0", 0)
        report = there.wire(names["report"])
        assert isinstance(client.call(report), Map)
        other.kill()
        client.offer(report, asks=True, deadline_ms=3000)
        ask = client.next_ask
        client.wait(lambda: client.outcomes[ask], 20.0)
        (said,) = client.outcomes[ask]
        assert isinstance(said, Failed) and said.why in ("unknown", "undelivered")
        other.start()
        there.connect()
        again = client.call(report, within_s=60.0)
        assert isinstance(again, Map) and again["wrong"] == ()
    finally:
        first.close()
        other.close()


def test_a_link_that_was_full_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    here = listening(tmp_path / "a", *SETTINGS)
    here.start()
    there = listening(tmp_path / "b", *SETTINGS, through=route_of(here))
    there.start()
    try:
        client, owner = here.client("sender"), there.client("owner")
        hoards = [there.create(owner, "hoard.py", f"hoard-{number}") for number in range(8)]
        puts = [owner.wire(names["put"]) for names in hoards]
        assert all(client.send(put, "first") == ["applied"] for put in puts)
        for _ in range(24):
            for put in puts:
                client.offer(put, "x" * 10_000)
        client.wait(lambda: client.idle)
        assert all(verdict == ["applied"] for verdict in client.settled.values())
        assert here.stop() == 0 and there.stop() == 0
    finally:
        here.close()
        there.close()


def test_t08_a_drained_host_delivers_what_it_owes_and_takes_nothing_new(
    hosts: list[RunningHost],
) -> None:
    here, _, there = hosts
    spread = Spread([here, there], 3, orchards=2)
    spread.plant()
    client = here.client("drainer")
    there.kill()
    report = spread.caps[1]["report"]
    client.offer(report)
    wait_until(lambda: client.pump() or client.operate("channels"))
    assert client.operate("drain", timeout_ms=100) == {"owes": 1, "moving": 0}
    there.start()
    assert client.operate("drain", timeout_ms=25_000) == {"owes": 0, "moving": 0}
    place = client.offer(report)
    client.pump(1.0)
    assert place not in client.settled, "it is told to come again"
    assert here.stop() == 0


def test_a_host_that_was_killed_and_is_back_is_noticed_before_the_idle_time(
    tmp_path: Path,
) -> None:
    here = listening(tmp_path / "a", *SETTINGS, "links.idle_s=60.0", "links.keep_alive_s=0.5")
    here.start()
    there = listening(tmp_path / "b", *SETTINGS, through=route_of(here))
    there.start()
    try:
        client, owner = here.client("asker"), there.client("maker")
        names = there.create(owner, "orchard.py", "orchard-0", 0)
        report = owner.wire(names["report"])
        assert isinstance(client.call(report), Map)
        there.kill()
        there.start()
        wait_until(lambda: "the peer does not know the link any more" in here.said(), within_s=10.0)
        assert isinstance(client.call(report), Map)
    finally:
        here.close()
        there.close()
