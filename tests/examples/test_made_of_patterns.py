"""The machines of the stories, each alone: what they refuse, and what does them no harm."""

from pathlib import Path

import pytest

from avm.testing import Client, NoAnswer, World, cap_in
from caps.map import Map
from caps.patterns import powerbox, sealer
from caps.value import Capability

EXAMPLES = Path(__file__).parents[2] / "examples"


def refused(client: Client, to: Capability, said: object, word: str) -> None:
    with pytest.raises(NoAnswer, match=f"refused: {word}"):
        client.call(to, said)


def test_a_room_that_was_taken_along_is_that_room_alone() -> None:
    world = World()
    ann, plan = world.client(), world.machine(EXAMPLES / "plan.py").cap("plan")
    ann.call(plan, {"draw": "hall", "with": "a bench"})
    ann.call(plan, {"draw": "attic", "with": "a trunk"})
    hall = cap_in(ann.call(plan, {"take": "hall"}))
    ann.call(hall, {"with": "a mirror"})
    assert ann.call(plan) == Map({"hall": "a mirror", "attic": "a trunk"})
    for said in ({"draw": "attic"}, {"take": "attic"}, "attic"):
        refused(ann, hall, said, "a plan takes")
    refused(ann, plan, {"take": "cellar"}, "a plan takes")


def test_a_box_of_another_pair_counts_for_nothing_and_spoils_no_other() -> None:
    world = World()
    ann = world.client()
    pair, other = (ann.call(world.machine(sealer).cap("make")) for _ in range(2))
    draw = world.machine(EXAMPLES / "lottery.py", grants={"unseal": cap_in(pair, "unseal")})
    boxes = {
        "ann": ann.call(cap_in(pair, "seal"), 4),
        "ben": ann.call(cap_in(other, "seal"), 1),
        "cleo": ann.call(cap_in(pair, "seal"), "seven"),
    }
    for name, box in boxes.items():
        ann.call(draw.cap("play"), {"name": name, "box": box})
    refused(ann, draw.cap("play"), {"name": "ann", "box": boxes["ben"]}, "play takes")
    ann.call(draw.cap("close"))
    world.settle()
    assert draw.state.numbers == Map({"ann": 4, "ben": 0, "cleo": 0})
    assert ann.call(draw.cap("winner")) == "ben", "4 of 3 is the second"
    refused(ann, draw.cap("close"), None, "closed")


def test_an_auction_that_is_closed_takes_no_bid_and_one_without_a_bid_does_not_close() -> None:
    world = World()
    ann = world.client()
    auction = world.machine(EXAMPLES / "auction.py", params={"least": 10})
    bid, ear = auction.cap("bid"), ann.cap("ear")
    refused(ann, auction.cap("close"), None, "bid takes")
    refused(ann, bid, {"amount": 9, "ear": ear}, "bid more than 9")
    assert ann.call(bid, {"amount": 10, "ear": ear}) == "leads"
    assert ann.call(auction.cap("close")) == 10
    refused(ann, bid, {"amount": 11, "ear": ear}, "closed")
    assert [heard.content for heard in ann.inbox()] == [Map({"won": 10})]


def test_an_assistant_says_no_where_its_user_does_and_holds_nothing_more_than_before() -> None:
    world = World()
    uma, box = world.client(), world.machine(powerbox)
    helper = world.machine(EXAMPLES / "assistant.py", grants={"ask": box.cap("ask")})
    asked = uma.ask(helper.cap("do"), {"with": "her letters", "say": "read"}, timeout_s=3_600)
    world.settle()
    world.crash()
    uma.call(box.cap("desk"), {"deny": 1})
    with pytest.raises(NoAnswer, match="refused: denied"):
        asked.answer()
    world.assert_only(helper, {"ask"})
