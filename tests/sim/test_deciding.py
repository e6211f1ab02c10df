"""Channels whose two ends do not agree: what is frozen and what is not, and what operators may decide."""

import cbor2
import pytest

from avm.host import deciding, journal
from avm.host.cases import Claim
from avm.host.deciding import contradicted
from avm.host.operate import Created
from avm.host.verdicts import BACK_HERE, BACK_THERE, TWO_VERSIONS
from avm.sim.host import Refusal, SimHost
from tests.sim import apple
from tests.sim.code import ModuleCode, entries, gap_free, replayed
from tests.sim.test_between_hosts import Pair


class Gone(Pair):
    """A machine that hands tokens to the pouch at the other host; its host can go back in time."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.sender: Created = self.here.create("sender", ModuleCode(apple), tuple(range(1, 40)))
        self.client.send(self.client.hold(self.sender.names["meet"]), (self.cap("take"),))
        self.number = 0
        self.ends = (self.sender.machine.address, self.made.machine.address)

    def hand(self, count: int = 1) -> None:
        """Has the machine hand on tokens, each chosen so that the next one is another."""
        go = self.client.hold(self.sender.names["go"])
        for _ in range(count):
            self.number += 1
            self.client.send(go, (self.client.address.hex(), self.number, 0, 3))
        self.net.advance(1)

    def go_back(self, store: object) -> None:
        """The sender's host comes back with what it knew once; another client speaks to it."""
        self.here.store = store  # type: ignore[assignment]
        self.here.clients.clear()
        self.net.crash(self.here)
        self.client = self.here.client()
        self.number = 0

    def frozen(self) -> list[str]:
        """Why the channel from the machine to the pouch was frozen, each time."""
        return [one.why for one in self.net.frozen if (one.sender, one.receiver) == self.ends]

    def decide(self, world: SimHost, act: str) -> None:
        decide = deciding.accept_channel if act == "accept" else deciding.restart_channel
        world.ask(lambda request: world.core.do(decide, request, *self.ends))
        self.net.advance(5)


def ordinals(pair: Gone) -> list[int]:
    """How many messages came before each turn of the pouch in the machine's channel."""
    turns = [one for one in entries(pair.there, "pouch") if one.form == journal.TURN]
    inputs = [cbor2.loads(one["input"]) for one in turns if one["sender"] == pair.ends[0]]
    return [ordinal for _now, _channel, ordinal, _from, _messages in inputs]


def test_what_is_held_for_a_suspended_machine_over_a_crash_does_not_freeze_its_channel() -> None:
    pair = Pair()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    for number in (2, 3):
        pair.client.send(pair.cap("take"), (number, 1))
    pair.net.settle()
    pair.net.crash(pair.there)
    pair.net.advance(5)
    pair.client.send(pair.cap("take"), (4, 1))
    pair.net.advance(5)
    pair.there.resume("pouch")
    pair.net.advance(60)
    assert pair.tokens() == (1, 2, 3, 4) and not pair.net.frozen


@pytest.mark.parametrize("more", [1, 2, 5])
@pytest.mark.parametrize("again", [1, 2, 5, 7])
def test_c08_a_sender_that_went_back_goes_on_where_its_operator_accepts(
    more: int, again: int
) -> None:
    pair = Gone()
    pair.hand(2)
    old = pair.here.store.copy()
    pair.hand(more)
    before = pair.tokens()
    assert len(before) == 2 + more
    pair.go_back(old)
    pair.net.part(pair.here, pair.there)
    pair.hand(again)
    pair.net.mend()
    pair.net.advance(15)
    assert pair.frozen() == [BACK_HERE if again < more else TWO_VERSIONS]
    assert pair.tokens() == before
    pair.decide(pair.here, "accept")
    assert not pair.here.core.host.outbox, "what was in doubt is decided"
    outcomes = replayed(pair.here, "sender").outcomes
    assert outcomes.get("undelivered", 0) == again, "what was never offered has not happened"
    pair.hand(3)
    pair.net.advance(60)
    assert pair.tokens()[: len(before)] == before and len(pair.tokens()) == len(before) + 3
    assert len(pair.frozen()) == 1, "the other operator has nothing to decide"
    gap_free(pair.there, "pouch")
    assert ordinals(pair) == sorted(set(ordinals(pair))), "no message id is used twice"


def test_c08_a_decision_and_its_evidence_are_in_the_store_and_the_log_of_them_is_bounded() -> None:
    pair = Gone()
    pair.hand(2)
    old = pair.here.store.copy()
    pair.hand(2)
    pair.go_back(old)
    pair.hand()
    pair.net.advance(60)
    evidence = pair.here.core.host.channels[pair.ends].evidence
    pair.decide(pair.here, "accept")
    pair.net.crash(pair.here)
    host = pair.here.core.host
    (decision,) = host.cases.of_channel(*pair.ends)
    assert (decision.act, decision.was, decision.evidence) == ("accept", BACK_HERE, evidence)
    assert not host.channels[pair.ends].frozen
    for _ in range(host.limits.cases + 5):
        pair.decide(pair.here, "restart")
    assert len(host.cases.decisions) == host.limits.cases
    assert {one.act for one in host.cases.decisions} == {"restart"}, "the oldest go first"


def test_c08_where_the_receiver_lost_what_it_took_accept_is_refused_with_the_remedy() -> None:
    pair = Gone()
    pair.hand()
    old = pair.there.store.copy()
    pair.hand()
    pair.there.store = old
    pair.net.crash(pair.there)
    pair.hand()
    pair.net.advance(60)
    assert pair.frozen() == [BACK_THERE]
    with pytest.raises(Refusal, match=r"its version lacks it: .* restart` at both hosts"):
        pair.decide(pair.here, "accept")
    assert (
        pair.here.core.host.channels[pair.ends].frozen and not pair.here.core.host.cases.decisions
    )


def test_c08_another_batch_under_a_number_that_is_held_is_noticed_before_its_verdict_is_told() -> (
    None
):
    pair = Gone()
    pair.hand(2)
    pair.there.suspend("pouch")
    old = pair.here.store.copy()
    pair.hand(2)
    pair.go_back(old)
    pair.hand(3)
    pair.net.advance(5)
    assert pair.frozen() == [TWO_VERSIONS]
    pair.there.resume("pouch")
    pair.net.advance(1)
    assert len(pair.tokens()) == 4
    pair.decide(pair.there, "accept")
    assert pair.frozen() == [TWO_VERSIONS] * 2, "now the sender's end has it"
    pair.decide(pair.here, "accept")
    pair.hand()
    pair.net.advance(60)
    assert len(pair.tokens()) == 5 and not pair.here.core.host.outbox
    gap_free(pair.there, "pouch")


def test_a_clients_channel_is_restarted_and_not_accepted() -> None:
    pair = Pair()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    ends = (pair.client.address, pair.made.machine.address)
    pair.here.core.host.channels[ends].frozen = BACK_HERE
    with pytest.raises(Refusal, match="its sender is a client"):
        pair.here.ask(lambda request: pair.here.core.do(deciding.accept_channel, request, *ends))


def test_w18_two_hosts_that_claim_one_address_are_kept_once_where_it_matters_here() -> None:
    pair = Pair()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    host = pair.here.core.host
    address = pair.made.machine.address
    claims = Claim(b"a" * 32, b"one"), Claim(b"b" * 32, b"other")
    for _ in range(2):
        contradicted(host, address, 1, *claims)
    for number in range(300):
        contradicted(host, number.to_bytes(32, "big"), 1, *claims)
    pair.net.settle()
    pair.net.crash(pair.here)
    (kept,) = pair.here.core.host.cases.contradictions
    assert (kept.address, kept.first, kept.second) == (address, *claims)
    assert pair.here.core.host.cases.of_address(address) == [kept]
