"""The escrow: two sides exchange, or neither does, and money is in a purse at every moment."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm import Me, Message, Refused, Step, record
from avm.testing import Asked, Client, Machine, NoAnswer, World, cap_in
from caps.value import Capability

EXAMPLES = Path(__file__).parents[2] / "examples"
PRICES = {"a": 7, "b": 3}


class Deal:
    """Two mints, an escrow between them, and a client for each side with a purse of 10."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients = {side: world.client() for side in "ab"}
        self.mints = {side: world.machine(EXAMPLES / "mint.py") for side in "ab"}
        self.purses = {side: self.issued(side, 10) for side in "ab"}
        grants = {side: self.issued(side, 1) for side in "ab"}
        params = {"prices": (PRICES["a"], PRICES["b"])}
        self.escrow = world.machine(EXAMPLES / "escrow.py", params=params, grants=grants)

    def issued(self, side: str, amount: int) -> Capability:
        return given_by(self.clients[side], self.mints[side].cap("issue"), amount)

    def pay(self, side: str, payment: Capability | None = None) -> Asked:
        purse = payment or self.purses[side]
        return self.clients[side].ask(self.escrow.cap(side), {"pay": purse})

    def claim(self, side: str) -> Capability:
        return given_by(self.clients[side], self.escrow.cap(side), "claim")

    def totals(self) -> tuple[int, int]:
        return total(self.mints["a"]), total(self.mints["b"])

    def holds(self, side: str, purse: Capability) -> object:
        return self.clients[side].call(purse)


def given_by(client: Client, to: Capability, said: object) -> Capability:
    return cap_in(client.call(to, said))


def total(mint: Machine) -> int:
    return sum(mint.state.balances.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), max_size=6), st.integers(0, 10_000))
def test_money_is_conserved_and_the_deal_is_done_wherever_the_host_dies(
    crashes: list[int], seed: int
) -> None:
    world = World(seed, shuffled=True)
    deal = Deal(world)
    asked = [deal.pay("a"), deal.pay("b")]
    for steps in crashes:
        for _ in range(steps):
            world.step()
        world.crash()
        assert deal.totals() == (11, 11)
    assert [one.answer() for one in asked] == ["paid", "paid"]
    assert deal.holds("b", deal.claim("b")) == PRICES["a"]
    assert deal.holds("a", deal.claim("a")) == PRICES["b"]
    left = [deal.holds(side, deal.purses[side]) for side in "ab"]
    assert left == [10 - PRICES["a"], 10 - PRICES["b"]]
    assert deal.totals() == (11, 11)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10_000))
def test_a_side_that_cannot_pay_is_told_and_may_pay_again(steps: int, seed: int) -> None:
    world = World(seed, shuffled=True)
    deal = Deal(world)
    asked = deal.pay("a", deal.issued("a", 6))
    for _ in range(steps):
        world.step()
    world.crash()
    with pytest.raises(NoAnswer, match="refused: no such money"):
        asked.answer()
    assert deal.pay("a").answer() == "paid"
    assert deal.totals() == (17, 11)


@record(name="Drawer")
class Drawer:
    me: Me
    balance: int = 0


class ForgetfulMint:
    """Takes the money and does not answer: whether it has it, only the balance tells."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Drawer]:
        return message.answer({"brand": me("brand")}), Drawer(me)

    @staticmethod
    def step(message: Message, state: Drawer) -> Step[Drawer]:
        match message.context, message.content:
            case "brand", "sprout":
                return message.answer(state.me("vault")), state
            case "vault", None:
                return message.answer(state.balance), state
            case "vault", {"amount": int(amount)}:
                return [], replace(state, balance=state.balance + amount)
        raise Refused


def test_money_of_which_nobody_said_whether_it_came_is_found_by_its_balance() -> None:
    world = World()
    mints = [world.machine(ForgetfulMint()) for _side in "ab"]
    grants = {side: mint.cap("brand") for side, mint in zip("ab", mints, strict=True)}
    escrow = world.machine(EXAMPLES / "escrow.py", params={"prices": (7, 3)}, grants=grants)
    client = world.client()
    for side, mint, price in zip("ab", mints, (7, 3), strict=True):
        asked = client.ask(escrow.cap(side), {"pay": client.cap("mine")}, timeout_s=300)
        world.step()
        world.crash()
        assert asked.answer() == "paid"
        assert mint.state.balance == price
    assert client.call(given_by(client, escrow.cap("a"), "claim")) == 3


def test_nobody_claims_before_both_have_paid() -> None:
    deal = Deal(World())
    assert deal.pay("a").answer() == "paid"
    for side in "ab":
        with pytest.raises(NoAnswer, match="not both have paid"):
            deal.claim(side)


def test_money_comes_back_until_both_have_paid() -> None:
    deal = Deal(World())
    assert deal.pay("a").answer() == "paid"
    back = given_by(deal.clients["a"], deal.escrow.cap("a"), "cancel")
    assert deal.holds("a", back) == PRICES["a"]
    assert deal.pay("a", back).answer() == "paid"
    assert deal.pay("b").answer() == "paid"
    with pytest.raises(NoAnswer, match="nothing to give back"):
        deal.clients["a"].call(deal.escrow.cap("a"), "cancel")


def test_a_purse_of_the_wrong_money_pays_nothing() -> None:
    deal = Deal(World())
    with pytest.raises(NoAnswer, match="not a purse of this mint"):
        deal.pay("a", deal.purses["b"]).answer()
    assert deal.totals() == (11, 11)


def test_two_payments_of_one_side_at_once_are_one() -> None:
    deal = Deal(World())
    first, second = deal.pay("a"), deal.pay("a")
    assert first.answer() == "paid"
    with pytest.raises(NoAnswer, match="paid already"):
        second.answer()
    assert deal.holds("a", deal.purses["a"]) == 10 - PRICES["a"]


def test_money_that_was_paid_is_not_lost_when_nobody_waits_for_the_answer() -> None:
    world = World()
    deal = Deal(world)
    client = deal.clients["a"]
    client.send(deal.escrow.cap("a"), {"pay": deal.purses["a"]})
    world.advance(3600)
    assert deal.pay("b").answer() == "paid"
    assert deal.holds("b", deal.claim("b")) == PRICES["a"]
