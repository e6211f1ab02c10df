"""S08: hosts behind routers, in network namespaces with nftables masquerading: real processes, real UDP."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from avm.plugin.session import Client
from tests.net.hosts import RunningHost, wait_until
from tests.net.routers import IDLE_S, Router, World, wait_until_introduced, ways_to, world
from tests.net.spread import address_of, route_of

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.rerun_share=0")
KEEPS_PORTS = "masquerade"
RANDOM = "masquerade fully-random"
FIREWALL = "accept"
# RFC 4787 asks routers for 120 s at least.
FORGETS_S = 6


class Pair(NamedTuple):
    """Two hosts behind routers of their own; a machine at one, a caller at the other."""

    world: World
    known: RunningHost
    routers: tuple[Router, Router]
    here: RunningHost
    there: RunningHost
    client: Client
    add: bytes

    def ways(self) -> list[str]:
        """How the links from the caller's host to the machine's go."""
        return ways_to(self.here, self.there)

    def add_one(self) -> None:
        """A call from one host to the other."""
        before = self.client.call(self.add, 0)
        assert isinstance(before, int)
        assert self.client.call(self.add, 1) == before + 1

    def stop(self) -> None:
        """All end in peace."""
        for host in self.world.hosts:
            assert host.stop() == 0
            assert "Traceback" not in host.said()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    """Nothing yet, but a network that all can reach."""
    with world(tmp_path, *SETTINGS) as one:
        yield one


def pair(
    made: World,
    mapping: str = KEEPS_PORTS,
    *settings: str,
    blocked: bool = False,
    listen: str = "",
) -> Pair:
    """A pair and a third host that both know; `blocked`: nothing goes from router to router."""
    known = made.public(1)
    route = route_of(known)
    routers = (made.router(1, mapping), made.router(2, mapping))
    if blocked:
        routers[0].block(routers[1].ip)
    here, there = (made.behind(one, *settings, through=route, ip=listen) for one in routers)
    client, owner = here.client("caller"), there.client("owner")
    names = there.create(owner, "tot.py", "tot")
    for one in (here, there):
        wait_until_introduced(one)
    return Pair(made, known, routers, here, there, client, owner.wire(names["add"]))


def test_s08_two_hosts_behind_routers_meet_through_a_third(made: World) -> None:
    two = pair(made, listen="0.0.0.0")
    two.add_one()
    assert two.ways() == ["punched"]
    two.stop()


def test_s08_two_hosts_behind_firewalls_meet_through_a_third(made: World) -> None:
    # Else one hears of the other by the third, and both dial at once: that opens the way as well.
    two = pair(made, FIREWALL, "limits.peers_dialed=1")
    two.add_one()
    assert two.ways() == ["punched"]


def test_s08_what_cannot_be_punched_is_relayed_by_one_that_sees_nothing_of_it(
    made: World, tmp_path: Path
) -> None:
    two = pair(made, RANDOM)
    two.add_one()
    assert two.ways() == ["relayed"]
    assert two.known.client().operate("status")["counts"]["relays.begun"] == 1
    assert two.here.client().operate("status")["reach"]["way"] == "introduced"
    owner = two.there.client("hoarder")
    put = owner.wire(two.there.create(owner, "hoard.py", "hoard")["put"])
    heard = tmp_path / "heard"
    word = "nothing of this is for a third"
    with two.world.spaces[two.known].overheard(heard):
        assert two.client.send(put, word * 200) == ["applied"]
    octets = heard.read_bytes()
    assert len(octets) > 2 * 200 * len(word), "all of it passed twice"
    assert word.encode() not in octets
    two.stop()


def test_s08_a_relayed_link_becomes_a_direct_one_when_the_way_is_free(made: World) -> None:
    two = pair(made, blocked=True)
    two.add_one()
    assert two.ways() == ["relayed"]
    two.routers[0].unblock()
    wait_until(lambda: two.ways() == ["punched"], "no better way is found", 60.0)
    two.add_one()
    two.stop()


def test_s08_a_link_outlives_the_time_that_a_router_keeps_a_mapping(made: World) -> None:
    made.hasty = False
    two = pair(made)
    for router in two.routers:
        router.forget_after(FORGETS_S)
    two.add_one()
    before = two.client.operate("links")
    time.sleep(1.5 * FORGETS_S)
    two.add_one()
    after = two.client.operate("links")
    assert [one["link"] for one in before] == [one["link"] for one in after]
    assert two.ways() == ["punched"]


def test_s08_a_conversation_goes_on_when_a_router_gets_another_ip(made: World) -> None:
    two = pair(made)
    two.add_one()
    assert two.ways() == ["punched"]
    for side in (0, 1):
        for _ in range(50):
            two.client.offer(two.add, 1)
        two.routers[side].move(50 + side)
        for _ in range(50):
            two.client.offer(two.add, 1)
        two.client.wait(lambda: two.client.idle)
    assert two.client.call(two.add, 0) == 201
    wait_until(lambda: two.ways() == ["punched"], "there is no punched link")


@pytest.mark.parametrize("mapping", [KEEPS_PORTS, RANDOM])
def test_t04_a_way_that_takes_less_than_before_costs_no_message(made: World, mapping: str) -> None:
    two = pair(made, mapping)
    owner = two.there.client("hoarder")
    put = owner.wire(two.there.create(owner, "hoard.py", "hoard")["put"])
    other = address_of(two.there)

    def is_sent_in_packets_of(size: int) -> bool:
        assert two.client.send(put, "x" * 50_000) == ["applied"]
        links = [one for one in two.client.operate("links") if one["host"] == other]
        return [one["packet_bytes"] for one in links] == [size]

    for mtu, size in ((1_500, 1_452), (1_420, 1_372), (1_300, 1_200)):
        two.routers[0].narrow(mtu)
        wait_until(partial(is_sent_in_packets_of, size), f"no packets of {size} bytes")
    assert two.ways() == ["punched" if mapping == KEEPS_PORTS else "relayed"]
    two.stop()


@pytest.mark.slow
def test_s08_a_relay_carries_bulk_within_its_rate(made: World) -> None:
    two = pair(made, RANDOM)
    owner = two.there.client("hoarder")
    put = owner.wire(two.there.create(owner, "hoard.py", "hoard")["put"])
    assert two.client.send(put, "first") == ["applied"]
    began = time.monotonic()
    for _ in range(40):
        two.client.offer(put, "x" * 25_000)
    two.client.wait(lambda: two.client.idle, 60.0)
    assert all(verdict == ["applied"] for verdict in two.client.settled.values())
    assert time.monotonic() - began > 1_000_000 / (128 * 1024) - 2, "no faster than is allowed"
    assert two.ways() == ["relayed"]


@pytest.mark.slow
def test_s08_hosts_are_introduced_again_when_the_third_comes_back(made: World) -> None:
    two = pair(made)
    known, clients = route_of(two.known).partition("@")[0], (two.client, two.there.client())
    two.known.kill()

    def is_missed() -> bool:
        linked = [one["host"] for client in clients for one in client.operate("links")]
        return known not in linked

    wait_until(is_missed, "the third is not missed", 4 * IDLE_S)
    two.known.start()
    two.client.wait(lambda: two.client.idle)
    two.add_one()
    assert two.ways() == ["punched"]


@pytest.mark.slow
def test_s08_two_hosts_behind_one_router_reach_each_other(made: World) -> None:
    route = route_of(made.public(1))
    router = made.router(1)
    here, there = (made.behind(router, through=route, port=4433 + one) for one in (0, 1))
    for one in (here, there):
        wait_until_introduced(one)
    client, owner = here.client("caller"), there.client("owner")
    add = owner.wire(there.create(owner, "tot.py", "tot")["add"])
    assert client.call(add, 5) == 5
    assert ways_to(here, there) in (["relayed"], ["punched"])


@pytest.mark.slow
def test_s08_a_mapping_that_ends_between_two_pings_costs_no_message(made: World) -> None:
    two = pair(made, RANDOM)
    for router in two.routers:
        router.forget_after(1)
    for _ in range(5):
        two.add_one()
        time.sleep(IDLE_S)
