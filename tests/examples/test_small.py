"""The counter and the shared list."""

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
