"""A painting is sold to who bids most, and neither the painting nor the money is ever in danger.

    ann bids 40: leads
    ben bids 60: leads
    ann bids 50: refused: bid more than 60
    the auction ends at 60
    ben hears that he has it for 60
    ben pays in money of his own making: refused: not a purse of this mint
    ben takes the painting before he has paid: refused: not both have paid
    ben pays: paid
    sue has 60, ben the painting and 40

A deed to the painting is a purse of a mint that has made one deed. Deed and money change hands in an
escrow, which gives each side what the other has paid, and only when both have.
"""

from collections.abc import Iterator
from pathlib import Path

from avm.testing import World, cap_in
from caps.patterns import escrow, mint
from examples.stories.telling import hears, tell

AUCTION = Path(__file__).parents[1] / "auction.py"


def story(world: World) -> Iterator[str]:
    """Sue sells, Ann and Ben bid."""
    sue, ann, ben = (world.client(name) for name in ("sue", "ann", "ben"))
    deeds, euros = world.machine(mint, "deeds"), world.machine(mint, "euros")
    deed = cap_in(sue.call(deeds.cap("issue"), 1))
    purse = cap_in(ben.call(euros.cap("issue"), 100))

    auction = world.machine(AUCTION, params={"least": 10})
    bid = auction.cap("bid")
    yield f"ann bids 40: {hears(ann, bid, {'amount': 40, 'ear': ann.cap('ear')})}"
    yield f"ben bids 60: {hears(ben, bid, {'amount': 60, 'ear': ben.cap('ear')})}"
    yield f"ann bids 50: {hears(ann, bid, {'amount': 50, 'ear': ann.cap('ear')})}"
    price = sue.call(auction.cap("close"))
    yield f"the auction ends at {price}"
    assert [heard.content for heard in ben.inbox()] == [{"won": price}]
    yield f"ben hears that he has it for {price}"

    kinds = {"a": sue.call(deed, "sprout"), "b": ben.call(purse, "sprout")}
    grants = {side: cap_in(empty) for side, empty in kinds.items()}
    deal = world.machine(escrow, params={"prices": [1, price]}, grants=grants)
    sues, bens = deal.cap("a"), deal.cap("b")
    sue.call(sues, {"pay": deed})
    forged = ben.call(world.machine(mint, "forger").cap("issue"), 1_000)
    yield f"ben pays in money of his own making: {hears(ben, bens, {'pay': forged})}"
    yield f"ben takes the painting before he has paid: {hears(ben, bens, 'claim')}"
    yield f"ben pays: {hears(ben, bens, {'pay': purse})}"
    paid, painting = cap_in(sue.call(sues, "claim")), cap_in(ben.call(bens, "claim"))
    assert ben.call(painting) == 1
    yield f"sue has {hears(sue, paid)}, ben the painting and {hears(ben, purse)}"


if __name__ == "__main__":
    tell(story)
