"""`migrate`: what it returns by mistake is no state, and a record that fits no class is told with why."""

from pathlib import Path

import pytest

from avm.testing import Machine, NotCreated, World

BEFORE = """\
from avm import *

@record
class Item:
    label: str

@record
class State:
    total: int = 5
    items: tuple[Item, ...] = ()

def init(message, me):
    return message.answer({"read": me("read")}), State(items=(Item("a"),))

def step(message, state):
    return message.answer(state.total), state
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    file = tmp_path / "prefs.py"
    file.write_text(BEFORE)
    return World().machine(file)


def upgrade(machine: Machine, tmp_path: Path, text: str) -> None:
    file = tmp_path / "newer" / "prefs.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    machine.upgrade(file)


@pytest.mark.parametrize(
    ("migrate", "why"),
    [
        ("pass", "migrate returned nothing: it returns the new state"),
        (
            "return [], State(7)",
            r"migrate returned \(sends, state\): it returns the new state alone",
        ),
        ("return [Cancel(NULL)], State(7)", r"migrate returned \(sends, state\)"),
    ],
)
def test_what_is_returned_by_mistake_changes_nothing(
    machine: Machine, tmp_path: Path, migrate: str, why: str
) -> None:
    with pytest.raises(NotCreated, match=f"prefs keeps its code: {why}"):
        upgrade(machine, tmp_path, f"{BEFORE}\ndef migrate(old):\n    {migrate}\n")
    assert machine.state.total == 5


@pytest.mark.parametrize("state", ["(), 7", "[1], 7", "0", "False"])
def test_a_state_may_be_any_value_but_none(machine: Machine, tmp_path: Path, state: str) -> None:
    upgrade(machine, tmp_path, f"{BEFORE}\ndef migrate(old):\n    return {state}\n")
    assert machine.state in (((), 7), ((1,), 7), 0, False)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Item", "Thing", "fits Item: there is no such class"),
        ("total: int = 5", "sum: int = 5", "fits State: it has no field total"),
        (
            "label: str",
            "label: str\n    n: int",
            "fits Item: its field n is new and has no default",
        ),
    ],
)
def test_a_record_that_fits_no_class_is_told_with_why(
    machine: Machine, tmp_path: Path, old: str, new: str, why: str
) -> None:
    with pytest.raises(NotCreated, match=f"has no record that {why}; it needs a migrate"):
        upgrade(machine, tmp_path, BEFORE.replace(old, new).replace("state.total", "1"))
