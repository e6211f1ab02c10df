"""Questions about the past, held against what happened: what is asked at a turn, and since when it fails."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host import journal
from avm.host.capability import Local
from avm.host.chain import input_of, output_of
from avm.limits import Limits
from avm.machine.bundle import EXPECTATION, Bundle, BundleRefused, collect
from avm.machine.judge import Judge
from avm.machine.prepared import load_bytes
from avm.past.asking import ASKER, YOU, Answered, NotThen, Question, ask_at
from avm.past.bisecting import Bisection, ExpectationRefused, Failed, Held
from avm.past.labels import Labels, Lens
from avm.past.moments import lens_at, moment_at
from avm.past.paths import changes
from avm.past.reading import Reader
from avm.past.states import oldest, state_at
from avm.run.worker import InProcess
from avm.sim.host import SimHost
from caps.codec import encode_content
from caps.value import freeze
from tests.avm.journals import COUNTER, LIMITS, busy_world, in_process, make, tell, upgrade
from tests.avm.test_rerun import edit

SMALL = Limits(snapshot_turns=7)
TOTAL = "def expect(state):\n    return state.total < {limit}\n"


def asked(world: SimHost, turn: int, name: str, content: object = None, **over: Any) -> Answered:
    reader = Reader(world.store)
    machine = reader.machine("counter")
    to = reader.names(machine)[name]
    assert isinstance(to, Local)
    moment = moment_at(reader, machine, turn)
    lens = lens_at(reader, machine, Labels({ASKER: YOU}), moment)
    question = Question(to._replace(**over), encode_content(freeze(content))[0], ())
    return ask_at(reader, machine, in_process(), lens, moment, question, LIMITS)


@pytest.mark.parametrize("limits", [None, SMALL], ids=["whole", "snapshots"])
def test_x05_what_is_asked_at_a_turn_is_what_the_machine_answered_next(
    limits: Limits | None,
) -> None:
    world = busy_world(limits)
    reader = Reader(world.store)
    machine = reader.machine("counter")
    lens = Lens(machine.address, reader.slots(machine), Labels())
    compared = 0
    for n, body, _printed in reader.store.entries(machine.id, 1):
        entry = journal.decode(n, body)
        given = input_of(entry)
        if entry.form != journal.TURN or given is None or len(given.messages) != 1:
            continue
        context, content, *_rest = given.messages[0]
        if context != b"\x63add":
            continue
        said = lens.content(content, [])
        answered = asked(world, n - 1, "add", said)
        (recorded,) = output_of(entry)[0]
        assert answered.answers == [lens.content_json(recorded[1], [])]
        states = [lens.state(*state_at(reader, machine, in_process(), at)) for at in (n - 1, n)]
        assert answered.changed == list(changes(states[0], states[1], lens.label))
        compared += 1
    assert compared >= 20


def test_x05_what_was_not_good_then_is_rejected_then() -> None:
    world = busy_world()
    with pytest.raises(NotThen, match="newer than turn 3"):
        asked(world, 3, "read", generation=1)
    with pytest.raises(NotThen, match="expired by turn 3"):
        asked(world, 3, "read", expires_ms=5)
    assert asked(world, 3, "read", expires_ms=2**62).answers == [3]


def judging() -> InProcess:
    told: list[bytes] = []

    def load(body: bytes) -> Any:
        return load_bytes(body, LIMITS.printed_bytes)

    return InProcess(Judge(LIMITS, load, told.append), told)


def expectation(text: str) -> Bundle:
    files = {"e.py": text.encode()}
    return collect("e.py", files.get, EXPECTATION)


def bisected(world: SimHost, text: str, first: int | None = None) -> Held | Failed:
    reader = Reader(world.store)
    machine = reader.machine("counter")
    return Bisection(reader, machine, judging(), LIMITS).run(expectation(text), first)


def totals(world: SimHost) -> dict[int, int]:
    """The total after each turn that is kept, one by one."""
    reader = Reader(world.store)
    machine = reader.machine("counter")
    lens = Lens(machine.address, reader.slots(machine), Labels())
    found: dict[int, int] = {}
    kept = oldest(reader, machine)
    for turn in range(0 if kept is None else kept.n, machine.head):
        value: Any = lens.state(*state_at(reader, machine, in_process(), turn))
        found[turn] = value.fields["total"]
    return found


@given(
    adds=st.lists(st.integers(-6, 9), min_size=4, max_size=18),
    limit=st.integers(1, 30),
    switch=st.integers(0, 12),
    cut=st.booleans(),
)
@settings(max_examples=15)
def test_x05_the_first_turn_is_found_though_later_ones_hold_again(
    adds: list[int], limit: int, switch: int, cut: bool
) -> None:
    world = SimHost(limits=Limits(snapshot_turns=5))
    created = make(world)
    client = world.client()
    add = client.hold(created.names["add"])
    for at, n in enumerate(adds):
        if at == switch:
            upgrade(world, "counter", COUNTER.replace('print("adding", n)', "n = n + 1"))
        tell(client, world, add, n)
    if cut:
        machine = world.machine("counter")
        world.ask(lambda request: world.core.prune(request, machine, machine.head // 2))
    after = totals(world)
    fails = [turn for turn, total in after.items() if total >= limit]
    found = bisected(world, TOTAL.format(limit=limit))
    if fails:
        assert isinstance(found, Failed) and found.turn == fails[0]
    else:
        assert isinstance(found, Held) and (found.first, found.last) == (
            min(after),
            max(after),
        )


def test_x05_each_turn_is_judged_under_the_code_and_from_the_state_of_then() -> None:
    world = SimHost()
    created = make(world)
    client = world.client()
    add = client.hold(created.names["add"])
    tell(client, world, add, 1)
    upgrade(world, "counter", COUNTER.replace("state.total + n\n", "state.total + 100 * n\n"))
    tell(client, world, add, 2)
    edit(world, total=7)
    tell(client, world, add, 3)
    after = totals(world)
    assert list(after.values()) == [0, 1, 1, 201, 7, 7, 307]
    for limit, turn in ((200, 3), (202, 6), (2, 3)):
        found = bisected(world, TOTAL.format(limit=limit))
        assert isinstance(found, Failed) and found.turn == turn
    found = bisected(world, TOTAL.format(limit=8), 4)
    assert isinstance(found, Failed) and found.turn == 6


def test_x05_an_expectation_that_takes_the_turn_judges_each() -> None:
    world = busy_world()
    head = world.machine("counter").head
    found = bisected(world, "def expect(state, turn):\n    return None\n")
    assert found == Held(0, head - 1, head)
    found = bisected(world, f"def expect(state, turn):\n    return turn < {head - 1}\n", 3)
    assert found == Failed(3, head - 1, "expect returned False", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def expect(state):\n    return 1\n", "after turn 0: expect returned int"),
        ("def expect(state):\n    return 1 / 0\n", "after turn 0: e.py:2: ZeroDivisionError"),
        ("def expect(state):\n    import os\n", "`import os` is not allowed in a step"),
        ("expect = 3\n", "has no function `expect`"),
    ],
)
def test_x05_what_cannot_be_judged_is_told(text: str, said: str) -> None:
    with pytest.raises(ExpectationRefused) as refused:
        bisected(busy_world(adds=2), text)
    assert said in str(refused.value)


def test_x05_an_expectation_is_a_file_of_its_own() -> None:
    with pytest.raises(BundleRefused, match="has no `expect`: add `def expect"):
        expectation("def step(message, state):\n    return [], state\n")
