"""A plan of faults as data: its text, plans from a seed, and plans that a test shrinks."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from avm.sim.chance import Chance
from avm.sim.drawing import WEIGHTS, draw
from avm.sim.plan import (
    FAULTS,
    WORDS,
    Asymmetric,
    BadPlan,
    BreakLinks,
    Clog,
    Crash,
    Fault,
    Loss,
    Partition,
    Plan,
    parse_plan_untrusted,
)
from avm.sim.world import World
from tests.sim.grove import Grove
from tests.sim.plans import plans

HOSTS = ("h0", "h1", "h2")
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "plan.json").read_text())


@given(plans(HOSTS))
def test_a_plan_is_text_and_comes_back(plan: Plan) -> None:
    assert parse_plan_untrusted(plan.to_text()) == plan


def test_the_text_of_each_fault_is_pinned() -> None:
    text = json.dumps(VECTORS["plan"])
    plan = parse_plan_untrusted(text)
    assert {type(fault) for fault in plan.faults} == set(FAULTS)
    assert json.loads(plan.to_text()) == VECTORS["plan"]


def test_p07_what_is_drawn_from_a_seed_is_pinned() -> None:
    chance = Chance(VECTORS["chance"]["seed"])
    assert [chance.draw() for _ in range(4)] == VECTORS["chance"]["drawn"]
    drawn = draw(VECTORS["drawn"]["seed"], HOSTS, 20.0)
    assert json.loads(drawn.to_text()) == VECTORS["drawn"]["plan"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{}", "is a list"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "fault 0: no fault of this name"),
        ('[{"fault": "Crash", "at_ms": 1}]', "fault 0: Crash needs host"),
        ('[{"fault": "Crash", "at_ms": 1, "host": 2}]', "fault 0: host is not what it can be"),
        ('[{"fault": "Crash", "at_ms": -1, "host": "a"}]', "at_ms is not what it can be"),
        ('[{"fault": "Crash", "at_ms": 1, "host": "a", "when": 3}]', "Crash has no when"),
        ('[{"fault": "Nat", "at_ms": 1, "host": "a", "kind": "x"}]', "kind is not what it can be"),
        ('[{"fault": "Loss", "at_ms": 1, "ms": 1, "share": 2}]', "share is not what it can be"),
    ],
)
def test_p08_a_text_that_is_no_plan_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(BadPlan, match=why):
        parse_plan_untrusted(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_p08_no_text_does_harm(text: str) -> None:
    try:
        parse_plan_untrusted(text)
    except BadPlan:
        pass


def test_a_drawn_plan_has_each_fault_as_often_as_it_weighs() -> None:
    weights = dict.fromkeys(WEIGHTS, 1) | {"Crash": 10, "Loss": 0}
    drawn = draw(1, HOSTS, 1_000.0, weights, every_s=0.2)
    often = Counter(type(fault).__name__ for fault in drawn.faults)
    assert len(drawn.faults) == 5_000
    assert often["Crash"] > 5 * often["Nat"] > 0
    assert often["Loss"] == 0
    assert drawn == draw(1, HOSTS, 1_000.0, weights, every_s=0.2)
    assert drawn != draw(2, HOSTS, 1_000.0, weights, every_s=0.2)


def test_a_plan_that_makes_something_happen_is_shrunk_to_the_one_fault_that_does() -> None:
    def crashes(plan: Plan) -> bool:
        return sum(isinstance(fault, Crash) for fault in plan.faults) > 0

    found = find(plans(HOSTS), crashes, settings=settings(database=None))
    assert found == Plan((Crash(0, "h0", 0, False),))


@pytest.mark.parametrize("fault", VECTORS["plan"], ids=lambda row: row["fault"])
def test_every_fault_can_happen_and_a_healed_world_is_quiet(fault: dict[str, Any]) -> None:
    plan = parse_plan_untrusted(json.dumps([{**fault, "at_ms": 3_000}]))
    grove = Grove(7, plan=plan, dht=False).play(10, 0.2)
    assert grove.world.counts[f"fault {fault['fault']}"] == 1
    assert grove.world.quiet(60)


@settings(max_examples=5)
@given(plans(HOSTS, most=4))
def test_a_world_heals_whatever_the_plan(plan: Plan) -> None:
    later = [replace(fault, at_ms=3_000 + fault.at_ms) for fault in plan.faults]
    assert Grove(8, plan=Plan(tuple(later))).play(10, 0.4).world.quiet(60)


def vectors() -> dict[str, Any]:
    """All vectors, as the code makes them now."""
    shown: list[Fault] = []
    values: dict[str, Any] = {"str": "h0", "int": 700, "bool": True, "float": 0.25}
    for kind in FAULTS:
        row: dict[str, Any] = {
            name: WORDS[name][1] if name in WORDS else values.get(hint.__name__, ("h0", "h1"))
            for name, hint in get_type_hints(kind).items()
        }
        shown.append(kind(**row))
    chance = Chance(11)
    return {
        "plan": json.loads(Plan(tuple(shown)).to_text()),
        "chance": {"seed": 11, "drawn": [chance.draw() for _ in range(4)]},
        "drawn": {"seed": 5, "plan": json.loads(draw(5, HOSTS, 20.0).to_text())},
    }


@pytest.mark.parametrize(
    "fault",
    [
        Crash(0, "c"),
        Partition(0, 1_000, ("a", "c")),
        Asymmetric(0, 1_000, ("a",), ("c",)),
        Loss(0, 1_000, 0.5, ("c",)),
        Clog(0, 1_000, "a", "c", 1_000),
        BreakLinks(0, "a", "c"),
    ],
)
def test_a_fault_of_a_host_that_is_none_is_told_when_it_begins(fault: Fault) -> None:
    world = World(1, dht=False)
    world.add_host("a")
    world.add_host("b")
    world.inject(fault)
    with pytest.raises(BadPlan, match=r"^there is no host c; there are: a, b$"):
        world.run(1)
