"""Scenes of money: the mint and the escrow. Pure."""

from avm.kit.stage import Stage
from caps.value import Capability


def money_moves_and_is_neither_made_nor_lost(stage: Stage) -> None:
    """What one purse has more another has less; what a purse does not have does not move."""
    issue = stage.pattern()["issue"]
    one, other = stage.cap(issue, 10), stage.cap(issue, 5)
    vault = stage.cap(one, "sprout")
    stage.same(stage.call(vault, {"amount": 7, "from": one}), 7, "the balance after it")
    for amount in (4, 0, -3):
        stage.refused(vault, {"amount": amount, "from": one})
    stage.refused(issue, -1)
    stage.call(vault, {"amount": 3, "from": vault})
    stage.same([stage.call(purse) for purse in (one, other, vault)], [3, 5, 7], "the balances")


def a_purse_of_another_mint_is_no_money(stage: Stage) -> None:
    """Nor is anything else that only looks like one."""
    issue, elsewhere = stage.pattern()["issue"], stage.prop("mint")["issue"]
    purse, strange, party = stage.cap(issue, 10), stage.cap(elsewhere, 10), stage.party()
    for false in (strange, issue, party.ear, "purse"):
        stage.refused(purse, {"amount": 1, "from": false})
    stage.same([stage.call(purse), stage.call(strange)], [10, 10], "the balances")


def _deal(stage: Stage) -> tuple[dict[str, Capability], dict[str, Capability]]:
    """A purse of ten for each side, and the sides of an escrow that asks for seven and three."""
    issues = {"a": stage.prop("mint")["issue"], "b": stage.prop("mint")["issue"]}
    purses = {side: stage.cap(issue, 10) for side, issue in issues.items()}
    brands = {side: stage.cap(purse, "sprout") for side, purse in purses.items()}
    return purses, dict(stage.pattern({"prices": (7, 3), **brands}))


def an_escrow_exchanges_what_two_sides_have_paid(stage: Stage) -> None:
    """Nobody has the other's money before both have paid, and then each has it."""
    purses, sides = _deal(stage)
    stage.same(stage.call(sides["a"], {"pay": purses["a"]}), "paid", "the answer")
    for side in sides.values():
        stage.refused(side, "claim")
    stage.call(sides["b"], {"pay": purses["b"]})
    stage.refused(sides["a"], "cancel")
    claimed = {side: stage.cap(cap, "claim") for side, cap in sides.items()}
    stage.same([stage.call(claimed["a"]), stage.call(claimed["b"])], [3, 7], "what was claimed")
    stage.same([stage.call(purses["a"]), stage.call(purses["b"])], [3, 7], "what was left")


def an_escrow_gives_back_what_only_one_side_has_paid(stage: Stage) -> None:
    """Also when it was paid in the wrong money, which is none."""
    purses, sides = _deal(stage)
    stage.refused(sides["a"], {"pay": purses["b"]})
    stage.call(sides["a"], {"pay": purses["a"]})
    stage.refused(sides["b"], "cancel")
    back = stage.cap(sides["a"], "cancel")
    stage.same([stage.call(back), stage.call(purses["a"])], [7, 3], "what came back")
    stage.refused(sides["a"], "claim")
    stage.same(stage.call(purses["b"]), 10, "the other's money")
