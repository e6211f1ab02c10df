"""Forks: what holds of a machine's past holds in its copy, and nothing of the copy holds elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host.batch import Said
from avm.host.capability import Cap, Local
from avm.host.chain import input_of
from avm.host.journal import digest_of
from avm.host.keys import Keyring
from avm.limits import Limits
from avm.machine.inside import Inside
from avm.machine.prepared import load_bytes
from avm.machine.worker import Interior, Tell
from avm.run import forks
from avm.run.audit import Audit
from avm.run.forking import KEY_BYTES, Copy, turns_at
from avm.run.labels import Labels, Lens
from avm.run.moments import moment_at
from avm.run.reading import NoSuchTurn, Reader
from avm.run.replaying import replay
from avm.run.rerun import Agreed
from avm.run.solo import Outcome, Solo
from avm.run.states import state_at
from avm.sim.entropy import Entropy
from avm.sim.world import World
from avm.store.interface import Store
from avm.store.memory import MemoryStore
from caps.codec import decode_content_untrusted, encode_content, encode_state
from caps.errors import InvalidCapability, Malformed
from caps.slots import Foreign
from caps.value import Failed, freeze
from tests.avm.journals import COUNTER, LIMITS, busy_world, in_process, make, tell, upgrade
from tests.avm.relays import relays
from tests.avm.store_dump import dump
from tests.sim.code import entries

SMALL = Limits(snapshot_turns=7)


def entropy() -> Iterator[bytes]:
    stream = Entropy(77)
    while True:
        yield stream.bytes(KEY_BYTES)


def fork_of(world: World, chosen: dict[str, int], waiting: bool = False) -> MemoryStore:
    """The store of a fork: machines by name, each up to a turn."""
    reader = Reader(world.store)
    by_id = {reader.machine(name).id: turn for name, turn in chosen.items()}
    store = MemoryStore()
    for transaction in Copy(reader, by_id, waiting, keys()).transactions(entropy()):
        store.commit([transaction])
    return store


def keys() -> Keyring:
    return Keyring(b"f" * 32, b"g" * 32)


def running(store: MemoryStore) -> Solo:
    """The fork, run as the command does, but for the worker's process."""

    def inside(tell: Tell) -> Interior:
        return Inside(LIMITS, lambda body: load_bytes(body, LIMITS.printed_bytes), tell)

    now_ms = max(one.now_ms for one in Reader(store).machines())
    return Solo(store, keys(), LIMITS, now_ms, ("sim", "sim"), inside)


def named(store: Store, machine: str, name: str) -> Local:
    reader = Reader(store)
    cap = reader.names(reader.machine(machine))[name]
    assert isinstance(cap, Local)
    return cap


def said(to: Local, content: object, *caps: Cap) -> Said:
    return Said(to, encode_content(freeze(content))[0], caps, None)


def head(fork: Solo, name: str) -> int:
    return fork.core.host.names[name].head


def state_of(store: Store, name: str, turn: int | None = None) -> bytes:
    reader = Reader(store)
    return digest_of(*state_at(reader, reader.machine(name), in_process(), turn))


@given(turn=st.integers(0, 24))
@settings(max_examples=8)
def test_x05_a_fork_is_the_machine_as_it_was_and_a_whole_store(turn: int) -> None:
    world = busy_world(SMALL)
    before = dump(world.store)
    store = fork_of(world, {"counter": turn})
    reader = Reader(store)
    machine = reader.machine("counter")
    assert machine.head == turn + 1
    assert state_of(store, "counter") == state_of(world.store, "counter", turn)
    forked_keys = keys()
    forked_keys.add_machine(machine.address, machine.sealed_keys)
    assert list(Audit(reader, forked_keys).problems()) == []
    assert isinstance(replay(reader, machine, in_process(), any_python=True), Agreed)
    assert dump(world.store) == before


@given(turn=st.integers(0, 18))
@settings(max_examples=8)
def test_x05_a_fork_that_is_told_the_same_comes_to_the_same(turn: int) -> None:
    world = busy_world()
    fork = running(fork_of(world, {"counter": turn}))
    add = named(fork.store, "counter", "add")
    for n in range(turn, 19):  # what turns turn + 1 to 19 were told
        content = encode_content(n if n != 13 else 14)[0]
        assert not fork.ask(f"client {n}", add, content, (), 1_000).why
    assert state_of(fork.store, "counter") == state_of(world.store, "counter", 19)


def test_x05_what_a_fork_does_changes_nothing_of_the_store_that_it_is_of() -> None:
    world = busy_world(SMALL)
    before = dump(world.store)
    fork = running(fork_of(world, {"counter": 5}))
    add = named(fork.store, "counter", "add")
    answer = fork.ask("one", add, encode_content(1_000)[0], (), 1_000)
    assert decode_content_untrusted(answer.content, []) == {"total": 1_000 + sum(range(5))}
    assert dump(world.store) == before
    # What is sealed in a fork opens nowhere else.
    wire = fork.core.seal(add)
    assert wire != world.core.seal(add)
    with pytest.raises(InvalidCapability):
        world.core.unseal_untrusted(wire)


def test_x05_the_outcomes_in_a_fork_are_those_of_a_host() -> None:
    fork = running(fork_of(busy_world(SMALL), {"counter": 5}))
    add, keep = (named(fork.store, "counter", name) for name in ("add", "keep"))
    for to, content, outcome in (
        (add, "x", Outcome("refused", "no such thing")),
        (add, 13, Outcome("rejected")),
    ):
        assert fork.ask(f"client {content}", to, encode_content(content)[0], (), 500) == outcome
    before = fork.now_ms
    kept = fork.ask("keeps", keep, encode_content(None)[0], (), 500)
    told = decode_content_untrusted(kept.content, [])
    assert isinstance(told, Failed) and told.why == "late"
    assert fork.now_ms >= before + 500
    assert not fork.core.host.clients


def test_x05_machines_of_one_fork_reach_each_other_and_nobody_else() -> None:
    world = World(1)
    client, made = relays(world, "ann", "bob", "cid")
    tell(client, world, client.hold(made["ann"]["pass"]), {"hops": [1], "path": ()})
    heads = {name: world.machine(name).head - 1 for name in ("ann", "bob")}
    fork = running(fork_of(world, heads))
    session = fork.open("client")
    start = named(fork.store, "ann", "pass")
    for hops in ([1], [2]):
        fork.offer(session, said(start, {"hops": hops, "path": ()}))
    # From ann to bob it is delivered; cid is not in the fork, and of that nothing is kept.
    assert head(fork, "bob") == heads["bob"] + 2
    assert not fork.core.host.outbox
    assert session.verdicts == [["applied"], ["applied"]]
    assert world.machine("bob").head == heads["bob"] + 1


def test_x05_a_fork_of_now_takes_along_what_is_under_way() -> None:
    world = World(2)
    client, made = relays(world, "ann", "bob")
    client.send(client.hold(made["ann"]["later"]), {"hops": [1], "path": (), "after": 5})
    world.settle()
    world.suspend("bob")
    client.send(client.hold(made["ann"]["pass"]), {"hops": [1], "path": ()})
    world.settle()
    heads = {name: world.machine(name).head - 1 for name in ("ann", "bob")}
    fork = running(fork_of(world, heads, waiting=True))
    fork.settle()
    assert head(fork, "bob") == heads["bob"] + 2, "the batch that waited"
    fork.advance_to(fork.now_ms + 6_000)
    assert head(fork, "bob") == heads["bob"] + 3, "the timer"
    past = running(fork_of(world, heads, waiting=False))
    past.advance_to(past.now_ms + 6_000)
    assert head(past, "bob") == heads["bob"] + 2, "the batch, and no timer of the past"


def test_x05_a_capability_that_was_given_up_since_leads_to_nobody() -> None:
    world = World(3, limits=Limits(snapshot_turns=6))
    client, _made = relays(world, "ann")
    created = make(world, "counter")
    keep = client.hold(created.names["keep"])
    tell(client, world, keep, client.ear("one"))
    turn = world.machine("counter").head - 1
    reader = Reader(world.store)
    machine = reader.machine("counter")
    held = reader.slots(machine)
    assert held
    for slot in held:
        del world.store._tables["slot"][(machine.id, slot)]
    store = fork_of(world, {"counter": turn})
    assert state_of(store, "counter") == state_of(world.store, "counter", turn)
    lost = Reader(store).slots(Reader(store).machine("counter"))
    assert lost.keys() == held.keys() and not set(lost.values()) & set(held.values())


def test_x05_all_machines_are_forked_as_of_one_time() -> None:
    world = World(4)
    first = make(world, "one")
    client = world.client()
    times = [world.now_ms]
    for n in range(4):
        world.advance(10)
        tell(client, world, client.hold(first.names["add"]), n)
        times.append(world.now_ms)
    make(world, "two")
    reader = Reader(world.store)
    one, two = (reader.machine(name).id for name in ("one", "two"))
    for turn, when in enumerate(times):
        found = turns_at(reader, when)
        assert found[one] == turn
        assert (two in found) == (turn == 4)
    assert turns_at(reader, times[0] - 1) == {}


def test_x05_of_a_pruned_journal_what_is_left_can_be_forked() -> None:
    world = busy_world(SMALL)
    machine = world.machine("counter")
    world.ask(lambda request: world.core.prune(request, machine, 10))
    first = Reader(world.store).first(machine)
    assert first
    with pytest.raises(NoSuchTurn, match="pruned"):
        moment_at(Reader(world.store), machine, first - 1)
    store = fork_of(world, {"counter": 20})
    assert state_of(store, "counter") == state_of(world.store, "counter", 20)


def test_x05_an_ask_to_one_who_is_not_in_the_fork_is_undelivered() -> None:
    asks = """
from avm import Me, Send
def init(message, me):
    return message.answer({"ask": me("ask")}), (me, message.content, None)
def step(message, state):
    me, to, heard = state
    if message.context == "ask":
        return [Send(message.content, None, reply=me("heard"))], state
    return [], (me, to, message.content)
"""
    world = World(5)
    counter = make(world)
    make(world, "asker", asks)
    turn = world.machine("asker").head - 1
    fork = running(fork_of(world, {"asker": turn}))
    ask = named(fork.store, "asker", "ask")
    fork.offer(fork.open("client"), said(ask, Foreign(0), counter.names["read"]))
    reader = Reader(fork.store)
    body, _references = state_at(reader, reader.machine("asker"), in_process())
    assert b"undelivered" in body


def test_x05_the_file_of_a_fork_is_what_is_pinned() -> None:
    pinned = json.loads((Path(__file__).parents[1] / "vectors" / "fork.json").read_text())
    file = pinned["file"].encode()
    assert forks.about(pinned["machines"], pinned["at_ms"]) == file
    assert forks.about_untrusted(file) == (pinned["machines"], pinned["at_ms"])


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b'{"format": 2}', b'{"format": 1}']))
def test_x05_a_file_that_is_no_forks_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        forks.about_untrusted(body)


def test_x05_a_fork_of_before_an_upgrade_runs_the_code_of_then() -> None:
    world = busy_world(SMALL)
    turn = world.machine("counter").head - 1
    upgrade(world, "counter", COUNTER.replace("state.total + n\n", "state.total + 100 * n\n"))
    fork = running(fork_of(world, {"counter": turn}))
    add = named(fork.store, "counter", "add")
    answer = fork.ask("one", add, encode_content(1)[0], (), 1_000)
    before = fork_total(world, turn)
    assert decode_content_untrusted(answer.content, []) == {"total": before + 1}


def fork_total(world: World, turn: int) -> int:
    reader = Reader(world.store)
    machine = reader.machine("counter")
    lens = Lens(machine.address, reader.slots(machine), Labels())
    value: Any = lens.state(*state_at(reader, machine, in_process(), turn))
    return int(value.fields["total"])


def test_x05_what_was_on_its_way_to_others_is_not_in_a_fork() -> None:
    world = World(6)
    client, made = relays(world, "ann", "bob")
    world.suspend("bob")
    client.send(client.hold(made["ann"]["pass"]), {"hops": [1], "path": ()})
    world.settle()
    assert world.core.host.outbox
    store = fork_of(world, {"ann": world.machine("ann").head - 1}, waiting=True)
    assert not list(store.rows("outbox"))
    assert not running(store).core.host.outbox


def seen(store: Store) -> int:
    """How often something was passed to a machine of a store."""
    reader = Reader(store)
    found = 0
    for machine in reader.machines():
        lens = Lens(machine.address, reader.slots(machine), Labels())
        value: Any = lens.state(*state_at(reader, machine, in_process()))
        found += value.fields["seen"]
    return found


@given(
    hops=st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    at=st.integers(0, 400),
)
@settings(max_examples=12)
def test_x05_what_was_on_its_way_at_a_time_arrives_in_a_fork_of_then(
    hops: list[list[int]], seed: int, at: int
) -> None:
    world = World(seed)
    client, made = relays(world, "ann", "bob", "cid")
    world.eager = False
    begun = world.now_ms
    for index, way in enumerate(hops):
        start = made[("ann", "bob", "cid")[index % 3]]["pass"]
        client.send(client.hold(start), {"hops": way, "path": ()})
    while world.step():
        world.now_ms += 1
        world.core.tick(world.now_ms)
    reader = Reader(world.store)
    turns = turns_at(reader, begun + at)
    expected = 0
    for index, way in enumerate(hops):
        machine = reader.machine(("ann", "bob", "cid")[index % 3])
        entry = list(_from(world, machine.name, client.address))[index // 3]
        expected += (1 + len(way)) * (entry <= turns[machine.id])
    chosen = {one.name: turns[one.id] for one in reader.machines()}
    fork = running(fork_of(world, chosen))
    fork.settle()
    assert seen(fork.store) == expected
    for machine in Reader(fork.store).machines():
        assert isinstance(
            replay(Reader(fork.store), machine, in_process(), any_python=True), Agreed
        )


def _from(world: World, name: str, sender: bytes) -> Iterator[int]:
    """The turns of a machine that passed on what a client said."""
    for entry in entries(world, name):
        given = input_of(entry) if entry.fields.get("sender") == sender else None
        if given is not None and given.messages[0][0] == encode_state("pass")[0]:
            yield entry.n


def test_x05_a_batch_that_waited_at_a_time_is_under_way_in_a_fork_of_then() -> None:
    for taken_since in (False, True):
        world = World(12)
        client, made = relays(world, "ann", "bob")
        world.suspend("bob")
        client.send(client.hold(made["ann"]["pass"]), {"hops": [1, 0], "path": ()})
        world.settle()
        chosen = {name: world.machine(name).head - 1 for name in ("ann", "bob")}
        if taken_since:
            world.advance(5)
            world.resume("bob")
            world.settle()
        store = fork_of(world, chosen)
        ann, bob = (world.machine(name).address for name in ("ann", "bob"))
        sent = world.core.host.channels[(ann, bob)].sent
        assert [key for key, _row in store.rows("outbox")] == [(ann, bob, sent)]
        fork = running(store)
        fork.settle()
        assert seen(fork.store) == 3


PASSES = """
from avm import Capability, Me, Send

def init(message, me):
    return message.answer({"go": me("go")}), (me, ())

def step(message, state):
    me, held = state
    match message.content:
        case {"to": to, "give": caps}:
            return [Send(to, {"kept": caps})], state
        case {"kept": caps}:
            return [], (me, (*held, *caps))
        case {"say": what}:
            return [Send(to, what) for to in held], state
    return [], state
"""


def test_x05_what_comes_with_a_batch_on_its_way_is_what_came() -> None:
    world = World(13)
    made = {name: make(world, name, PASSES).names["go"] for name in ("ann", "bob", "cid")}
    counter = make(world).names
    client = world.client()
    caps = [client.hold(counter["keep"]), client.hold(made["cid"]), client.hold(made["bob"])]
    tell(client, world, client.hold(made["bob"]), {"kept": (client.hold(counter["read"]),)})
    world.suspend("bob")
    tell(client, world, client.hold(made["ann"]), {"to": client.hold(made["bob"]), "give": caps})
    chosen = {name: world.machine(name).head - 1 for name in ("ann", "bob", "counter")}
    world.advance(1)
    world.resume("bob")
    world.settle()
    store = fork_of(world, chosen)
    fork = running(store)
    fork.settle()
    now = {cap for cap in Reader(world.store).slots(Reader(world.store).machine("bob")).values()}
    there = {cap for cap in Reader(store).slots(Reader(store).machine("bob")).values()}
    assert now == there and counter["keep"] in there
    assert state_of(store, "bob") == state_of(world.store, "bob")
