"""Spans run again: what a step owes to anything but its state and its messages is found and named."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host import journal
from avm.host.chain import Link
from avm.limits import Limits
from avm.machine.inside import Inside
from avm.past.again import EVERY, KEPT, Again, NoVerdict, Start
from avm.past.difference import Difference
from avm.past.reading import Reader
from avm.past.replaying import replay
from avm.past.rerun import PYTHON, Agreed, OtherPython
from avm.past.rerunner import SPANS_A_SEED, hash_seeds
from avm.run.worker import InProcess, Worker, WorkerLost, forked
from avm.sim.host import SimHost
from tests.avm.journals import CONSTANT, LIMITS, in_process, make, tell
from tests.sim.test_lives import TINY, Lives

HEAD = """
from dataclasses import replace
from avm import record
SEEN = [0]

@record
class Kept:
    total: int = 0
    order: str = ""

def init(message, me):
    return message.answer({"go": me("go"), "read": me("read")}), Kept()

def step(message, state):
    if message.context == "read":
        return message.answer(state.total), state
"""


def history(text: str, *asks: str, world: SimHost | None = None) -> tuple[Reader, SimHost]:
    world = world or SimHost()
    created = make(world, text=text)
    client = world.client()
    for name in asks:
        client.ask(client.hold(created.names[name]))
        world.settle()
    return Reader(world.store), world


@contextmanager
def here(_which: int) -> Iterator[Worker]:
    yield in_process()


@contextmanager
def seeded(every: int, kept: int) -> Iterator[Start]:
    """Workers in processes of their own, under these hash seeds."""

    @contextmanager
    def worker(which: int) -> Iterator[Worker]:
        with forked({EVERY: every, KEPT: kept}[which], LIMITS, 30) as one:
            yield one

    yield worker


class Lost:
    """A worker that ends when it is first asked."""

    def exchange(self, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        if answers:
            raise WorkerLost("it was killed")
        yield from ()


@contextmanager
def lost(_which: int) -> Iterator[Worker]:
    yield Lost()


def taken(text: str, *asks: str) -> Difference | None:
    reader, _world = history(HEAD + text, *asks)
    machine = reader.machine("counter")
    return Again(reader, machine, here).run(-1, machine.head)


def test_w01_a_variable_of_the_module_is_found_where_an_answer_shows_it() -> None:
    found = taken("    SEEN[0] += 1\n    return message.answer(SEEN[0]), state", *["go"] * 5)
    assert found is not None
    assert str(found) == "turn 2, message 0: sends[0].content was 2, now 1"


def test_w01_a_variable_of_the_module_is_found_where_only_the_state_shows_it() -> None:
    text = "    SEEN[0] += 1\n    return [], replace(state, total=SEEN[0])"
    found = taken(text, *["go"] * 5)
    assert found is not None and found.path == "state.total"


def test_w01_a_state_that_is_changed_and_returned_as_it_was_is_found_with_its_turn() -> None:
    text = "    object.__setattr__(state, 'total', state.total + 1)\n    return [], state"
    found = taken(text, *["read"] * 4, "go", "read")
    assert str(found) == "turn 5: state.total, which the turn kept, was 0, now 1"


def test_w01_an_answer_made_of_a_state_changed_in_place_is_found() -> None:
    text = "    object.__setattr__(state, 'total', state.total + 1)\n"
    text += "    return message.answer(state.total), state"
    found = taken(text, *["go"] * 4)
    assert found is not None and found.path.startswith("state.total")


def test_w01_a_state_that_shows_what_failed_turns_did_to_it_is_found() -> None:
    text = "    object.__setattr__(state, 'total', state.total + 1)\n    raise ValueError"
    found = taken(text, "read", "go", "read")
    assert found is not None and found.path.startswith("state.total")


def test_w01_no_two_runs_are_under_one_hash_seed_nor_under_the_workers() -> None:
    seeds = [hash_seeds(spans) for spans in range(0, 10 * SPANS_A_SEED, SPANS_A_SEED)]
    every = [seed for both in seeds for seed in both]
    assert 0 not in every and len(set(every)) == len(every)
    assert hash_seeds(SPANS_A_SEED - 1) == seeds[0]


def test_w01_the_order_of_a_set_kept_in_the_state_is_found_with_its_turn() -> None:
    text = "    words = {'one', 'two', 'three', 'four', 'five', 'six'}\n"
    text += "    return [], replace(state, order=','.join(words))"
    reader, _world = history(HEAD + text, "read", "go", "read")
    with seeded(7, 8) as worker:
        found = Again(reader, reader.machine("counter"), worker).run(-1, 10)
    assert found is not None and (found.turn, found.path) == (2, "state.order")


def test_w01_a_state_that_a_snapshot_has_otherwise_is_named_by_value() -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=3))
    text = "    SEEN[0] += 1\n    return [], replace(state, total=SEEN[0] if state.total else 5)"
    reader, _world = history(HEAD + text, *["go"] * 6, world=world)
    machine = reader.machine("counter")
    assert machine.snapshot_at > 0
    found = Again(reader, machine, here).run(-1, machine.head)
    assert found is not None and found.path == "state.total"


def test_w01_a_worker_that_ends_gives_no_verdict() -> None:
    reader, _world = history(HEAD + "    return [], state", "go")
    with pytest.raises(NoVerdict, match="was killed"):
        Again(reader, reader.machine("counter"), lost).run(-1, 5)
    with pytest.raises(NoVerdict, match="is gone"):
        Again(reader, reader.machine("counter"), here).run(1, 5)


def test_w01_another_python_is_noted_and_only_what_it_took_is_run_again() -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=4))
    world.core.host.python = "3.99"
    text = HEAD + "    return [], replace(state, total=state.total + 1)"
    history(text, *["go"] * 6, world=world)
    world.crash()
    world.core.host.python = PYTHON
    client = world.client()
    go = client.hold(Reader(world.store).names(world.machine("counter"))["go"])
    for n in range(5):
        tell(client, world, go, n)
    reader = Reader(world.store)
    machine = reader.machine("counter")
    forms = [link.entry.form for link in reader.walk(machine) if isinstance(link, Link)]
    at = forms.index(journal.RUNTIME)
    assert forms[at : at + 2] == [journal.RUNTIME, journal.SNAPSHOT], "before the first turn"
    assert machine.python == PYTHON
    again = Again(reader, machine, here)
    kept = forms.index(journal.SNAPSHOT)
    assert kept < at and again.run(at + 1, machine.head) is None
    for start in (-1, kept):
        with pytest.raises(NoVerdict, match=r"under Python 3\.99|may be another Python's"):
            again.run(start, machine.head)
    with pytest.raises(OtherPython, match=r"the turns were taken under Python 3\.99"):
        replay(reader, machine, in_process())
    assert isinstance(replay(reader, machine, in_process(), any_python=True), Agreed)


def test_w01_another_version_is_noted_and_no_state_is_kept_for_it() -> None:
    reader, world = history(HEAD + "    return [], replace(state, total=1)", "go")
    world.crash()
    world.core.host.version = "later"
    client = world.client()
    tell(client, world, client.hold(reader.names(world.machine("counter"))["go"]), 1)
    forms = [cbor2.loads(body)[0] for _n, body, _ in world.store.entries(1)]
    assert forms[-2:] == [journal.RUNTIME, journal.TURN]


def test_w01_a_limit_that_was_another_gives_no_verdict() -> None:
    text = "    return message.answer('x' * 500), replace(state, order='y' * 500)"
    reader, _world = history(HEAD + text, "read", "go")
    machine = reader.machine("counter")

    def limited(**limits: int) -> Start:
        @contextmanager
        def worker(_which: int) -> Iterator[Worker]:
            yield in_process(replace(LIMITS, **limits))

        return worker

    assert Again(reader, machine, limited()).run(-1, 3) is None
    for limits in ({"turn_bytes": 400}, {"content_bytes": 400}, {"state_bytes": 400}):
        with pytest.raises(NoVerdict, match="rejected, by a limit"):
            Again(reader, machine, limited(**limits)).run(-1, 3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from((True, False, "ask", "crash")), max_size=20))
def test_w01_a_step_that_returns_constants_as_its_state_agrees_though_the_host_crashes(
    moves: list[bool | str],
) -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=4))
    created = make(world, text=CONSTANT)
    client = world.client()
    go = client.hold(created.names["go"])
    for move in moves:
        if move == "crash":
            world.crash()
        else:
            tell(client, world, go, move)
    agrees_in_every_span(Reader(world.store), "counter", here)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-3, 14), min_size=1, max_size=30), st.sampled_from((3, 7, 1000)))
def test_w01_what_is_pure_agrees_in_every_span_however_it_is_cut(
    adds: list[int], snapshot_turns: int
) -> None:
    world = SimHost(limits=replace(LIMITS, snapshot_turns=snapshot_turns))
    created = make(world)
    client = world.client()
    add, keep = (client.hold(created.names[name]) for name in ("add", "keep"))
    for n in adds:
        if n < 0:
            tell(client, world, keep, client.ear())
        else:
            tell(client, world, add, n, *["none"] * (n == 5))
    agrees_in_every_span(Reader(world.store), "counter", here)


@pytest.mark.parametrize("seed", range(4))
def test_w01_lives_agree_in_every_span_that_is_kept(seed: int) -> None:
    lives = Lives(seed, TINY)
    lives.run(60)
    lives.heal()
    reader = Reader(lives.world.store)

    @contextmanager
    def worker(_which: int) -> Iterator[Worker]:
        yield InProcess(Inside(Limits(), lives.world.codes.__getitem__))

    for name in lives.names:
        if name in lives.world.core.host.names:
            agrees_in_every_span(reader, name, worker)


def agrees_in_every_span(reader: Reader, name: str, worker: Start) -> None:
    machine = reader.machine(name)
    kept = [one.n for one in reader.snapshots(machine)][::-1]
    starts = kept if reader.first(machine) else [-1, *kept]
    for start in starts:
        again = Again(reader, machine, worker)
        assert again.run(start, machine.head) is None, name
