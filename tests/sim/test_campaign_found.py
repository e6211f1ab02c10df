"""What the campaign found, in the product and in the simulator: each a story of its own, told once."""

from dataclasses import replace
from functools import partial

import pytest

from avm import Capability, Failed, Message, Send, Step, testing
from avm.host.effects import Deliver
from avm.host.state import Mode
from avm.limits import Limits
from avm.sim.books import differs
from avm.sim.host import Refusal, SimHost
from avm.sim.plan import ClockJump, Crash
from avm.sim.world import World
from avm.testing import Network
from tests.avm.test_testing_authority import Keeper
from tests.sim import apple
from tests.sim.campaign import purse
from tests.sim.campaign.scenario import run
from tests.sim.code import ModuleCode, replayed
from tests.sim.test_moving import Town
from tests.sim.test_moving_meanwhile import is_leaving, step_until
from tests.sim.test_rows import Held, Steps

STORIES = {
    212: "an offer came late by a link of before: that its verdict, long confirmed, was forgotten counted as a lie",
    380: "it was asked again whether a machine had landed, which had gone on since: that it had counted as a lie",
    1237: "a purse that had been told to move before did so after all was still, and was looked for where it had been",
    1431: "a worker that lied had a client given what is no value, by which it ended: it passes that over now",
    2623: "of a machine that left by the very answer in which its worker lied, the lie was noted for nobody",
    638: "hosts were linked again and their nodes, which knew nobody any more, were told of nobody",
    773: "a client's ask fell due as its machine, which had come to its host, took it: it had two outcomes",
    9409: "machines whose outboxes were full waited for each other, and for good: what had its deadline behind it took room",
    10388: "a machine left its batches waiting at a suspended one: a crash lost them, and what came after them from elsewhere had a gap before it",
    10876: "a machine was taken up between the taking of a commit and its end: its mark, not yet in it, was missed",
    11041: "hosts behind routers were found by nobody for an hour when the others, which had kept where they are, started again",
    11410: "a machine came and its sender left before anybody had looked: what that had waiting was taken for too much",
    13786: "a machine had landed and was leaving again when its landing was told: that counted as told too early",
    979: "what was sent to a removed machine had the number of an ask that it had left open: that had none",
    7803: "what was for a client that had ended, of which nobody knew any more, waits for its deadline of a week",
    10341: "a purse moved on after its worker had lied, and what it had asserted was no more excused where its journal came",
    12741: "a purse on its way through a clogged link went on as slowly after the clog: minutes later it was nowhere",
    14599: "a clog ended as a link came up: what was said on it came before it was up, and was heard by nobody",
    14784: "of what a worker that lied had made of a purse nothing was seen before it was loaded again, after quiet",
    10742: "a client ended as the first word to it was on its way: of it a channel stayed, with which its machine, come there and gone on, was refused",
}
# Its week takes a minute.
SLOW = {7803}
SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed in SLOW else ()) for seed in STORIES]


@pytest.mark.parametrize("seed", SEEDS)
def test_p05_a_world_that_once_broke_holds(seed: int) -> None:
    found = run(seed, 500)
    assert not found.why, STORIES[seed]


def test_w28_an_ask_has_one_outcome_though_its_machine_came_to_the_client_and_took_it_not() -> None:
    """A client asked a machine elsewhere, which came to the client's host and failed what came:
    beside the verdict the ask had a second outcome at its deadline."""
    town = Town()
    client = town.clients[town.there]
    town.give(town.there, 1)
    town.net.settle()
    town.here.suspend("pouch", Mode.FAIL)
    town.begin()
    step_until(town, lambda: is_leaving(town))
    ask = client.ask(town.cap(town.there, "go"), ("0", 1, 0, 3), 5.0)
    town.net.settle()
    assert town.home() is town.there
    town.net.advance(100)
    (outcome,) = client.outcomes[ask]
    assert isinstance(outcome, Failed) and outcome.why == "undelivered"
    assert not town.there.core.host.clients[client.address].asks


def test_w05_a_channel_goes_on_from_elsewhere_after_a_batch_that_was_voided_at_once() -> None:
    """A machine's batch to a suspended neighbour that fails what comes was taken and not received:
    when the sender had moved away its next one was expected to be the one before, for ever."""
    town = Town()
    client = town.clients[town.here]
    client.send(town.cap(town.here, "meet"), (town.cap(town.here, "take", "other"),))
    for token in (1, 2):
        town.give(town.here, token)
    town.here.suspend("other", Mode.FAIL)
    client.send(town.cap(town.here, "go"), ("0", 1, 0, 3))
    town.net.settle()
    town.here.resume("other")
    town.move()
    client.send(town.cap(town.here, "go"), ("0", 2, 0, 3))
    town.net.advance(30)
    outcomes = dict(replayed(town.there, "pouch").outcomes.items())
    assert outcomes == {"undelivered": 1, "thanks": 1}
    assert len(replayed(town.here, "other").tokens) == 1


def test_a_simulated_client_that_was_busy_speaks_to_a_host_that_started_an_hour_back() -> None:
    """A client was told that its host is busy, and left it alone until a time of a clock that was then
    set back: it said nothing to the host that started after that for an hour."""
    world = World(1, limits=replace(Limits(), inbox_batches=1), dht=False)
    host = world.add_host("h0")
    take = world.outside(host, host.create("pouch", ModuleCode(apple), ()).names["take"])
    host.suspend("pouch")
    client = world.client(host)
    for token in (1, 2, 3):
        client.send(take, (token, 1))
    world.run(1)
    assert client.slow
    world.inject(ClockJump(0, "h0", -3_600_000))
    world.inject(Crash(0, "h0", down_ms=1))
    world.run(1)
    host.resume("pouch")
    assert world.quiet(60) and replayed(host, "pouch").tokens == (1, 2, 3)


def test_w05_what_is_withdrawn_from_somebody_who_is_gone_leaves_room_in_the_outbox() -> None:
    """A machine wrote to another that had been removed: at the deadlines the bodies were dropped and
    went on counting, until it was over its quota and took nothing any more."""
    limits = replace(Limits(), outbox_bytes=2 * purse.A_LOAD_BYTES)
    world = World(1, limits=limits, dht=False)
    here, there = world.add_host("h0"), world.add_host("h1")
    made = here.create("purse", ModuleCode(purse), ())
    gone = there.create("gone", ModuleCode(purse), ())
    caps = {name: world.outside(here, cap) for name, cap in made.names.items()}
    client = world.client(here)
    client.send(caps["meet"], (world.outside(there, gone.names["take"]),))
    world.run(1)
    for verb in ("halt", "rm"):
        machine = there.machine("gone")
        there.ask(partial(there.core.change, machine=machine, verb=verb))
    for number in range(1, 6):
        client.send(caps["go"], ("0", number, 39, client.ear()))
    world.run(150)
    assert len(client.verdicts) == 6 and not client.outgoing


def test_s05_machines_that_wait_for_each_others_room_go_on_at_the_deadline() -> None:
    """Each of two machines had its outbox full of what was for the other, and took nothing: also when
    the deadlines were over, as what was withdrawn counted as before."""
    limits = replace(Limits(), outbox_bytes=purse.A_LOAD_BYTES // 2, flights_machine=1)
    world = World(1, limits=limits, dht=False)
    host = world.add_host("h0")
    names = [host.create(name, ModuleCode(purse), ()).names for name in ("left", "right")]
    left, right = ({n: world.outside(host, cap) for n, cap in one.items()} for one in names)
    teller, greeter, client = (world.client(host) for _ in range(3))
    for one, other in ((left, right), (right, left)):
        teller.send(one["meet"], (other["take"],))
    world.run(1)
    host.suspend("right")
    # A word without a deadline goes ahead of each load.
    for one in (right, left):
        greeter.send(one["greet"], None)
        world.run(1)
        client.send(one["go"], ("0", 1, 39, client.ear()))
        world.run(1)
    host.resume("right")
    world.run(1)
    waits = [host.machine(name) for name in ("left", "right")]
    assert all(one.queue and one.outbox_bytes > limits.outbox_bytes for one in waits)
    world.run(purse.A_WORD_S)
    assert not any(one.queue or one.outbox_bytes for one in waits)
    assert all(replayed(host, one.name).greeted for one in waits)


def test_a_client_that_has_ended_is_given_nothing() -> None:
    """A client said goodbye between the fold of an answer to it and the commit: its rows were gone, and
    the answer went out all the same."""
    sim = SimHost(3)
    made = sim.create("pouch", ModuleCode(apple), ())
    client = sim.client()
    client.ask(client.hold(made.names["take"]), (7, 1))
    while not any(type(one) is Deliver for one in sim.core.host.group.after):
        assert sim.step()
    client.leave(ended=True)
    host = sim.core.host
    due = (*host.effects, *host.group.after, *(host.committing.after if host.committing else ()))
    assert not [one for one in due if type(one) is Deliver]
    sim.settle()
    assert client.address not in host.clients


def test_a_machine_is_removed_when_other_hosts_have_taken_what_it_sent() -> None:
    """A machine was halted and removed while batches of it were on their way: its keys were gone, so that
    no other host took them, and they were owed for ever."""
    network = Network(2, seed=4)
    world = testing.World(ground=network)
    client = world.client(on="host-1")
    keeper = world.machine(Keeper, on="host-1")
    other = world.machine(Keeper, on="host-2")
    client.send(keeper.cap("keep"), other.cap("keep"))
    network.part(20, "host-1")
    client.offer(keeper.cap("give"), other.cap("keep"))
    world.advance(1)
    home = network.home(keeper.name)
    machine, change = home.machine(keeper.name), home.core.change
    home.ask(lambda request: change(request, machine, "halt"))
    with pytest.raises(Refusal, match="1 batch of keeper for other hosts not taken yet"):
        home.ask(lambda request: change(request, machine, "rm"))
    world.advance(60)
    home.ask(lambda request: change(request, machine, "rm"))
    assert len(other.state.kept) == 1


def test_c02_under_which_incarnation_a_machine_was_met_outlasts_the_host_that_met_it() -> None:
    """A batch waited at a machine that had moved; its sender's host forgot at a start which of the two
    hosts had shown the later incarnation, and would have gone by the word of the one before."""
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    town.move()
    town.there.suspend("pouch")
    town.give(town.far, 2)
    town.net.advance(30)
    (channel,) = town.far.core.host.channels.values()
    assert channel.epoch == town.there.machine("pouch").incarnation > 0
    assert not differs(town.far)
    town.net.crash(town.far)
    town.there.resume("pouch")
    town.net.advance(30)
    assert town.tokens() == (1, 2)


def test_w28_an_ask_is_not_late_while_its_machine_that_came_here_has_not_taken_it() -> None:
    """A client's ask waited at a machine that came to the client's host: at its deadline it was said to be
    applied without an answer, and taken after that, or not at all."""
    town = Town()
    client = town.clients[town.there]
    town.give(town.there, 1)
    town.net.settle()
    town.here.suspend("pouch")
    ask = client.ask(town.cap(town.there, "take"), (2, 1), 60.0)
    town.net.settle()
    town.move()
    assert town.home() is town.there
    town.net.advance(100)
    (outcome,) = client.outcomes[ask]
    assert isinstance(outcome, Failed) and outcome.why == "undelivered"
    town.there.resume("pouch")
    town.net.settle()
    assert town.tokens() == (1,) and client.outcomes[ask] == [outcome]


def _ask_on(message: Message, state: Held) -> Step[Held]:
    """Asks a capability, with a deadline; keeps the outcome."""
    match message.context, message.content:
        case "a", (Capability() as to, float(seconds)):
            ask = Send(to, "well?", reply=state.me("b"), deadline_s=seconds)
            return [ask, *message.answer(None)], state
        case "b", Failed() as failed:
            return [], replace(state, seen=(*state.seen, failed.why))
    return [], replace(state, seen=(*state.seen, "asked"))


def test_w28_an_ask_has_its_outcome_though_a_removed_machine_has_its_number_given_again() -> None:
    """A machine took an ask and was removed before it answered; what was sent to its address after that had
    the number of the first, which was taken for it at its deadline and had no outcome."""
    world = World(3, dht=False)
    host = world.add_host("h0")
    asker = host.create("asker", Steps(_ask_on))
    guest = host.create("guest", Steps(_ask_on))
    client = world.client(host)
    ask, other = client.hold(asker.names["a"]), client.hold(guest.names["c"])
    client.send(ask, (other, 30.0))
    world.run(1)
    machine = host.machine("guest")
    host.ask(lambda request: host.core.change(request, machine, "halt"))
    host.ask(lambda request: host.core.change(request, machine, "rm"))
    client.send(ask, (other, 60.0))
    world.run(100)
    assert sorted(replayed(host, "asker").seen) == ["late", "undelivered"]
