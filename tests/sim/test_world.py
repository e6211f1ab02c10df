"""A world of whole hosts: one seed one trace, and saved, loaded or forked it is the same world."""

import os
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avm.graph import BadGraph
from avm.sim.drawing import draw
from avm.sim.events import Committed, Crashed, LinkUp, Started
from avm.sim.plan import ClockDrift, Crash, Plan
from avm.sim.world import World
from tests.sim.code import replayed
from tests.sim.grove import Diary, Grove, code_of

HOSTS = ("h0", "h1", "h2")
SEEDS = range(3)


def rough(seed: int) -> Plan:
    """A plan with everything in it that can go wrong."""
    return draw(seed, HOSTS, 8.0, every_s=0.4)


@pytest.mark.parametrize("seed", SEEDS)
def test_p05_the_same_seed_and_plan_give_the_same_trace(seed: int) -> None:
    one, other = (Grove(seed, plan=rough(seed)).play(60) for _ in range(2))
    assert one.world.digest == other.world.digest
    assert one.world.counts == other.world.counts
    assert one.world.save() == other.world.save()
    assert one.world.digest != Grove(seed + 100, plan=rough(seed)).play(60).world.digest


@pytest.mark.net
def test_p05_the_trace_is_the_same_in_another_process_under_another_hash_seed() -> None:
    told = "from tests.sim.test_world import *; print(Grove(3, plan=rough(3)).play(40).world.digest.hex())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert digests == {Grove(3, plan=rough(3)).play(40).world.digest.hex().encode() + b"\n"}


@pytest.mark.parametrize("seed", SEEDS)
def test_p02_a_fork_and_a_replay_from_the_start_agree_byte_for_byte(seed: int) -> None:
    grove = Grove(seed, plan=rough(seed)).play(30)
    fork = grove.on(grove.world.fork())
    replay = Grove(seed, plan=rough(seed)).play(30)
    for one in (grove, fork, replay):
        one.play(30)
        one.world.quiet(60)
    assert grove.world.save() == fork.world.save() == replay.world.save()
    assert grove.world.digest == fork.world.digest == replay.world.digest


@settings(max_examples=6)
@example(3, 798)  # Contacts are in a set there, which has them by hashes.
@given(st.integers(0, 3), st.integers(1, 1500))
def test_p02_a_world_saved_at_any_instant_goes_on_as_if_it_had_not_been(
    seed: int, steps: int
) -> None:
    grove = Grove(seed, plan=rough(seed)).play(5, 0.0)
    for _ in range(steps):
        grove.world.step()
    body = grove.world.save()
    loaded = grove.on(World.load_untrusted(body, code_of))
    assert loaded.world.save() == body
    for one in (grove, loaded):
        one.play(6, 0.3)
    assert loaded.world.digest == grove.world.digest
    assert loaded.world.save() == grove.world.save()


def test_p02_what_is_planned_for_a_worker_is_so_in_the_loaded_world() -> None:
    grove = Grove(1).play(1, 0.0)

    def planned(world: World) -> list[bool]:
        return [one.is_planned for host in world.hosts for one in host.workers.values()]

    while not any(planned(grove.world)):
        assert grove.world.step()
    loaded = grove.on(World.load_untrusted(grove.world.save(), code_of))
    assert planned(loaded.world) == planned(grove.world)
    for one in (grove, loaded):
        one.play(2, 0.3)
    assert loaded.world.digest == grove.world.digest


def test_p02_a_fork_goes_its_own_way() -> None:
    grove = Grove(1).play(6)
    before = grove.world.save()
    fork = grove.on(grove.world.fork())
    fork.world.inject(Crash(0, "h1", 500))
    fork.play(12)
    assert grove.world.save() == before
    assert fork.world.counts["crash"] == 1
    assert grove.world.counts["crash"] == 0


def test_p02_timers_and_asks_that_are_open_are_so_in_the_loaded_world() -> None:
    grove = Grove(2)
    client = grove.clients[0]
    client.ask(grove.go[1], ("0", 1, 3, 0), timeout_s=30)
    grove.world.run(0.005)
    loaded = grove.on(World.load_untrusted(grove.world.save(), code_of))
    assert not loaded.clients[0].outcomes
    for one in (grove, loaded):
        one.world.run_until(lambda one=one: bool(one.clients[0].outcomes), 30)  # type: ignore[misc]
    assert loaded.clients[0].outcomes == grove.clients[0].outcomes == {1: [4 + 3]}


@settings(max_examples=60)
@given(st.data())
def test_p08_bytes_that_are_no_world_are_told(data: st.DataObject) -> None:
    spoiled = bytearray(SAVED)
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    try:
        World.load_untrusted(bytes(spoiled[: data.draw(st.integers(0, len(spoiled)))]), code_of)
    except BadGraph:
        pass


def test_p05_a_hundred_hosts_and_their_network_in_one_process() -> None:
    world = World(5)
    for number in range(100):
        world.add_host(f"h{number}")
        world.run(0.05)
    world.run(5)
    sites = world.scene.sites
    assert min(len(site.node.table) for site in sites if site.node is not None) > 30
    caps = [host.create("pouch", code_of(b""), (n,)) for n, host in enumerate(world.hosts[:8])]
    clients = [world.client(host) for host in world.hosts[50:58]]
    for n, client in enumerate(clients):
        client.send(world.outside(world.hosts[n], caps[n].names["alarm"]), 0.5)
    assert world.run_until(lambda: all(client.verdicts for client in clients), 60)
    assert [client.verdicts for client in clients] == [[(1, ["applied"])]] * 8


def test_a_world_is_quiet_when_nobody_owes_anybody_anything() -> None:
    grove = Grove(6, plan=rough(6)).play(40)
    assert grove.world.quiet(120)
    for host in grove.world.hosts:
        assert host.up and not host.core.owes() and not host.core.host.inbox
    tokens = [token for host in grove.world.hosts for token in replayed(host, "pouch").tokens]
    assert len(tokens) == len(set(tokens))


def test_what_was_planned_does_not_come_after_quiet_and_what_is_added_then_does() -> None:
    world = World(1, Plan((Crash(5_000, "a"), Crash(9_000, "a"))), dht=False)
    world.add_host("a")
    assert world.quiet(1)
    world.inject(Crash(7_000, "a"))
    world.run(6)
    assert world.counts["crash"] == 0
    world.run(10)
    assert world.counts["crash"] == 1


def test_who_watches_is_told_of_each_event_when_it_is_so() -> None:
    grove = Grove(1, plan=Plan((Crash(2_000, "h2", 300),)))
    diary = Diary(Crashed, Started, LinkUp)
    grove.world.watch(diary)
    seen: list[bool] = []

    class Reader:
        def happened(self, world: World, event: object) -> None:
            if isinstance(event, Committed):
                store = world.host(event.host).store
                rows = event.transaction.puts.items()
                seen.append(all(store.get(key) == value for key, value in rows))

    grove.world.watch(Reader())
    grove.play(30)
    assert [type(event) for _, event in diary.events if isinstance(event, Crashed | Started)] == [
        Crashed,
        Started,
    ]
    assert any(isinstance(event, LinkUp) for _, event in diary.events)
    assert seen and all(seen)


def test_what_is_due_at_one_instant_comes_in_an_order_that_the_seed_draws() -> None:
    orders = set()
    for seed in range(8):
        grove = Grove(seed, dht=False)
        for client, go in zip(grove.clients, grove.go, strict=True):
            client.send(go, ("z", 1, 1, 1))
        diary = Diary(Committed)
        grove.world.watch(diary)
        grove.world.run(0.01)
        orders.add(tuple(event.host for _, event in diary.events if isinstance(event, Committed)))
    assert len(orders) > 2


def test_a_clock_that_drifts_is_off_by_so_much_and_no_more_afterwards() -> None:
    world = World(1, Plan((ClockDrift(1_000, 10_000, "a", 50_000),)), dht=False)
    world.add_host("a")
    world.run(11)
    assert world.host("a").core.host.now_ms <= world.now_ms + 500
    world.run(60)
    site = world.scene.sites[0]
    assert site.clock_ms(world.scene.now_us) - world.now_ms == 500


SAVED = Grove(1, hosts=2).play(3).world.save()
