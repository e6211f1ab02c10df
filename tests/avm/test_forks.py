"""Forks: what holds of a machine's past holds in its copy, and nothing of the copy holds elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.limits import Limits
from avm.past import forks
from avm.past.audit import Audit
from avm.past.forking import turns_at
from avm.past.labels import Labels, Lens
from avm.past.moments import moment_at
from avm.past.reading import NoSuchTurn, Reader
from avm.past.replaying import replay
from avm.past.rerun import Agreed
from avm.past.solo import Outcome
from avm.past.states import state_at
from avm.sim.host import SimHost
from caps.codec import decode_content_untrusted, encode_content
from caps.errors import InvalidCapability, Malformed
from caps.slots import Foreign
from caps.value import Failed
from tests.avm.forked import (
    SMALL,
    fork_of,
    head,
    keys,
    named,
    running,
    said,
    state_of,
)
from tests.avm.journals import COUNTER, busy_world, in_process, make, tell, upgrade
from tests.avm.relays import relays
from tests.avm.store_dump import dump


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
    world = SimHost(1)
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


def test_x05_a_capability_that_was_given_up_since_leads_to_nobody() -> None:
    world = SimHost(3, limits=Limits(snapshot_turns=6))
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
    world = SimHost(4)
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
    world = SimHost(5)
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


def fork_total(world: SimHost, turn: int) -> int:
    reader = Reader(world.store)
    machine = reader.machine("counter")
    lens = Lens(machine.address, reader.slots(machine), Labels())
    value: Any = lens.state(*state_at(reader, machine, in_process(), turn))
    return int(value.fields["total"])
