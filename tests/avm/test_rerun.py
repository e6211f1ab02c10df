"""Journals executed again: they agree, and where one is changed the first difference is named."""

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host import journal, operate
from avm.host.chain import Fault
from avm.limits import Limits
from avm.machine import frames
from avm.past.difference import Difference
from avm.past.labels import Lens
from avm.past.reading import NoSuchTurn, Reader
from avm.past.replaying import replay
from avm.past.rerun import (
    Agreed,
    CannotRerun,
    OtherPython,
)
from avm.past.states import state_at
from avm.run.spawn import OTHER_HASH_SEED
from avm.run.worker import forked
from avm.sim.host import Refusal, SimHost
from caps.codec import encode_content, encode_state
from caps.map import Map
from caps.value import Record, Value
from tests.avm.journals import (
    BY_HASH,
    CONSTANT,
    COUNTER,
    LIMITS,
    busy_world,
    in_process,
    make,
    rechained,
    tell,
    upgrade,
)

SMALL = Limits(snapshot_turns=7)


def edit(world: SimHost, **fields: Value) -> None:
    """Changes fields of the counter's state by hand, as an operator does."""
    reader = Reader(world.store)
    machine = reader.machine("counter")
    body, references = state_at(reader, machine, in_process())
    lens = Lens(machine.address, reader.slots(machine), reader.labels())
    state = lens.state(body, references)
    assert isinstance(state, Record)
    changed, handles = encode_state(Record(state.name, Map({**state.fields, **fields})))
    caps = tuple(cap for cap in map(lens.cap_of, handles) if cap is not None)
    live = world.machine("counter")
    world.ask(lambda request: world.core.edit(request, live, changed, caps))


def total_at(reader: Reader, turn: int | None) -> object:
    machine = reader.machine("counter")
    body, references = state_at(reader, machine, in_process(), turn)
    lens = Lens(machine.address, reader.slots(machine), reader.labels())
    shown = lens.json(lens.state(body, references))
    assert isinstance(shown, dict)
    return shown["$record"][1]["total"]


def test_w01_a_journal_gives_the_same_bytes_in_a_process_with_another_hash_seed() -> None:
    reader = Reader(busy_world(SMALL).store)
    machine = reader.machine("counter")
    with forked(OTHER_HASH_SEED, LIMITS, 30) as worker:
        found = replay(reader, machine, worker)
    assert isinstance(found, Agreed)
    assert found.turns >= 25 and found.trusted == 0 and found.first == 0
    assert any(kept for kept in reader.snapshots(machine))


def test_w01_what_ends_a_program_is_an_exception_and_agrees_where_it_ended_the_worker() -> None:
    world = SimHost()
    made = make(world, text=COUNTER.replace("ValueError(", "KeyboardInterrupt("))
    client = world.client()
    tell(client, world, client.hold(made.names["add"]), 1, 13)
    reader = Reader(world.store)
    entries = reader.store.entries(reader.machine("counter").id, 1)
    entry = next(journal.decode(n, body) for n, body, _printed in entries)
    assert (entry.form, entry["reason"], entry["index"]) == (journal.FAILED, "exception", 1)
    assert "counter.py" in entry["detail"] and "KeyboardInterrupt: thirteen" in entry["detail"]
    found = replay(reader, reader.machine("counter"), in_process())
    assert isinstance(found, Agreed) and found.trusted == 0
    of_before = rechained(world, entry.n, reason="died", detail="every worker that tried it died")
    found = replay(of_before, of_before.machine("counter"), in_process())
    assert isinstance(found, Agreed) and found.trusted == 1


def test_w01_a_machine_of_before_keeps_names_that_nobody_can_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = SimHost()
    text = COUNTER.replace('"read": me("read")', '"": me("read")')
    with pytest.raises(Refusal, match="failed to be created: init answers a capability as ''"):
        make(world, text=text)
    monkeypatch.setattr(operate, "why_unsayable", lambda _names: "")
    made = make(world, text=text)
    monkeypatch.undo()
    client = world.client()
    tell(client, world, client.hold(made.names["add"]), 5)
    world.crash()
    ask = client.ask(client.hold(made.names[""]))
    world.settle()
    assert client.outcomes[ask] == [5]
    reader = Reader(world.store)
    assert "" in reader.names(reader.machine("counter"))
    assert isinstance(replay(reader, reader.machine("counter"), in_process()), Agreed)


def test_w01_a_step_that_looks_at_the_order_of_a_set_is_found_out() -> None:
    world = SimHost()
    created = make(world, text=BY_HASH)
    client = world.client()
    client.ask(client.hold(created.names["go"]))
    world.settle()
    reader = Reader(world.store)
    differences: list[Difference] = []
    for seed in (3, 4):
        with forked(seed, LIMITS, 30) as worker:
            found = replay(reader, reader.machine("counter"), worker)
        differences += [found] if isinstance(found, Difference) else []
    assert differences, "a seed of three gives the same order as this process"
    assert differences[0].path == "sends[0].content" and differences[0].message == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 30), st.sampled_from(["total", "other"]))
def test_p03_a_changed_output_names_its_turn_and_path(turn: int, key: str) -> None:
    world = busy_world(SMALL)
    reader = Reader(world.store)
    entry = next(
        journal.decode(n, body)
        for n, body, _ in reader.store.entries(reader.machine("counter").id, turn)
        if cbor2.loads(body)[0] == journal.TURN and cbor2.loads(body)[2:][4][2:3] == b"\xf5"
    )
    output = cbor2.loads(entry["output"])
    if not output[2] or not output[2][0]:
        return
    output[2][0][0][1] = encode_content({key: 10**6})[0]
    changed = rechained(world, entry.n, output=cbor2.dumps(output))
    found = replay(changed, changed.machine("counter"), in_process())
    assert isinstance(found, Difference)
    assert (found.turn, found.message) == (entry.n, 0)
    path = "total" if key == "total" else "other"
    assert found.path == f"sends[0].content.{path}" and found.was == "1000000"


def test_p03_an_edited_input_gives_a_diff() -> None:
    world = busy_world()
    entry = journal.decode(5, dict_of(world)[5])
    given = cbor2.loads(entry["input"])
    given[4][0][1] = encode_content(40)[0]
    changed = rechained(world, 5, input=cbor2.dumps(given))
    found = replay(changed, changed.machine("counter"), in_process())
    assert isinstance(found, Difference)
    assert (found.turn, found.message, found.path) == (5, 0, "sends[0].content.total")
    assert "turn 5, message 0" in str(found)


def dict_of(world: SimHost) -> dict[int, bytes]:
    machine = world.machine("counter")
    return {n: body for n, body, _ in world.store.entries(machine.id)}


def test_p03_a_flipped_byte_names_its_turn() -> None:
    world = busy_world()
    own = world.store.copy()
    machine = world.machine("counter")
    for n, body in dict_of(world).items():
        for at in (3, len(body) // 2, len(body) - 1):
            store = own.copy()
            flipped = bytes([*body[:at], body[at] ^ 1, *body[at + 1 :]])
            store._journal[machine.id][n] = (flipped, None)
            reader = Reader(store)
            found = replay(reader, reader.machine("counter"), in_process())
            assert not isinstance(found, Agreed), (n, at)
            where = found.n if isinstance(found, Fault) else found.turn
            # A link that is flipped itself is told of the entry before or of its own.
            assert where in (n, n - 1), (n, at, found)


def test_p03_a_refusal_or_a_rejection_that_is_none_any_more_differs() -> None:
    world = busy_world()
    forms = {cbor2.loads(body)[0]: n for n, body in dict_of(world).items()}
    refused, failed = forms[journal.REFUSED], forms[journal.FAILED]
    for n, field, value, path in (
        (refused, "word", "another", "the verdict"),
        (refused, "index", 3, "the message"),
        (failed, "index", 0, "the message"),
    ):
        reader = rechained(world, n, **{field: value})
        found = replay(reader, reader.machine("counter"), in_process())
        assert isinstance(found, Difference) and (found.turn, found.path) == (n, path)
    reader = rechained(world, failed, reason="timed out", index=0)
    found = replay(reader, reader.machine("counter"), in_process())
    assert isinstance(found, Agreed) and found.trusted == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from((True, False, "ask", "crash")), max_size=20),
    st.sampled_from((3, 1000)),
)
def test_p03_a_step_that_returns_constants_as_its_state_replays_though_the_host_crashed(
    moves: list[bool | str], snapshot_turns: int
) -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=snapshot_turns))
    created = make(world, text=CONSTANT)
    client = world.client()
    go = client.hold(created.names["go"])
    for move in moves:
        if move == "crash":
            world.crash()
        else:
            tell(client, world, go, move)
    reader = Reader(world.store)
    machine = reader.machine("counter")
    for to in (None, *range(machine.head)):
        assert isinstance(replay(reader, machine, in_process(), to=to), Agreed)


QUIET = """
def init(message, me):
    return message.answer({"go": me("go")}), 0

def step(message, state):
    return [], state + 1
"""


@pytest.mark.parametrize("after", [0, 1])
def test_p03_a_turn_that_changes_the_state_and_was_recorded_to_keep_it_differs(after: int) -> None:
    world = SimHost(limits=LIMITS)
    created = make(world, text=QUIET)
    client = world.client()
    tell(client, world, client.hold(created.names["go"]), 1)
    for _ in range(after):
        tell(client, world, client.hold(created.names["go"]), 1)
    output = frames.pack([0, False, []])
    changed = rechained(world, 1, changed=False, output=output)
    found = replay(changed, changed.machine("counter"), in_process())
    assert found == Difference(1, None, "state", str(after), str(after + 1))


def test_w22_an_edit_is_journaled_and_replay_still_agrees() -> None:
    world = busy_world(SMALL)
    edit(world, total=42)
    machine = world.machine("counter")
    reader = Reader(world.store)
    assert total_at(reader, None) == 42
    client = world.client()
    tell(client, world, client.hold(reader.names(machine)["add"]), 1)
    after = Reader(world.store)
    assert isinstance(replay(after, after.machine("counter"), in_process()), Agreed)
    forms = [cbor2.loads(body)[0] for body in dict_of(world).values()]
    assert journal.EDIT in forms
    n = forms.index(journal.EDIT)
    broken = rechained(world, n, digest=bytes(32))
    found = replay(broken, broken.machine("counter"), in_process())
    assert isinstance(found, Difference) and found.turn == n


def test_x05_the_state_at_every_turn_is_what_it_was() -> None:
    world = busy_world(SMALL, adds=10)
    reader = Reader(world.store)
    totals = [total_at(reader, turn) for turn in range(11)]
    assert totals[0] == 0
    assert sorted(totals, key=int) == totals  # type: ignore[arg-type]
    assert total_at(reader, None) == 48
    machine = reader.machine("counter")
    for turn in (-1, machine.head):
        with pytest.raises(NoSuchTurn, match="newest is"):
            total_at(reader, turn)


def test_a_replay_to_a_turn_stops_there() -> None:
    reader = Reader(busy_world().store)
    found = replay(reader, reader.machine("counter"), in_process(), to=4)
    assert found == Agreed(5, 0, 0)


def test_a_pruned_journal_is_replayed_from_its_oldest_snapshot() -> None:
    world = busy_world(SMALL)
    machine = world.machine("counter")
    world.ask(lambda request: world.core.prune(request, machine, 10))
    reader = Reader(world.store)
    found = replay(reader, reader.machine("counter"), in_process())
    assert isinstance(found, Agreed) and found.first >= 10
    with pytest.raises(NoSuchTurn, match=f"oldest state there is is of turn {found.first}"):
        total_at(reader, 3)


def test_an_upgrade_is_replayed_as_recorded() -> None:
    world = busy_world(SMALL)
    upgrade(
        world, "counter", COUNTER.replace("kept: tuple = ()", "kept: tuple = ()\n    new: int = 5")
    )
    client = world.client()
    tell(client, world, client.hold(Reader(world.store).names(world.machine("counter"))["add"]), 1)
    reader = Reader(world.store)
    machine = reader.machine("counter")
    assert isinstance(replay(reader, machine, in_process()), Agreed)
    n = next(n for n, body in dict_of(world).items() if cbor2.loads(body)[0] == journal.CODE)
    assert total_at(reader, n - 1) == total_at(reader, n)
    broken = rechained(world, n, digest=bytes(32))
    found = replay(broken, broken.machine("counter"), in_process())
    assert isinstance(found, Difference) and (found.turn, found.path) == (n, "the state's digest")


def test_another_python_is_refused_unless_forced() -> None:
    reader = rechained(busy_world(), 0, python="3.99")
    machine = reader.machine("counter")
    with pytest.raises(OtherPython, match=r"replay with Python 3\.99"):
        replay(reader, machine, in_process())
    assert isinstance(replay(reader, machine, in_process(), any_python=True), Agreed)


def test_code_that_is_missing_is_told() -> None:
    world = busy_world()
    store = world.store.copy()
    store._tables["code"].clear()
    reader = Reader(store)
    with pytest.raises(CannotRerun, match="no code"):
        replay(reader, reader.machine("counter"), in_process())


def test_init_that_keeps_its_state_gives_no_slots() -> None:
    text = """
def init(message, me):
    return message.answer({"keep": me("keep"), "back": me("back")}), me
def step(message, state):
    if message.context == "keep":
        return [], (message.content, state if not isinstance(state, tuple) else state[1])
    return message.answer(state[0]), state
"""
    world = SimHost()
    created = make(world, text=text)
    client = world.client()
    keep, back = (client.hold(created.names[name]) for name in ("keep", "back"))
    ear = client.ear("mine")
    tell(client, world, keep, ear)
    ask = client.ask(back)
    world.settle()
    (held,) = client.outcomes[ask]
    assert client.held_as(held) == client.held_as(ear)  # type: ignore[arg-type]
    reader = Reader(world.store)
    assert isinstance(replay(reader, reader.machine("counter"), in_process()), Agreed)


def test_a_state_that_is_refused_leaves_the_worker_as_it_was() -> None:
    world = busy_world(replace(LIMITS, state_bytes=400))
    before = total_at(Reader(world.store), None)
    with pytest.raises(Refusal, match="more than 400"):
        edit(world, total=42, kept="x" * 500)
    client = world.client()
    read = client.hold(Reader(world.store).names(world.machine("counter"))["read"])
    ask = client.ask(read)
    world.settle()
    assert client.outcomes[ask] == [before]
