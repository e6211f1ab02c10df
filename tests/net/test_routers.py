"""S08: hosts behind routers, in network namespaces with nftables masquerading: real processes, real UDP."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.net.client import Client
from tests.net.hosts import RunningHost, wait_until
from tests.net.routers import Router, World, wait_until_introduced, ways_to, world
from tests.net.spread import route_of

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.rerun_share=0")
RANDOM = "masquerade fully-random"


class Pair(NamedTuple):
    """Two hosts behind routers of their own; a machine at one, a caller at the other."""

    world: World
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


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, *SETTINGS) as one:
        yield one


def pair(made: World, mapping: str = "masquerade", *, blocked: bool = False) -> Pair:
    """A pair and a third host that both know; `blocked`: nothing goes from router to router."""
    route = route_of(made.public(1))
    routers = (made.router(1, mapping), made.router(2, mapping))
    if blocked:
        routers[0].block(routers[1].ip)
    here, there = (made.behind(one, through=route) for one in routers)
    client, owner = here.client("caller"), there.client("owner")
    names = there.create(owner, "tot.py", "tot")
    for one in (here, there):
        wait_until_introduced(one)
    return Pair(made, routers, here, there, client, owner.wire(names["add"]))


def test_s08_two_hosts_behind_routers_meet_through_a_third(made: World) -> None:
    two = pair(made)
    two.add_one()
    assert two.ways() == ["punched"]


def test_s08_what_cannot_be_punched_is_relayed(made: World) -> None:
    two = pair(made, RANDOM)
    two.add_one()
    assert two.ways() == ["relayed"]


def test_s08_a_relayed_link_becomes_a_direct_one_when_the_way_is_free(made: World) -> None:
    two = pair(made, blocked=True)
    two.add_one()
    assert two.ways() == ["relayed"]
    two.routers[0].unblock()
    wait_until(lambda: two.ways() == ["punched"], "no better way is found", 60.0)
    two.add_one()


def test_s08_a_link_outlives_the_time_that_a_router_keeps_a_mapping(made: World) -> None:
    two = pair(made)
    for router in two.routers:
        router.forget_after(5)
    two.add_one()
    before = two.client.operate("links")
    time.sleep(12)
    two.add_one()
    after = two.client.operate("links")
    assert [one["link"] for one in before] == [one["link"] for one in after]
    assert two.ways() == ["punched"]


@pytest.mark.parametrize("side", [0, 1])
def test_s08_a_conversation_goes_on_when_a_router_gets_another_ip(made: World, side: int) -> None:
    two = pair(made)
    two.add_one()
    assert two.ways() == ["punched"]
    two.routers[side].move(50)
    two.add_one()
    assert two.ways() == ["punched"]
