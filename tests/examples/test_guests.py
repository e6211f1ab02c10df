"""The guests: each has a key of its own, which opens until it is taken back, wherever the host dies."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.testing import NoAnswer, World, cap_in

EXAMPLES = Path(__file__).parents[2] / "examples"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 15), max_size=4), st.integers(0, 1000))
def test_a_guest_hears_who_is_behind_the_door_until_it_is_shown_out(
    crashes: list[int], seed: int
) -> None:
    world = World(seed, shuffled=True)
    client = world.client()
    counter = world.machine(EXAMPLES / "counter.py")
    door = world.machine(EXAMPLES / "guests.py", grants={"behind": counter.cap("add")})
    keys = {name: client.call(door.cap("invite"), {"invite": name}) for name in ("ann", "bob")}
    asked = [client.ask(cap_in(keys["ann"]), 2), client.ask(cap_in(keys["bob"]), 3)]
    for steps in crashes:
        for _ in range(steps):
            world.step()
        world.crash()
    assert {one.answer() for one in asked} in ({2, 5}, {3, 5})
    with pytest.raises(NoAnswer, match="refused"):
        client.call(cap_in(keys["ann"]), "two")
    client.call(door.cap("invite"), {"show out": "ann"})
    with pytest.raises(NoAnswer, match="not with this key"):
        client.call(cap_in(keys["ann"]), 2)
    again = client.call(door.cap("invite"), {"invite": "ann"})
    assert client.call(cap_in(again), 1) == 6 and client.call(cap_in(keys["bob"]), 1) == 7
    with pytest.raises(NoAnswer, match="not with this key"):
        client.call(cap_in(keys["ann"]), 2)
    assert dict(client.call(door.cap("guests"))) == {"ann": 3, "bob": 2}  # type: ignore[call-overload]
