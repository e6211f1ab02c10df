"""New code on a recorded history: what would be otherwise is named, before any switch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avm.cli.shadow import show
from avm.past.numbering import Numbering
from avm.past.reading import NoSuchTurn, Reader
from avm.past.shadow import NewCode
from avm.past.shadowing import Compared, Shadowing
from avm.run.spawn import OTHER_HASH_SEED
from avm.run.worker import Worker, forked
from avm.sim.host import SimHost
from tests.avm.journals import (
    COUNTER,
    LIMITS,
    bundle_of,
    busy_world,
    in_process,
    make,
    tell,
    upgrade,
)

WIDER = COUNTER.replace("kept: tuple = ()", "kept: tuple = ()\n    new: int = 5")


@contextmanager
def here() -> Iterator[Worker]:
    yield in_process()


def compared(world: SimHost, text: str, to: int | None = None, since: int = 0) -> Compared:
    bundle = bundle_of(text)
    reader = Reader(world.store)
    machine = reader.machine("counter")
    new = NewCode(bundle.hash, bundle.encode())
    return Shadowing(reader, machine, new, here, to, None, since).run()


def shown(found: Compared, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show("counter", found)
    return capsys.readouterr().out.splitlines()


def test_x06_code_that_answers_the_same_differs_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    for text in (COUNTER, COUNTER + "\n# the same", WIDER):
        found = compared(world, text)
        assert found.agrees and found.turns == 26
        assert shown(found, capsys) == ["counter: 26 turns, every answer is the same"]


def test_x06_the_first_differing_message_and_field_is_named_side_by_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = COUNTER.replace('{"total": total}', '{"total": total + (n == 3), "n": n}')
    text = text.replace("message.answer({", 'message.answer({"more": n > 4, ', 2).replace(
        'message.answer({"more": n > 4, "add"', 'message.answer({"add"'
    )
    found = compared(busy_world(), text)
    assert not found.agrees
    assert shown(found, capsys) == [
        "counter: turn 1, message 0: sends[0].content.n was absent, now 0",
        "                         recorded  now",
        "  sends[0].content.n     absent    0",
        "  sends[0].content.more  absent    false",
        "counter: of 26 turns 20 differ, in 20 messages",
    ]


def test_x06_a_state_that_no_answer_shows_is_compared_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = COUNTER.replace("(*state.kept, what)", "(*state.kept, what, what)")
    found = compared(busy_world(), text)
    assert found.turns_differing == 0 and found.agrees, "it is told, and no answer is another"
    kept = 'state.kept[1] is absent; it would be {"$cap": "client 99c6f12a.."}'
    assert shown(found, capsys) == [
        "counter: 26 turns, every answer is the same",
        f"counter: {kept} under this code from the start on",
    ]


def test_x06_a_verdict_that_is_another_is_named_with_its_reason() -> None:
    world = busy_world()
    found = compared(world, COUNTER.replace("if n == 13", "if n == 12"))
    assert found.difference is not None
    assert (found.difference.turn, found.difference.message) == (13, 0)
    assert found.fields == [("the verdict", "applied", "rejected: ValueError: thirteen")]
    assert found.turns_differing == 10, "that turn, those whose total misses it, and the one of 13"
    mended = compared(world, COUNTER.replace("if n == 13", "if False"))
    assert mended.fields == [("the verdict", "rejected", "applied")]


def test_x06_contexts_that_are_not_taken_any_more_are_listed_with_a_count_and_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compared(busy_world(), COUNTER.replace('case "add", int(n)', 'case "plus", int(n)'))
    lines = shown(found, capsys)
    assert "counter: 1 kind of context is not taken any more" in lines
    assert '  "add"  21 messages, the first turn 1, message 0  refused: no such thing' in lines


ALARM = """
from avm import Send, record, Refused

@record
class Bell:
    n: int

@record
class Thanks:
    to: int

def init(message, me):
    return message.answer({"set": me("set"), "ask": me("ask"), "shut": me("shut")}), me

def step(message, me):
    match message.context, message.content:
        case "set", int(n):
            return [Send(me(Bell(n)), n, after_s=1000)], me
        case "ask", peer:
            return [Send(peer, None, reply=me(Thanks(7)), deadline_s=1000)], me
        case Bell(n), int(m):
            return [], me
        case Thanks(n), int(m):
            return [], me
        case "shut", (1, 2, 3):
            return [], me
    raise Refused
"""


def alarmed() -> SimHost:
    world = SimHost()
    created = make(world, text=ALARM)
    client = world.client()
    tell(client, world, client.hold(created.names["set"]), 5)
    tell(client, world, client.hold(created.names["ask"]), client.ear("mine"))
    return world


def test_x06_what_waits_is_tried_a_timer_with_its_own_message_and_an_ask_with_a_few() -> None:
    world = alarmed()
    assert compared(world, ALARM).agrees
    found = compared(world, ALARM.replace("case Bell(n), int(m)", "case Bell(n), str(m)"))
    assert [(one.shape, one.where, one.why) for one in found.not_taken] == [
        ("Bell(n: int)", "a timer that is set", "refused")
    ]
    assert found.untold == ['"shut"'], "nobody knows what it takes"
    found = compared(
        world, ALARM.replace("class Thanks:\n    to: int", "class Thanks:\n    by: int")
    )
    assert [(one.shape, one.why) for one in found.not_taken] == [("Thanks(to: int)", "refused")]
    assert found.not_taken[0].where == "open ask 0"


def test_x06_a_record_that_fits_no_class_of_the_new_code_is_told_though_no_message_is_known() -> (
    None
):
    text = ALARM.replace('"shut": me("shut")', '"shut": me(Thanks(1))')
    text = text.replace("case Thanks(n), int(m)", "case Thanks(n), (1, 2, 3)")
    world = SimHost()
    make(world, text=text)
    found = compared(world, text.replace("Thanks", "Thank"))
    assert [one.shape for one in found.not_taken] == ["Thanks(to: int)"]
    assert "no record of the code fits" in found.not_taken[0].why


def test_x06_it_says_when_the_state_would_not_migrate(capsys: pytest.CaptureFixture[str]) -> None:
    other = COUNTER.replace("class Counter", "class Tally").replace("Counter(", "Tally(")
    found = compared(busy_world(), other)
    assert not found.agrees and found.difference is None
    assert "it needs a migrate" in found.upgrade
    assert shown(found, capsys)[-1] == f"counter would keep its code: {found.upgrade}"


def test_x06_new_code_that_refuses_init_stops_there() -> None:
    text = COUNTER.replace(
        "def init(message, me):", "def init(message, me):\n    raise Refused('no')"
    )
    found = compared(busy_world(), text)
    assert found.stopped == "turn 0: init was applied, now refused: no"
    assert not found.upgrade and not found.agrees


def test_x06_an_endless_step_of_new_code_is_told_and_not_waited_for() -> None:
    endless = "while n == 3:\n                pass\n            if n == 13:"
    bundle = bundle_of(COUNTER.replace("if n == 13:", endless))
    reader = Reader(busy_world().store)
    new = NewCode(bundle.hash, bundle.encode())
    start = partial(forked, OTHER_HASH_SEED, LIMITS, 2)
    found = Shadowing(reader, reader.machine("counter"), new, start).run()
    assert found.stopped == "turn 4: the worker gave no answer in time"


def test_x06_a_pruned_journal_is_taken_from_its_oldest_snapshot_migrated() -> None:
    world = busy_world(replace(LIMITS, snapshot_turns=7))
    machine = world.machine("counter")
    world.ask(lambda request: world.core.prune(request, machine, 10))
    found = compared(world, WIDER)
    assert found.agrees and found.first >= 10
    with pytest.raises(NoSuchTurn, match="was pruned"):
        compared(world, WIDER, to=3)


def test_x06_from_a_turn_on_the_state_before_it_is_migrated_and_what_was_given_out_is_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = busy_world()
    text = WIDER.replace("state.total + n", "state.total + n + (n == 3)")
    for since in range(1, world.machine("counter").head):
        found = compared(world, text, since=since)
        assert found.agrees is (since > 4) and found.first == since - 1
        assert found.turns == 26 - since
    assert shown(compared(world, text, since=25), capsys) == [
        "counter: 1 turn, every answer is the same, from the state of turn 24 on"
    ]
    stopped = COUNTER.replace("def init(message, me):", "def init(message, me):\n    raise Refused")
    assert compared(world, stopped).stopped and compared(world, stopped, since=1).agrees
    renamed = compared(world, COUNTER.replace('case "read"', 'case "look"'), since=26 - 2)
    assert [one.shape for one in renamed.not_taken] == ['"read"']


def test_x06_a_code_switch_on_the_way_is_passed_over_and_an_edit_migrated() -> None:
    world = busy_world()
    upgrade(world, "counter", WIDER)
    client = world.client()
    tell(client, world, client.hold(Reader(world.store).names(world.machine("counter"))["add"]), 1)
    assert compared(world, WIDER + "\n# once more").agrees
    assert compared(world, COUNTER, to=20).agrees


KEEPS = """
def init(message, me):
    return message.answer({"put": me("put"), "get": me("get")}), (me,)

def step(message, state):
    if message.context == "put":
        number, cap = message.content
        if number % EVERY:
            return [], state
        return [], (*state, cap)
    from avm import Send
    return [Send(cap, n) for n, cap in enumerate(state[1:])], state
"""


def keeps(every: int) -> str:
    text = KEEPS.replace("    from avm import Send\n", "").replace("EVERY", str(every))
    return "from avm import Send\n" + text


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 11), max_size=12), st.sampled_from((1, 2, 3)))
@example([4, 9], 3)
def test_x06_capabilities_that_only_one_of_the_two_keeps_are_told_apart(
    numbers: list[int], every: int
) -> None:
    """Code that keeps other capabilities is held against the same code that really ran."""
    worlds = [SimHost(), SimHost()]
    for world, text in zip(worlds, (keeps(2), keeps(every)), strict=True):
        created = make(world, text=text)
        client = world.client()
        put, get = (client.hold(created.names[name]) for name in ("put", "get"))
        for number in numbers:
            tell(client, world, put, (number, client.ear(f"ear{number % 5}")))
        tell(client, world, get, None)
    found = compared(worlds[0], keeps(every))
    # The same ear may have come with two numbers.
    held = [[n % 5 for n in numbers if n % one == 0] for one in (2, every)]
    assert (found.turns_differing == 0) == (held[0] == held[1])
    if held[0] != held[1]:
        assert found.difference is not None
        assert found.difference.turn == len(numbers) + 1, "only what is sent to them differs"


@dataclass
class Table:
    """Who holds what under which number."""

    slots: dict[str, int] = field(default_factory=dict)
    next: int = 0

    def keep(self, fresh: list[str]) -> None:
        for cap in fresh:
            self.slots[cap] = self.next
            self.next += 1


TURN = st.tuples(st.lists(st.sampled_from("abcdef"), max_size=4), st.booleans(), st.booleans())


@given(st.lists(TURN, max_size=12))
def test_x06_a_reference_there_and_back_is_itself(
    turns: list[tuple[list[str], bool, bool]],
) -> None:
    numbering, record, held = Numbering(), Table(), dict[int, str]()
    for caps, record_keeps, run_keeps in turns:
        fresh = list(dict.fromkeys(cap for cap in caps if cap not in record.slots))
        given_ = [
            record.slots[cap] if cap in record.slots else -1 - fresh.index(cap) for cap in caps
        ]
        own: list[Any] = [0, "", "", False, b"", list(given_)]
        said, brought = numbering.given([[b"", b"", "null~", given_, [own]]], len(fresh))
        told = [numbering.told(one, brought) for one in said[0][3]]
        assert told == given_ and numbering.told(said[0][4][0], brought) == own
        for cap, reference in zip(caps, said[0][3], strict=True):
            assert reference < 0 or held[reference] == cap
        new = {reference: cap for cap, reference in zip(caps, said[0][3], strict=True)}
        if run_keeps:
            for reference, cap in new.items():
                if reference < 0:
                    held[numbering.own - 1 - reference] = cap
        numbering.after(len(fresh), record_keeps, brought, run_keeps)
        if record_keeps:
            record.keep(fresh)
        assert numbering.recorded == record.next
