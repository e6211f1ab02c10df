"""The mint: money moves and is never made, forged or lost."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.testing import Client, Machine, NoAnswer, NotApplied, World, cap_in
from caps.value import Capability

MINT = Path(__file__).parents[2] / "examples" / "mint.py"


def purse(client: Client, capability: Capability, *said: object) -> Capability:
    return cap_in(client.call(capability, *said))


def total(mint: Machine) -> int:
    return sum(mint.state.balances.values())


moves = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-5, 60), st.booleans()),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(moves, st.integers(0, 1000))
def test_money_is_conserved_whatever_is_asked_and_whenever_the_host_dies(
    asked: list[tuple[int, int, int, bool]], seed: int
) -> None:
    world = World(seed, shuffled=True)
    mint = world.machine(MINT)
    client = world.client()
    purses = [purse(client, mint.cap("issue"), amount) for amount in (10, 20, 30)]
    before = [10, 20, 30]
    for source, to, amount, crash in asked:
        ask = client.ask(purses[to], {"amount": amount, "from": purses[source]})
        if crash:
            world.step()
            world.crash()
        if 0 < amount <= before[source]:
            before[source] -= amount
            before[to] += amount
            assert ask.answer() == before[to]
        else:
            with pytest.raises(NoAnswer, match="refused"):
                ask.answer()
        assert total(mint) == 60
    assert [client.call(one) for one in purses] == before


def test_a_purse_of_another_mint_is_no_money() -> None:
    world = World()
    mint, other = world.machine(MINT), world.machine(MINT)
    client = world.client()
    mine = purse(client, mint.cap("issue"), 10)
    forged = purse(client, other.cap("issue"), 1000)
    for source in (forged, client.cap("Purse"), mint.cap("issue")):
        with pytest.raises(NoAnswer, match="not a purse of this mint"):
            client.call(mine, {"amount": 5, "from": source})
    assert client.call(mine) == 10


def test_a_batch_that_ends_in_a_refusal_moves_nothing() -> None:
    world = World()
    mint = world.machine(MINT)
    client = world.client()
    mine, yours = purse(client, mint.cap("issue"), 10), purse(client, mint.cap("issue"), 1)
    good, bad = {"amount": 4, "from": mine}, {"amount": 40, "from": mine}
    with pytest.raises(NotApplied, match="refused: no such money"):
        client.send(yours, good, good, bad)
    assert client.call(mine) == 10


def test_a_sprout_is_an_empty_purse_of_its_own() -> None:
    world = World()
    mint = world.machine(MINT)
    client = world.client()
    mine = purse(client, mint.cap("issue"), 10)
    sprout = purse(client, mine, "sprout")
    assert client.call(sprout) == 0
    assert client.call(sprout, {"amount": 10, "from": mine}) == 10
    assert client.call(mine) == 0
