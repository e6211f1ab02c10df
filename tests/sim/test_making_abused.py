"""A factory of the host in hostile hands: more than was allowed, or later, is not made."""

import pytest

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step
from avm.host.outbox import for_host
from avm.host.parting import why_not
from avm.sim.client import Client
from avm.sim.host import SimHost
from tests.sim.code import replayed
from tests.sim.making import factory_in, shops_of
from tests.sim.portrait import Watched
from tests.sim.test_making import GOOD, whole, works
from tests.sim.test_rows import Held, Steps, names, outcome


class PassesOn(Steps):
    """A machine that asks whom it is granted in its first turn, for whoever had it made."""

    def _init(self, message: Message, me: Me) -> Step[Held]:
        assert isinstance(message.content, Map)
        told = message.content["asks"]
        assert isinstance(told, Capability)
        return [Send(told, "what now?", reply=message.reply)], Held(me)


def says_no(message: Message, state: Held) -> Step[Held]:
    if message.context == "a":
        return message.answer(Failed("rejected", "refused: nothing was made")), state
    raise Refused("nothing was made")


@pytest.mark.parametrize("way", ["a", "b"], ids=["a sent Failed", "a refusal"])
def test_w20_a_made_machine_counts_whatever_comes_to_the_reply_that_it_passed_on(way: str) -> None:
    world = Watched(1)
    client = world.client()
    made = names(client, factory_in(world, 2, makes_of=PassesOn(says_no)))
    other = names(client, world.create("other", Steps(says_no)))
    for count in (1, 2, 2):
        ask = client.ask(made["make"], {"asks": other[way]})
        told = outcome(world, client, ask)
        world.advance(70)
        assert told is None or isinstance(told, Failed)
        assert len(shops_of(world)) == replayed(world, "works").made == count
    assert told == Failed("refused", "the factory has made all that it may")
    whole(world)


def revoked(cut: int) -> tuple[SimHost, Client, list[int], int]:
    """Five asks, the last message to the factory in between, and how many were made by then."""
    world, client, made = works()
    world.eager = False
    asks = [client.ask(made["make"], GOOD) for _ in range(5)]
    while not world.core.host.making:
        assert world.step()
    for _ in range(cut):
        world.step()
    over = client.ask(made["revoke"])
    while not client.outcomes.get(over):
        assert world.step()
    return world, client, asks, len(shops_of(world))


@pytest.mark.parametrize("then", ["goes on", "host", "worker"])
def test_w26_what_a_revoked_factory_had_asked_for_is_not_made(then: str) -> None:
    made_before: set[int] = set()
    for cut in range(0, 40, 2):
        world, client, asks, count = revoked(cut)
        if then == "host":
            world.die()
            world.start()
        elif then == "worker":
            world.kill_worker()
        world.eager = True
        world.advance(70)
        assert len(shops_of(world)) == count, "none comes after the word that it is over"
        told = [outcome(world, client, ask) for ask in asks]
        assert [isinstance(one, Map) for one in told] == [n < count for n in range(5)]
        assert all(one == Failed("refused", "") for one in told[count:] if one != REVOKED)
        assert replayed(world, "works").made == count
        whole(world)
        made_before.add(count)
    assert len(made_before) > 2


REVOKED = Failed("refused", "revoked")


def test_w20_a_factory_stays_while_the_host_makes_something_for_it() -> None:
    world, client, made = works()
    client.send(made["make"], "hangs")
    while not any(worker.hangs for worker in world.workers.values()):
        assert world.step()
    host, factory = world.core.host, world.machine("works")
    assert factory.slots
    factory.slots.clear()  # as a snapshot does once it is revoked
    assert "made at this host" in why_not(host, factory, bytes(32))


def test_w20_what_was_withdrawn_ends_nothing_that_is_before_it() -> None:
    world, client, made = works()
    client.send(made["make"], "hangs")
    client.send(made["make"], GOOD)
    while not any(worker.hangs for worker in world.workers.values()):
        assert world.step()
    world.settle()
    host, address = world.core.host, world.machine("works").address
    batches = list(host.making[address].batches)
    assert len(batches) == 2
    del host.making[address]
    batches[1].messages = ()  # at its deadline, before the host died
    for batch in batches:
        for_host(host, batch)
    assert host.making[address].over == 0
