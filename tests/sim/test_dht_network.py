"""Whole networks of real nodes from a seed: small slices of `make dht-sim`, which has the full figures.

A failing test is repeated by its own name; the seeds stand in it.
"""

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest

from bench.dht_churn import churn, partition
from bench.dht_sim import Tally, network, series
from bench.dht_world import SETTINGS, World
from dht.node import Node
from dht.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
GROUND = 100


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_w18_a_record_is_found_though_many_nodes_lie(share: float) -> None:
    world, honest = network(400, 11, share)
    tally = series(world, honest, 60, Tally())
    assert tally.found == tally.lookups == 60
    assert max(tally.get_most, tally.put_most) <= 300
    if not share:
        assert tally.get / tally.lookups <= 8
        assert tally.put / tally.puts <= 95


def eclipse(seed: int, settings: Settings = SETTINGS, nodes: int = 300) -> tuple[bool, int]:
    """Whether a key is found with a hundred ids ground next to it, and the requests it took."""
    world = World(seed, settings)
    owner, reader = world.add(), world.add()
    for _ in range(nodes - 2):
        world.add()
    point = int.from_bytes(world.home(owner).address, "big")
    for _ in range(GROUND):
        ground_id = (point ^ world.random.getrandbits(200)).to_bytes(32, "big")
        world.add(colludes=True, ground_id=ground_id)
    world.settle()
    published = world.publish_home(owner)
    ended = world.locate(reader, world.home(owner).address)
    return bool(ended.records), max(published.requests, ended.requests)


@pytest.mark.parametrize("seed", range(5))
def test_w18_ids_ground_next_to_a_key_do_not_hide_it(seed: int) -> None:
    found, requests = eclipse(seed)
    assert found
    assert requests <= 300


def test_without_the_search_of_the_region_ground_ids_do_hide_a_key() -> None:
    classic = replace(SETTINGS, region_starts=0)
    assert sum(eclipse(seed, classic)[0] for seed in range(5)) <= 1


def test_the_first_record_comes_soon_though_a_fifth_is_dead_and_datagrams_are_lost() -> None:
    world, nodes = network(400, 12)
    for place in world.random.sample(nodes, 80):
        place.alive = False
    world.faults.loss = 0.02
    firsts: list[int] = []
    alive = [place for place in nodes if place.alive]
    tally = series(world, alive, 100, Tally(firsts=firsts))
    firsts.sort()
    assert tally.found == 100
    assert firsts[50] <= 130 and firsts[98] <= 400


def test_w18_hosts_that_come_back_on_new_ports_are_found_and_no_sequence_goes_back() -> None:
    found, stale, went_back, _ = churn(1, 13, hosts=25)
    assert found.value == 100
    assert stale.value == 0
    assert went_back.value == 0


def test_two_halves_that_were_cut_apart_find_each_other_within_an_hour() -> None:
    apart, healed = partition(14, hosts=24, probes=10)
    assert apart.value < 100
    assert healed.value == 100


def test_an_address_that_is_nowhere_is_a_miss_within_its_bound() -> None:
    world, nodes = network(400, 15)
    ended = world.locate(nodes[0], bytes(32))
    assert ended.records == () and ended.escalated
    assert ended.requests <= 300


def fingerprint(seed: int) -> str:
    """A hash over all lookups of a small run, with their times and traces."""
    world, honest = network(120, seed, 0.2)
    world.faults.loss = 0.05
    hashed = blake2b()
    for number in range(8):
        owner = honest[number]
        world.publish_home(owner)
        ended = world.locate(honest[-number - 1], world.home(owner).address)
        hashed.update(repr((ended, world.now_ms, world.datagrams)).encode())
    return hashed.hexdigest()


def test_p05_the_same_seed_gives_the_same_network_under_another_hash_seed() -> None:
    program = "from tests.sim.test_dht_network import fingerprint; print(fingerprint(16))"
    environ = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(16) != fingerprint(17)


def test_p05_a_node_does_the_same_after_it_was_saved_and_loaded() -> None:
    world, _ = network(60, 18)
    for place in world.places[:5]:
        world.publish_home(place)
    node = world.places[0].node
    assert isinstance(node, Node)
    saved = node.saved()
    again = world.make_node(world.places[0].key, world.places[0].contact.endpoint)
    again.load(world.now_ms, saved)
    kept = again.saved()
    assert kept.sequences == saved.sequences
    assert kept.marks == saved.marks
    assert kept.held == saved.held
    assert set(kept.table.lost) == set(saved.table.contacts)
