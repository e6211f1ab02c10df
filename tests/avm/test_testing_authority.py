"""What a test can say of authority: who reaches whom, on one host and on a simulated network."""

from dataclasses import replace
from pathlib import Path

import pytest

from avm import Capability, Me, Message, Refused, Send, Step, record
from avm.sim.plan import Crash, Loss, Partition, Plan
from avm.testing import Client, Machine, Network, NotHere, World
from caps import patterns

COUNTER = Path(__file__).parents[2] / "examples" / "counter.py"
AGENT = COUNTER.with_name("agent.py")
CARETAKER = Path(str(patterns.__file__)).with_name("caretaker.py")
GROUNDS = ["one host", "a network"]


@record
class Keeping:
    me: Me
    kept: tuple[Capability, ...] = ()


class Keeper:
    """Keeps what it is given, and gives it to whom it is told."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Keeping]:
        names = {name: me(name) for name in ("keep", "give", "drop", "later")}
        return message.answer(names), Keeping(me)

    @staticmethod
    def step(message: Message, state: Keeping) -> Step[Keeping]:
        match message.context, message.content:
            case "keep", Capability() as cap:
                return message.answer(None), replace(state, kept=(*state.kept, cap))
            case "give", Capability() as to:
                sends = [Send(to, cap) for cap in state.kept]
                return [*sends, *message.answer(None)], state
            case "later", Capability() as to:
                sends = [Send(to, cap, after_s=60) for cap in state.kept]
                return [*sends, *message.answer(None)], replace(state, kept=())
            case "drop", None:
                return message.answer(None), replace(state, kept=())
        raise Refused("what?")


def made(ground: str, seed: int = 0) -> World:
    return World(seed) if ground == "one host" else World(ground=Network(3, seed))


def keepers(world: World, *names: str) -> list[Machine]:
    return [world.machine(Keeper, name) for name in names]


def given_to_bob(ground: str) -> tuple[World, Client, Machine, Machine, Machine]:
    """Alice has given bob a counter's `add`; carol has nothing."""
    world = made(ground)
    alice = world.client("alice")
    counter = world.machine(COUNTER)
    bob, carol = keepers(world, "bob", "carol")
    alice.send(bob.cap("keep"), counter.cap("add"))
    return world, alice, counter, bob, carol


@pytest.mark.parametrize("ground", GROUNDS)
def test_x04_a_caretaker_is_the_only_way_until_it_is_revoked(ground: str) -> None:
    world = made(ground)
    alice = world.client("alice")
    counter = world.machine(COUNTER)
    care = world.machine(CARETAKER, grants={"target": counter.cap("add")})
    (bob,) = keepers(world, "bob")
    world.assert_cannot_reach(bob, counter)
    alice.send(bob.cap("keep"), care.cap("access"))
    world.assert_can_reach(bob, counter)
    world.assert_can_reach(bob, counter.cap("add"))
    world.assert_cannot_reach(bob, counter.cap("read"))
    world.assert_only(bob, {"access"})
    world.assert_only(care, {"counter.add"})
    alice.call(care.cap("revoke"))
    world.assert_cannot_reach(bob, counter)
    world.assert_confined(care)


@pytest.mark.parametrize("ground", GROUNDS)
def test_x04_what_fails_names_who_gave_what_to_whom(ground: str) -> None:
    world, alice, counter, bob, carol = given_to_bob(ground)
    alice.send(bob.cap("give"), carol.cap("keep"))
    with pytest.raises(AssertionError) as failed:
        world.assert_cannot_reach(carol, counter)
    lines = str(failed.value).splitlines()
    assert lines[0] == "carol can reach counter:"
    assert lines[1].startswith("  carol holds counter.add (slot ")
    assert lines[2].startswith("    bob gave it to carol in turn ")
    assert lines[3].startswith("    alice gave it to bob in turn ")
    with pytest.raises(AssertionError, match=r"(?s)carol cannot reach bob; it holds:.*counter.add"):
        world.assert_can_reach(carol, bob)
    with pytest.raises(AssertionError, match=r"carol holds more than read:\n  carol holds counter"):
        world.assert_only(carol, {"read"})
    with pytest.raises(AssertionError, match=r"carol is not confined:\n  carol holds counter.add"):
        world.assert_confined(carol)


@pytest.mark.parametrize("ground", GROUNDS)
def test_x04_what_was_dropped_is_not_held_and_what_a_timer_keeps_is(ground: str) -> None:
    world, alice, counter, bob, carol = given_to_bob(ground)
    alice.send(carol.cap("keep"), counter.cap("add"))
    alice.send(bob.cap("drop"), None)
    world.assert_confined(bob)
    ear = alice.cap("ear")
    alice.send(carol.cap("later"), ear)
    with pytest.raises(AssertionError, match=r"carol holds counter.add \(in a timer\)"):
        world.assert_only(carol, {"ear"})


def test_x04_a_client_holds_what_came_to_it() -> None:
    world = World()
    alice, dave = world.client("alice"), world.client("dave")
    counter = world.machine(COUNTER)
    (bob,) = keepers(world, "bob")
    world.assert_confined(dave)
    alice.send(bob.cap("keep"), counter.cap("add"))
    alice.send(bob.cap("give"), dave.cap())
    world.assert_can_reach(dave, counter.cap("add"))
    world.assert_only(dave, {"add"})
    assert [heard.content for heard in dave.inbox()] == [counter.cap("add")]
    world.assert_only(dave, {"add"})


def test_x04_what_is_conserved_is_looked_at_whenever_all_is_settled() -> None:
    world = World()
    counter = world.machine(COUNTER)
    client = world.client()
    world.assert_conserved(lambda: counter.state.total)
    world.advance(10)
    with pytest.raises(AssertionError, match="not conserved: 0 has become 2"):
        client.send(counter.cap("add"), 2)
    client.offer(counter.cap("add"), 1)
    with pytest.raises(AssertionError, match="not conserved: 0 has become 3"):
        world.close()


def test_x04_a_network_has_its_own_faults_and_places() -> None:
    faults = Plan(
        (Crash(100, "host-2", 2_000), Loss(0, 5_000, 0.1), Partition(0, 3_000, ("host-1",)))
    )
    network = Network(3, seed=5, plan=faults)
    world = World(ground=network)
    client = world.client(on="host-1")
    counter = world.machine(COUNTER, on="host-3")
    assert [client.call(counter.cap("add"), n) for n in (1, 2)] == [1, 3]
    network.part(1.0, "host-3")
    assert client.call(counter.cap("add"), 3) == 6
    world.crash("host-3")
    assert client.call(counter.cap("read")) == 6
    with pytest.raises(NotHere, match="no host 'host-4': they are host-1, host-2, host-3"):
        world.client(on="host-4")
    stranger = World().client()
    *_, foreign = (stranger.cap(n) for n in range(50))
    with pytest.raises(ValueError, match="not of this world"):
        client.send(foreign)


@pytest.mark.parametrize("ground", GROUNDS)
def test_what_is_asked_long_after_the_last_message_has_all_of_its_time(ground: str) -> None:
    world = made(ground)
    keeper = world.machine(Keeper)
    client = world.client()
    world.advance(3_600)
    client.call(keeper.cap("keep"), keeper.cap("keep"), timeout_s=5)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("asks", [True, False])
def test_w05_a_reply_that_is_passed_on_may_be_nobodys(ground: str, asks: bool) -> None:
    """What is sent without asking has `NULL` for a reply, which goes on to the next host as well."""
    world = made(ground)
    agent, counter = world.machine(AGENT), world.machine(COUNTER)
    client = world.client()
    client.send(agent.cap("learn"), {"name": "counter", "cap": counter.cap("add")})
    use = {"name": "counter", "content": 5}
    if asks:
        assert client.call(agent.cap("use"), use) == 5
    else:
        client.send(agent.cap("use"), use)
    assert counter.state.total == 5
