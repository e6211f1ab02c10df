"""Linear coins and commons between hosts: nothing is lost or doubled, whoever dies, and none asks far away."""

import pytest

from avm.host import acquaintance
from avm.host.commons import furnish
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.sim.net import Net
from caps.value import Capability, Failed, Linear
from examples import origin
from tests.sim import purse
from tests.sim.code import ModuleCode, replayed
from tests.sim.orchard import sealed


class Market:
    """A purse at each host, and a client at the first that holds what each answered."""

    def __init__(self, seed: int, hosts: int = 2) -> None:
        self.net = Net(seed, hosts)
        self.wires: list[dict[str, bytes]] = []
        for number, world in enumerate(self.net.worlds):
            made = world.create(f"purse-{number}", ModuleCode(purse), None)
            self.wires.append({one: world.core.seal(cap) for one, cap in made.names.items()})
        self.client: Client = self.net.worlds[0].client()

    def cap(self, place: int, name: str) -> Capability:
        """A capability of a purse, as the client has it."""
        return self.client.hold(sealed(self.wires[place][name]))

    def do(self, place: int, name: str, content: object = None) -> None:
        """The client tells a purse to do something, and what follows happens."""
        self.client.send(self.cap(place, name), content)
        self.net.settle()

    def purse(self, place: int) -> purse.Purse:
        """What a purse holds, by its journal taken again."""
        found: purse.Purse = replayed(self.net.worlds[place], f"purse-{place}")
        return found

    def failures(self, place: int) -> int:
        """How many batches broke a purse."""
        return self.net.worlds[place].machine(f"purse-{place}").failed


@pytest.mark.parametrize("seed", range(12))
def test_w16_each_linear_coin_is_in_one_purse_under_crashes_and_cuts(seed: int) -> None:
    market = Market(seed, 3)
    entropy, worlds = market.net.entropy, market.net.worlds
    for place in range(3):
        market.do(place, "make", 2)
    for _ in range(25):
        giver, taker = entropy.below(3), entropy.below(3)
        name = entropy.choice(["give", "give", "double", "lose"])
        to = entropy.choice(["take", "take", "deny"])
        content = market.cap(taker, to) if name != "lose" else None
        market.client.send(market.cap(giver, name), content)
        for _ in range(entropy.below(30)):
            market.net.step()
        if entropy.chance(0.2):
            market.net.crash(entropy.choice(worlds))
    market.net.advance(200)
    coins = [coin for place in range(3) for coin in market.purse(place).coins]
    assert all(type(coin) is Linear for coin in coins)
    assert len(coins) == len({coin.value for coin in coins}) == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["linear", "affine", "relevant"])
def test_w16_a_capabilitys_kind_survives_the_wire_and_a_restart(kind: str) -> None:
    market = Market(1)
    market.do(0, "take", market.cap(1, f"own-{kind}"))
    market.net.crash(market.net.worlds[0])
    market.do(0, "double", market.cap(1, "take"))
    market.do(0, "lose")
    may_copy, may_drop = kind == "relevant", kind == "affine"
    assert market.failures(0) == 2 - may_copy - may_drop
    assert len(market.purse(0).coins) == 1 - may_drop
    assert market.failures(1) == 0


def test_w16_a_machine_that_moved_still_holds_what_is_linear() -> None:
    market = Market(2)
    here, there = market.net.worlds
    market.do(0, "take", market.cap(1, "own-linear"))
    market.do(0, "make", 1)
    trusted = here.core.host.address
    there.ask(lambda n: acquaintance.trust(there.core.host, n, trusted, True))
    market.net.settle()
    machine, to = here.machine("purse-0"), there.core.host.address
    request = here.begin(lambda n: here.core.move(n, machine, to, "came"))
    here.carry_out()
    market.net.settle()
    assert not here.answers.pop(request).error
    for name in ("lose", "lose"):
        market.do(0, name)
    machine = there.machine("came")
    assert machine.failed == 2
    assert len(replayed(there, "came").coins) == 2


def test_w17_commons_are_answered_without_a_packet_and_replay_knows_the_answers() -> None:
    market = Market(3)
    market.do(0, "ask", ("time~", None))
    said: list[object] = []
    market.net.worlds[0].network = lambda _world, effect: said.append(effect)
    for asked in (("time~", None), ("random~", 8), ("inspect~", market.cap(1, "take"))):
        market.do(0, "ask", asked)
    assert not said
    told = market.purse(0).told
    assert len(told) == 4 and told == market.purse(0).told


def furnished(world: SimHost, off: str, wire: bytes = b"") -> None:
    world.commons = (off, wire)
    world.core.do(furnish, bytes(32), off, wire)


def test_w17_the_origin_answers_what_is_switched_off_and_none_is_undelivered() -> None:
    market = Market(4)
    here, there = market.net.worlds
    made = there.create("origin", ModuleCode(origin), None)
    wire = there.core.seal(made.names["ask"])
    furnished(here, "time~,random~", wire)
    for asked in (("time~", None), ("random~", 8), ("random~", -1)):
        market.do(0, "ask", asked)
    market.net.crash(here)
    market.do(0, "ask", ("time~", None))
    now, drawn, no, again = market.purse(0).told
    assert now == again == there.now_ms / 1000
    assert type(drawn) is bytes and len(drawn) == 8
    assert no == Failed("refused", "random~ takes null or how many bytes: 1 to 1024")
    furnished(here, "time~")
    market.do(0, "ask", ("time~", None))
    outcome = market.purse(0).told[-1]
    assert outcome == Failed("undelivered", "time~ is switched off at this host")


def test_w17_each_answer_comes_once_though_the_host_dies_at_any_moment() -> None:
    for steps in range(12):
        market = Market(5, 1)
        market.client.send(market.cap(0, "ask"), ("random~", 8))
        for _ in range(steps):
            market.net.step()
        market.net.crash(market.net.worlds[0])
        market.net.settle()
        assert len(market.purse(0).told) == 1


@pytest.mark.parametrize("offered", [False, True])
def test_w16_linear_content_returns_when_the_other_host_is_away_for_long(offered: bool) -> None:
    market = Market(6)
    there = market.net.worlds[1]
    market.do(0, "make", 1)
    (coin,) = market.purse(0).coins
    if offered:
        market.do(0, "make", 1)
        market.do(0, "give", market.cap(1, "take"))
        coin = market.purse(0).coins[0]
        there.suspend("purse-1")
    else:
        market.net.stop(there)
    market.do(0, "give", market.cap(1, "take"))
    assert market.purse(0).coins == ()
    market.net.advance(59)
    assert market.purse(0).coins == ()
    if offered:
        market.net.crash(market.net.worlds[0])
    market.net.advance(30)
    if offered:
        there.resume("purse-1")
        market.net.advance(30)
    assert market.purse(0).coins == (coin,)
    if not offered:
        market.net.start(there)
        market.net.advance(60)
    assert coin not in market.purse(1).coins
