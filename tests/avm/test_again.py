"""Spans run again: what a step owes to anything but its state and its messages is found and named."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from avm.run.again import EVERY, Again
from avm.run.difference import Difference
from avm.run.reading import Reader
from avm.run.spawn import Prepared
from avm.run.worker import Forked, Worker
from avm.sim.world import World
from tests.avm.journals import BY_HASH, COUNTER, LIMITS, busy_world, in_process, make

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


def history(text: str, *asks: str, limits: object = None) -> tuple[Reader, World]:
    world = World()
    created = make(world, text=text)
    client = world.client()
    for name in asks:
        client.ask(client.hold(created.names[name]))
        world.settle()
    return Reader(world.store), world


@contextmanager
def here(_which: int) -> Iterator[Worker]:
    yield in_process()


def taken(text: str, *asks: str) -> Difference | None:
    reader, world = history(HEAD + text, *asks)
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
