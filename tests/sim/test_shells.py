"""Whole hosts with their trio shells in virtual time: what must hold, and that each run repeats."""

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from avm.link.memory_port import Weather
from avm.run.announcing import Announcer
from caps.identity import Endpoint
from caps.value import Capability
from dht.record import LocationRecord
from tests.sim import apple, copse
from tests.sim.code import ModuleCode, replayed
from tests.sim.orchard import sealed
from tests.sim.shells import ShellHost, Shells, Trace, run

ROOT = Path(__file__).resolve().parent.parent.parent
CALM = Weather(latency_s=0.004)
JOIN_S = 5.0


class Two:
    """A pouch at one host, and a client at another that found it by lookup."""

    def __init__(self, shells: Shells, nursery: trio.Nursery) -> None:
        self.shells = shells
        self.nursery = nursery
        self.there, self.here = shells.hosts[:2]
        made = self.there.sim.create("pouch", ModuleCode(apple), ())
        self.client = self.here.sim.client()
        wire = self.there.sim.core.seal(made.names["take"])
        self.take: Capability = self.client.hold(sealed(wire))

    async def give(self, token: int, within_s: float) -> None:
        """The pouch is given a token, and says thanks in time."""
        ask = self.client.ask(self.take, (token, 1))
        self.here.act()
        await trio.sleep(within_s)
        assert self.client.outcomes.get(ask) == ["thanks"]

    def tokens(self) -> tuple[int, ...]:
        """What the pouch holds."""
        found: tuple[int, ...] = replayed(self.there.sim, "pouch").tokens
        return found


def tell(story: Callable[[Two], Awaitable[None]], seed: int = 2, hosts: int = 2) -> Trace:
    """All hosts are on, and what they announce is where it belongs; then the story begins."""
    trace = Trace()

    async def main() -> None:
        shells = Shells(seed, hosts, trace, CALM)
        async with trio.open_nursery() as nursery:
            two = Two(shells, nursery)
            nursery.start_soon(shells.carry)
            for host in shells.hosts:
                nursery.start_soon(host.live)
            await trio.sleep(JOIN_S)
            await story(two)
            nursery.cancel_scope.cancel()

    run(seed, main)
    return trace


async def _ask(two: Two) -> None:
    await two.give(7, within_s=0.5)
    assert two.here.sim.core.host.links and two.tokens() == (7,)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_host_finds_a_machine_of_another_by_lookup_and_asks_it_over_a_link(seed: int) -> None:
    tell(_ask, seed)


@pytest.mark.parametrize("end", [ShellHost.stop, ShellHost.kill])
def test_a_host_that_is_back_at_another_port_is_found_there(
    end: Callable[[ShellHost], None],
) -> None:
    async def story(two: Two) -> None:
        await two.give(1, within_s=0.5)
        end(two.there)
        two.there.rebind()
        await trio.sleep(1)
        two.nursery.start_soon(two.there.live)
        await two.give(2, within_s=20)
        assert two.tokens() == (1, 2)

    tell(story, seed=1, hosts=3)  # in a local network, where a host that is back dials nobody


@pytest.mark.parametrize("end", [ShellHost.stop, ShellHost.kill])
def test_w18_a_host_that_has_started_again_is_told_what_it_kept_for_others(
    end: Callable[[ShellHost], None],
) -> None:
    def kept(two: Two) -> set[bytes]:
        assert two.here.network is not None
        shell = two.here.network.shell
        return {one.record.key for one in shell.node.portrait(shell.now_ms()).held}

    async def story(two: Two) -> None:
        await two.give(1, within_s=0.5)
        announced = {two.there.address, *two.there.sim.core.host.machines}
        assert kept(two) == announced
        end(two.here)
        await trio.sleep(1)
        two.nursery.start_soon(two.here.live)
        await trio.sleep(JOIN_S)
        assert kept(two) == announced

    tell(story)


def test_an_ask_outlives_links_that_break_and_hosts_that_are_parted_for_a_while() -> None:
    async def story(two: Two) -> None:
        await two.give(1, within_s=0.5)
        wire, ends = two.shells.wire, (two.here.endpoint, two.there.endpoint)
        wire.sever(*ends)
        await two.give(2, within_s=5)
        wire.sever(*reversed(ends))
        await two.give(3, within_s=5)
        wire.part(*ends)
        ask = two.client.ask(two.take, (4, 1))
        two.here.act()
        await trio.sleep(20)
        assert ask not in two.client.outcomes
        wire.join_all()
        await trio.sleep(20)
        assert two.client.outcomes[ask] == ["thanks"]
        assert two.tokens() == (1, 2, 3, 4)

    tell(story)


def test_p01_tasks_that_are_ready_together_go_on_in_an_order_of_the_seed() -> None:
    assert _order(1) == _order(1) != _order(2)


def _order(seed: int) -> list[int]:
    """In which order two tasks go on, a hundred times."""
    order: list[int] = []

    async def task(number: int) -> None:
        for _ in range(100):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task, 1)
            nursery.start_soon(task, 2)

    run(seed, main)
    return order


def test_other_seeds_give_other_runs() -> None:
    """A trace that does not see the run could not fail to repeat."""
    first, second = tell(_ask, 1), tell(_ask, 2)
    assert first.digest() != second.digest() and first.counts["piece 1"] and first.counts["came"]


@pytest.mark.parametrize("seed", range(1, 5))
def test_c02_tokens_are_conserved_by_whole_hosts_and_a_run_repeats(seed: int) -> None:
    first = copse.play(seed)
    assert first.digest() == copse.play(seed).digest()
    assert first.counts["link.down"] and first.counts["link.up"] > 3, (
        "links break, and are made anew"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_200))
def test_c02_tokens_are_conserved_by_whole_hosts_in_the_long_run(seed: int) -> None:
    copse.play(seed)


def test_p01_a_run_of_whole_hosts_is_the_same_in_another_process_under_another_hash_seed() -> None:
    assert digests("1", 5, 6) == digests("77", 5, 6)


def digests(hash_seed: str, *seeds: int) -> list[str]:
    """What the command that repeats a run prints, one line a seed."""
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.sim.copse", *map(str, seeds)]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(seeds)
    return lines


def test_s10_a_node_that_knows_nobody_any_more_enters_by_the_links_of_its_host() -> None:
    async def story(two: Two) -> None:
        await two.give(1, within_s=0.5)
        network = two.here.network
        assert network is not None
        node, shell = network.shell.node, network.shell
        for contact in list(node.table):
            node.table.remove_contact(contact)
        node.table.lost.clear()
        shell.join(())
        await trio.sleep(node.settings.lost_retry_ms / 1000 + 1)
        assert len(node.table) == 1

    tell(story)


@pytest.mark.parametrize("seed", range(1, 7))
def test_s08_of_two_ways_announced_in_one_moment_the_later_one_stands(seed: int) -> None:
    first, last = (Endpoint(bytes((10, 0, 0, number)), 4_433) for number in (1, 2))

    async def story(two: Two) -> None:
        here, there = two.here.network, two.there.network
        assert here is not None and there is not None
        core, places = two.here.sim.core, [(first,), (last,)]
        routes = partial(places.pop, 0)
        keys, start = core.host.keys, two.nursery.start_soon
        announcer = Announcer(core, keys, routes, here.shell, start, two.here._note)
        announcer.publish_host()
        announcer.publish_host()
        await trio.sleep(JOIN_S)
        ended = await there.shell.locate(core.host.address)
        content = ended.records[0].content
        assert isinstance(content, LocationRecord) and content.location.where == (last,)

    tell(story, seed)
