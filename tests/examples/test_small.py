"""The counter, the shared list and the agent."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.testing import NoAnswer, World
from caps.map import Map
from caps.value import Capability

EXAMPLES = Path(__file__).parents[2] / "examples"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 4)), max_size=8), st.integers(0, 999))
def test_each_number_is_added_once_though_the_host_dies(
    numbers: list[tuple[int, int]], seed: int
) -> None:
    world = World(seed, shuffled=True)
    counter = world.machine(EXAMPLES / "counter.py")
    client = world.client()
    for number, steps in numbers:
        client.offer(counter.cap("add"), number)
        for _ in range(steps):
            world.step()
        if steps:
            world.crash()
    world.settle()
    assert client.call(counter.cap("read")) == sum(number for number, _ in numbers)


def test_a_reader_cannot_write() -> None:
    world = World()
    todo = world.machine(EXAMPLES / "todo.py")
    client = world.client()
    assert client.call(todo.cap("write"), {"add": "buy milk"}) == 1
    world.crash()
    client.call(todo.cap("write"), {"done": 1})
    item = Map({"number": 1, "text": "buy milk", "done": True})
    assert client.call(todo.cap("read")) == (item,)
    for said in ({"add": "no"}, {"drop": 1}, {"share": "x"}):
        with pytest.raises(NoAnswer, match="not with this capability"):
            client.call(todo.cap("read"), said)


def test_a_reader_is_closed_again_by_name() -> None:
    world = World()
    todo = world.machine(EXAMPLES / "todo.py")
    owner, guest = world.client(), world.client()
    reader = owner.call(todo.cap("write"), {"share": "guest"})
    assert isinstance(reader, Capability)
    assert guest.call(reader) == ()
    owner.call(todo.cap("write"), {"unshare": "guest"})
    with pytest.raises(NoAnswer, match="refused"):
        guest.call(reader)
    assert owner.call(todo.cap("read")) == ()


def test_an_agent_hands_on_what_it_was_handed_and_is_not_needed_any_more() -> None:
    world = World()
    counter = world.machine(EXAMPLES / "counter.py")
    ann = world.machine(EXAMPLES / "agent.py", name="ann")
    bob = world.machine(EXAMPLES / "agent.py", name="bob")
    client = world.client()
    for name, cap in (("bob", bob.cap("learn")), ("counter", counter.cap("add"))):
        assert client.call(ann.cap("learn"), {"name": name, "cap": cap}) == name
    client.send(ann.cap("introduce"), {"to": "bob", "name": "counter"})
    world.crash()
    assert client.call(bob.cap("known")) == ("counter",)
    assert client.call(bob.cap("use"), {"name": "counter", "content": 5}) == 5
    with pytest.raises(NoAnswer, match="who is ann"):
        client.call(bob.cap("use"), {"name": "ann", "content": None})
