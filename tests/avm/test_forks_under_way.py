"""What is on its way between machines comes along into a fork, of now and of a time."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm import narrow
from avm.host import batch
from avm.host.chain import input_of
from avm.past.forking import turns_at
from avm.past.reading import Reader
from avm.past.replaying import replay
from avm.past.rerun import Agreed
from avm.sim.host import SimHost
from caps.codec import encode_state
from tests.avm.forked import fork_of, head, running, seen, state_of
from tests.avm.journals import in_process, make, tell
from tests.avm.relays import relays
from tests.sim.code import entries


def test_x05_a_fork_of_now_takes_along_what_is_under_way() -> None:
    world = SimHost(2)
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


def test_x05_what_was_on_its_way_to_others_is_not_in_a_fork() -> None:
    world = SimHost(6)
    client, made = relays(world, "ann", "bob")
    world.suspend("bob")
    client.send(client.hold(made["ann"]["pass"]), {"hops": [1], "path": ()})
    world.settle()
    assert world.core.host.outbox
    store = fork_of(world, {"ann": world.machine("ann").head - 1}, waiting=True)
    assert not list(store.rows("outbox"))
    assert not running(store).core.host.outbox


@given(
    hops=st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    at=st.integers(0, 400),
)
@settings(max_examples=12)
def test_x05_what_was_on_its_way_at_a_time_arrives_in_a_fork_of_then(
    hops: list[list[int]], seed: int, at: int
) -> None:
    world = SimHost(seed)
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


def _from(world: SimHost, name: str, sender: bytes) -> Iterator[int]:
    """The turns of a machine that passed on what a client said."""
    for entry in entries(world, name):
        given = input_of(entry) if entry.fields.get("sender") == sender else None
        if given is not None and given.messages[0][0] == encode_state("pass")[0]:
            yield entry.n


def test_x05_a_batch_that_waited_at_a_time_is_under_way_in_a_fork_of_then() -> None:
    for taken_since in (False, True):
        world = SimHost(12)
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
    world = SimHost(13)
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


@pytest.mark.parametrize("apart", [False, True])
def test_x05_what_is_on_its_way_is_sent_to_what_its_sender_holds(apart: bool) -> None:
    world = SimHost(14)
    sends = PASSES.replace("Send(to, what)", f"Send(to, what, apart={apart})")
    ann = make(world, "ann", sends).names["go"]
    counter = make(world).names
    client, until = world.client(), world.now_ms / 1000 + 600
    add = client.hold(counter["add"])
    once = narrow(add, uses=1, until=until, nonce="n")
    few = narrow(add, only=["int", 0, 10])
    tell(client, world, client.hold(ann), {"kept": (once, few)})
    world.suspend("counter")
    tell(client, world, client.hold(ann), {"say": 4})
    chosen = {name: world.machine(name).head - 1 for name in ("ann", "counter")}
    world.advance(1)
    world.resume("counter")
    world.settle()
    store = fork_of(world, chosen)
    rows = [batch.from_bytes(b"", b"", 0, body) for _key, body in store.rows("outbox")]
    targets = [said.to for one in rows for said in one.messages]
    assert targets == [client.held_as(once), client.held_as(few)]
    fork = running(store)
    fork.settle()
    assert len(list(store.rows("use"))) == 1, "the use counts there too"
    assert state_of(store, "counter") == state_of(world.store, "counter")


def test_x05_what_is_on_its_way_arrives_though_its_sender_gave_up_what_it_was_sent_to() -> None:
    world = SimHost(15)
    ann = make(world, "ann", PASSES.replace('{"kept": caps})', "caps)")).names["go"]
    counter = make(world).names
    client = world.client()
    world.suspend("counter")
    to = narrow(client.hold(counter["add"]), only=["int", 0, 10])
    tell(client, world, client.hold(ann), {"to": to, "give": 4})
    chosen = {name: world.machine(name).head - 1 for name in ("ann", "counter")}
    world.advance(1)
    world.resume("counter")
    world.settle()
    store = fork_of(world, chosen)
    fork = running(store)
    fork.settle()
    assert head(fork, "counter") == chosen["counter"] + 2
    assert state_of(store, "counter") == state_of(world.store, "counter")
