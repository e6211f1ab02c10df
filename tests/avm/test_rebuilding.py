"""A state made anew of recorded inputs by new code: what comes of it, and that nothing leaves."""

import fcntl
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.cli.reprocess import keep
from avm.host import carrying, journal
from avm.host.chain import Fault
from avm.host.journal import hash_of_code
from avm.host.rebuild import WENT_ON, rebuild
from avm.machine.prepared import load_bytes
from avm.past import candidate
from avm.past.audit import Audit
from avm.past.candidate import Candidate
from avm.past.reading import NoSuchTurn, Reader
from avm.past.rebuilding import AnotherJournal, Rebuilding, Rebuilt
from avm.past.replaying import replay
from avm.past.rerun import Agreed
from avm.past.shadow import NewCode, NewCodeStops
from avm.run.worker import Worker
from avm.sim.host import Refusal, SimHost
from caps.errors import Malformed
from tests.avm.journals import COUNTER, LIMITS, bundle_of, busy_world, in_process, make, tell
from tests.avm.test_shadow import KEEPS, compared, keeps

DOUBLE = COUNTER.replace("state.total + n", "state.total + 2 * n").replace(
    "    kept: tuple = ()", "    kept: tuple = ()\n    seen: int = 0"
)


@contextmanager
def here() -> Iterator[Worker]:
    yield in_process()


def rebuilding(world: SimHost) -> Rebuilding:
    reader = Reader(world.store)
    return Rebuilding(reader, reader.machine("counter"), here, world.core.host.address)


def new_code(text: str) -> NewCode:
    bundle = bundle_of(text)
    return NewCode(bundle.hash, bundle.encode())


def made(world: SimHost, text: str, first: int = 0, **which: Any) -> Rebuilt:
    return rebuilding(world).run(new_code(text), first, **which)


def kept(found: Rebuilt) -> Candidate:
    assert found.candidate is not None and not found.not_kept
    return found.candidate


def switch(world: SimHost, one: Candidate) -> Any:
    world.codes[one.bundle] = load_bytes(one.bundle, LIMITS.printed_bytes)
    machine = world.machine("counter")
    put = (one.code, one.bundle, (one.body, one.references), (one.head, one.chain))
    return world.ask(lambda request: world.core.do(rebuild, request, machine, *put))


def read(world: SimHost) -> object:
    client = world.client()
    cap = client.hold(Reader(world.store).names(world.machine("counter"))["read"])
    ask = client.ask(cap)
    world.settle()
    (answer,) = client.outcomes[ask]
    return answer


def forms(world: SimHost) -> list[int]:
    return [
        cbor2.loads(body)[0] for _n, body, _p in world.store.entries(world.machine("counter").id)
    ]


def holds(world: SimHost) -> None:
    """Replay agrees with what is there, and every chain, slot and digest holds."""
    reader = Reader(world.store)
    machine = reader.machine("counter")
    assert isinstance(replay(reader, machine, in_process()), Agreed)
    assert not list(Audit(reader, None).problems())


def test_c05_a_state_is_made_anew_by_new_code_and_switched_in_one_commit() -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    before, total = forms(world), read(world)
    outbox = list(world.store.rows("outbox"))
    found = made(world, DOUBLE)
    assert ("state.total", "194", "388") in found.fields
    assert found.otherwise > 15 and found.turns == 27 and not found.not_applied
    assert read(world) == total and list(world.store.rows("outbox")) == outbox
    found = made(world, DOUBLE)
    done = switch(world, kept(found))
    assert read(world) == 388
    assert forms(world)[: len(before)] == before
    assert forms(world)[done["turn"]] == journal.CODE
    holds(world)
    world.crash()
    assert read(world) == 388
    tell(
        world.client(),
        world,
        world.client().hold(Reader(world.store).names(world.machine("counter"))["add"]),
        1,
    )
    assert read(world) == 390
    holds(world)


def test_c05_from_a_turn_on_the_state_before_it_is_kept_and_migrated() -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    whole = kept(made(world, COUNTER))
    for first in range(1, world.machine("counter").head):
        one = kept(made(world, COUNTER, first))
        assert (one.body, one.references) == (whole.body, whole.references)
    found = made(busy_world(), DOUBLE, 21)
    assert found.turns == 5, "the inputs of turn 21 and those after it"
    assert ("state.total", "194", "197") in found.fields


def test_c05_since_a_time_only_what_was_said_then_and_later_is_taken_anew() -> None:
    world = SimHost()
    created = make(world)
    client = world.client()
    add = client.hold(created.names["add"])
    tell(client, world, add, 1)
    world.advance(60)
    tell(client, world, add, 10)
    one = rebuilding(world)
    first = one.first_since(world.now_ms - 1000)
    assert first == 2
    assert ("state.total", "11", "21") in one.run(new_code(DOUBLE), first).fields
    with pytest.raises(NoSuchTurn, match="has taken no turn since then"):
        rebuilding(world).first_since(world.now_ms + 1)


def test_c05_what_one_sender_said_is_taken_alone_or_left_out() -> None:
    world = SimHost()
    created = make(world)
    clients = [world.client(), world.client()]
    for n, client in enumerate(clients * 3):
        tell(client, world, client.hold(created.names["add"]), 10**n)
    first, second = (client.address for client in clients)
    found = made(world, COUNTER, senders=(first,))
    assert (found.turns, found.left_out) == (4, 3)
    assert found.fields == [("state.total", "111111", "10101")]
    found = made(world, COUNTER, senders=(first,), left_out=True)
    assert found.fields == [("state.total", "111111", "101010")]
    found = made(world, COUNTER, 3, senders=(second,))
    assert found.fields == [("state.total", "111111", "101011")]
    assert rebuilding(world).senders() == {first, second, world.core.host.address}


def test_c05_turns_taken_since_are_caught_up_and_while_it_goes_on_the_switch_is_refused() -> None:
    world = busy_world()
    one = kept(made(world, DOUBLE))
    client = world.client()
    add = client.hold(Reader(world.store).names(world.machine("counter"))["add"])
    tell(client, world, add, 5)
    before = forms(world)
    with pytest.raises(Refusal, match=WENT_ON):
        switch(world, one)
    assert forms(world) == before and read(world) == 199
    found = rebuilding(world).catch_up(one)
    assert found.turns == 2, "what was added, and what was read"
    switch(world, kept(found))
    assert read(world) == 398
    assert kept(rebuilding(world).run(new_code(DOUBLE), 0)).body
    holds(world)


def test_c05_a_candidate_of_another_journal_is_refused() -> None:
    world, other = busy_world(), busy_world(adds=5)
    one = kept(made(world, DOUBLE))
    with pytest.raises(AnotherJournal, match="is not of this journal"):
        rebuilding(other).catch_up(one)
    with pytest.raises(AnotherJournal):
        rebuilding(world).catch_up(replace(one, chain=bytes(32)))
    assert kept(rebuilding(world).catch_up(one)) == one


def test_c05_turns_that_are_not_applied_any_more_are_told_and_leave_no_trace() -> None:
    world = busy_world()
    found = made(world, COUNTER.replace("if n == 13", "if n == 5"))
    assert found.not_applied == [(6, 0, "rejected: ValueError: thirteen")]
    assert (found.not_applied_count, found.applied) == (1, 1)
    assert ("state.total", "194", "205") in found.fields, "less 5, and the batch with a 13"
    with pytest.raises(NewCodeStops, match="turn 0: init was applied, now refused"):
        made(
            world,
            COUNTER.replace("def init(message, me):", "def init(message, me):\n    raise Refused"),
        )


def test_c05_a_pruned_journal_is_rebuilt_from_a_turn_that_it_reaches() -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    machine = world.machine("counter")
    world.ask(lambda request: world.core.prune(request, machine, 10))
    with pytest.raises(NoSuchTurn, match=r"was pruned: .*; `--from \d+` goes on from there") as why:
        made(world, DOUBLE)
    first = int(str(why.value).split("--from ")[1].split("`")[0])
    assert kept(made(world, DOUBLE, first)).first == first


def test_c05_capabilities_that_only_the_new_code_keeps_are_there_until_they_are_collected() -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=1000))
    created = make(world, text=keeps(2))
    client = world.client()
    put, get = (client.hold(created.names[name]) for name in ("put", "get"))
    for number in range(6):
        tell(client, world, put, (number, client.ear(f"ear{number}")))
    found = made(world, keeps(3))
    assert found.not_kept == "it holds a capability that the machine does not hold any more"
    both = KEEPS.replace("        if number % EVERY:", "        if number % 4:")
    found = made(world, "from avm import Send\n" + both.replace("    from avm import Send\n", ""))
    switch(world, kept(found))
    heard = len(client.inbox)
    tell(client, world, get, None)
    assert len(client.inbox) == heard + 2, "0 and 4"
    holds(world)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from((1, 2, 13, "one", "crash", "switch")), max_size=12))
def test_c05_a_machine_that_is_rebuilt_by_its_own_code_is_as_it_was(moves: list[int | str]) -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=4))
    created = make(world)
    client = world.client()
    add = client.hold(created.names["add"])
    for move in moves:
        if move == "crash":
            world.crash()
        elif move == "switch":
            found = made(world, COUNTER)
            assert not found.fields
            switch(world, kept(found))
        else:
            tell(client, world, add, move)
    holds(world)
    assert read(world) == sum(n for n in moves if n in (1, 2))


def test_c05_a_rebuilt_state_whose_digest_is_another_is_named_by_replay() -> None:
    world = busy_world()
    done = switch(world, kept(made(world, DOUBLE)))
    store = world.store.copy()
    own = store._journal[world.machine("counter").id]
    form, before, *fields = cbor2.loads(own[done["turn"]][0])
    assert len(fields) == 5
    fields[2] = bytes(32)
    own[done["turn"]] = (journal.encode(form, before, *fields), None)
    reader = Reader(store)
    found = replay(reader, reader.machine("counter"), in_process(), to=done["turn"])
    assert not isinstance(found, Agreed)
    where = found.n if isinstance(found, Fault) else found.turn
    assert where == done["turn"]


def test_c05_x06_a_machine_that_came_out_of_a_file_is_taken_by_new_code_too() -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    world.suspend("counter")
    machine = world.machine("counter")
    world.ask(lambda n: carrying.export(world.core.host, n, machine, "file", True))
    unpacked = world.files.read(world.files.files["file"], world.core.host.new_id())
    world.ask(lambda n: carrying.take_up(world.core.host, n, unpacked))
    world.resume("counter")
    assert world.machine("counter").generation == 1
    assert read(world) == 194
    assert compared(world, COUNTER).agrees
    for first in (0, 20, world.machine("counter").head - 1):
        assert not made(world, COUNTER, first).fields
    switch(world, kept(made(world, DOUBLE)))
    assert read(world) == 388
    holds(world)


CANDIDATE = Candidate(
    b"a" * 32,
    b"code",
    b"\x05",
    [4, "time~", [0, 0, 0, None, b"\x05", [3]]],
    2,
    9,
    b"c" * 32,
    (b"s" * 32,),
    True,
)


def test_a_candidate_is_the_bytes_that_are_pinned_and_is_read_from_no_part_of_them() -> None:
    octets = candidate.to_bytes(CANDIDATE)
    vectors = Path(__file__).parents[1] / "vectors" / "reprocess.json"
    assert octets.hex() == json.loads(vectors.read_text())["candidate"]
    assert candidate.from_bytes_untrusted(octets) == CANDIDATE
    assert CANDIDATE.code == hash_of_code(b"code")
    assert not CANDIDATE.takes(b"s" * 32) and CANDIDATE.takes(b"t" * 32)
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            candidate.from_bytes_untrusted(octets[:end])


@given(st.binary(max_size=200))
def test_p08_any_bytes_are_a_candidate_or_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        candidate.from_bytes_untrusted(octets)


def test_c05_states_that_are_kept_at_once_are_kept_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "reprocess" / "machine"
    many = [replace(CANDIDATE, body=bytes([5]) * (300_000 + n), head=9 + n) for n in range(8)]
    with ThreadPoolExecutor(len(many)) as pool:
        list(pool.map(partial(keep, path), many))
    assert candidate.from_bytes_untrusted(path.read_bytes()) in many
    assert list(path.parent.iterdir()) == [path]


def test_c05_a_state_is_kept_while_nobody_else_keeps_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reprocess" / "machine"
    replaced = os.replace

    def watched(fresh: Path, target: Path) -> None:
        lock = os.open(path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
        replaced(fresh, target)

    monkeypatch.setattr(os, "replace", watched)
    keep(path, CANDIDATE)
    assert candidate.from_bytes_untrusted(path.read_bytes()) == CANDIDATE
