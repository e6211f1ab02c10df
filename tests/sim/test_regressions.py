"""What once went wrong with a host, a sentence for each."""

from dataclasses import replace

import cbor2
import pytest

from avm import Event, Failed, Me, Message, Send, Step
from avm.host import journal
from avm.host.state import Machine, Mode, Status
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.sim.worker import Dies, Hangs
from caps.value import Capability
from tests.sim.code import entries
from tests.sim.test_rows import (
    Held,
    Steps,
    asking,
    create_with,
    names,
    outcome,
    pair,
    see,
    seen,
    start,
)


def change(world: SimHost, machine: Machine, verb: str, mode: Mode = Mode.HOLD) -> None:
    world.ask(lambda request: world.core.change(request, machine, verb, mode))


def keeper(message: Message, state: Held) -> Step[Held]:
    """Keeps the capabilities that it is given, and shows them."""
    if isinstance(message.content, Capability):
        return [], replace(state, caps=(*state.caps, message.content))
    return message.answer(state.caps), state


def test_a_capability_to_what_is_gone_can_still_leave_the_host() -> None:
    """Sealing a capability of a removed machine or a client that left ended the host."""
    world, client, m = start(keeper)
    n = world.create("n", Steps(see))
    guest = world.client()
    client.send(m["a"], client.hold(n.names["a"]))
    client.send(m["a"], guest.ear())
    world.settle()
    change(world, n.machine, "halt")
    change(world, n.machine, "rm")
    guest.leave(ended=True)
    found = outcome(world, client, client.ask(m["a"]))
    wires = [world.core.seal(client.held_as(cap)) for cap in found]
    assert len(set(wires)) == 2
    assert wires == [world.core.seal(client.held_as(cap)) for cap in found]


def test_an_ask_of_a_machine_that_was_removed_has_its_outcome() -> None:
    """The asker's ask stayed open for ever when the machine went that had taken it."""

    def silent(message: Message, state: Held) -> Step[Held]:
        return [], replace(state, caps=(message.reply,))

    world, client, ask = pair(silent, deadline_s=5)
    client.send(ask, "x")
    world.settle()
    n = world.machine("n")
    change(world, n, "halt")
    change(world, n, "rm")
    world.advance(6)
    assert [why for why, _detail in seen(world, "m")] == ["late"]
    assert not world.machine("m").asks


def test_what_is_sent_to_nobody_is_undelivered_at_once_and_leaves_nothing() -> None:
    """Batches to a gone client filled their sender's outbox for seven days."""
    world, client, ask = pair(see)
    n = world.machine("n")
    change(world, n, "halt")
    change(world, n, "rm")
    channels = set(world.core.host.channels)
    for _ in range(20):
        client.send(ask, "x")
    world.settle()
    assert len(seen(world, "m")) == 20 and not world.core.host.outbox
    assert all(n.address not in key for key in world.core.host.channels.keys() - channels)


@pytest.mark.parametrize("how", [Hangs, Dies])
def test_a_signal_that_never_ends_is_given_up(how: type[BaseException]) -> None:
    """Each loading of the machine forgave the deaths before, and worker after worker was lost."""

    def signal(event: Event, state: Held) -> Step[Held]:
        raise how

    world, client, m = start(see, signal=signal)
    client.send(m["a"], 1)
    world.settle()
    world.crash()
    client.send(m["a"], 2)
    world.advance(300)
    assert world.machine("m").status is Status.SUSPENDED
    assert world.core.host.counts["worker_deaths"] == 3


def test_a_migration_that_never_ends_is_refused_and_the_machine_goes_on() -> None:
    """An endless migrate killed workers for ever, and its request was never answered."""

    def migrate(old: object) -> Held:
        raise Hangs

    world, client, m = start(see)
    bundle = b"newer" * 8
    world.codes[bundle] = Steps(see, migrate=migrate)
    machine = world.machine("m")
    request = world.begin(lambda r: world.core.upgrade(r, machine, bundle[:32], bundle))
    world.advance(300)
    assert "does not end in time" in world.answers[request].error
    assert outcome(world, client, client.ask(m["a"], 1)) == "seen"


def test_requests_behind_a_removal_or_a_failed_creation_are_answered() -> None:
    """What was lined up behind the act that ended a machine was never answered."""

    def init(message: Message, me: Me) -> Step[Held]:
        raise ValueError("not today")

    world, _client, _m = start(see)
    machine = world.machine("m")
    requests = [
        world.begin(lambda r, verb=verb: world.core.change(r, machine, verb))  # type: ignore[misc]
        for verb in ("halt", "rm", "suspend", "rm")
    ]
    world.settle()
    assert [bool(world.answers[request].error) for request in requests] == [False] * 2 + [True] * 2
    code = Steps(see)
    code.init = init
    with pytest.raises(Refusal):
        world.create("new", code)


def test_a_halted_machine_takes_no_new_code() -> None:
    """An upgrade that waited behind a halt was done to the halted machine."""
    world, _client, _m = start(see)
    machine = world.machine("m")
    bundle = b"newer" * 8
    world.codes[bundle] = Steps(see)
    world.begin(lambda r: world.core.change(r, machine, "halt"))
    request = world.begin(lambda r: world.core.upgrade(r, machine, bundle[:32], bundle))
    world.settle()
    assert "halted for good" in world.answers[request].error
    assert entries(world, "m")[-1].form == journal.HALT


def test_a_suspended_machine_that_fails_what_comes_still_hears_its_outcomes() -> None:
    """The host's own word was failed like any batch, and the ask stayed open for ever."""
    world, client, ask = pair(see, deadline_s=5)
    world.suspend("n")
    client.send(ask, "x")
    world.settle()
    world.suspend("m", Mode.FAIL)
    world.advance(10 * 24 * 3600)
    world.crash()
    world.resume("m")
    world.settle()
    assert seen(world, "m") == (("undelivered", "the deadline passed"),)
    assert not world.machine("m").asks


def test_an_outcome_that_kills_workers_closes_its_ask() -> None:
    """The ask of an outcome that was never taken stayed in the table."""

    def step(message: Message, state: Held) -> Step[Held]:
        if isinstance(message.content, Failed):
            raise Dies
        return asking()(message, state)  # type: ignore[no-any-return]

    def no(message: Message, state: Held) -> Step[Held]:
        raise ValueError

    world = SimHost(6)
    client = world.client()
    n = world.create("n", Steps(no))
    made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
    client.send(names(client, made)["a"], "x")
    world.advance(1)
    assert not world.machine("m").asks and not world.core.host.outbox


def test_a_batch_in_flight_at_a_suspension_is_kept_like_those_behind_it() -> None:
    """Only those in the queue were made durable: after a crash the first was missing for ever."""

    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "bug":
            raise ValueError
        return see(message, state)

    limits = replace(Limits(), failed_batches=1, flights_machine=2)
    world, client, m = start(step, limits=limits)
    world.eager = False
    client.send(m["a"], "bug")
    for n in range(4):
        client.send(m["a"], n)
    while client.outgoing:
        client.speak()
    for _ in range(200):
        if list(world.store.rows("inbox")):
            break
        world.step()
    world.crash()
    world.eager = True
    world.settle()
    world.resume("m")
    world.settle()
    assert seen(world) == (0, 1, 2, 3)


def test_a_deadline_that_came_while_a_worker_had_the_batch_is_noticed() -> None:
    """When the worker died, the batch went back behind a suspension with its deadline lost."""
    slow = {"hangs": True}

    def step(message: Message, state: Held) -> Step[Held]:
        if slow["hangs"]:
            raise Hangs
        return see(message, state)

    world, client, ask = pair(step, deadline_s=5)
    client.send(ask, "x")
    world.settle()
    n = world.machine("n")
    world.begin(lambda r: world.core.change(r, n, "suspend"))
    world.advance(11)
    slow["hangs"] = False
    world.advance(1)
    assert seen(world, "m") == (("undelivered", "the deadline passed"),)


def failing(client: Client, m: dict[str, Capability], world: SimHost) -> tuple[int, bytes]:
    client.send(m["a"], "bug")
    world.settle()
    (((_machine, n), row),) = list(world.store.rows("failed"))
    assert isinstance(n, int)
    return n, row


def breaks_once(message: Message, state: Held) -> Step[Held]:
    if message.content == "bug":
        raise ValueError
    return see(message, state)


def test_a_failed_batch_is_tried_again_once_and_by_a_machine_that_takes_it() -> None:
    """Two requests in one commit sent it twice; a machine that takes nothing lost it."""
    world, client, m = start(breaks_once)
    n, row = failing(client, m, world)
    machine = world.machine("m")
    world.suspend("m", Mode.FAIL)
    with pytest.raises(Refusal, match="resume m"):
        world.ask(lambda r: world.core.retry(r, machine, n, row))
    world.resume("m")
    edited: list[tuple[bytes, tuple[()]]] = [(b"\x01", ())]
    first = world.begin(lambda r: world.core.retry(r, machine, n, row, list(edited)))
    again = world.begin(lambda r: world.core.retry(r, machine, n, row, list(edited)))
    world.settle()
    assert not world.answers[first].error and "no failed batch" in world.answers[again].error
    assert seen(world) == (1,) and machine.failed == 0


def test_the_failed_batches_of_a_removed_machine_go_with_it() -> None:
    """They stayed, and the next machine with its number seemed to have broken on them."""
    world, client, m = start(breaks_once)
    failing(client, m, world)
    machine = world.machine("m")
    change(world, machine, "halt")
    change(world, machine, "rm")
    assert not list(world.store.rows("failed"))


def test_dropped_is_only_said_when_nobody_else_can_answer() -> None:
    """A reply that was passed on and not used was called dropped, though others held it too."""
    world = SimHost(6)
    client = world.client()

    def first(message: Message, state: Held) -> Step[Held]:
        if message.context == "b":
            return [Send(state.caps[1], "the answer")], state
        kept = replace(state, caps=(*state.caps, message.reply))
        return [Send(state.caps[0], "x", reply=message.reply)], kept

    def ignores(message: Message, state: Held) -> Step[Held]:
        return [], state

    n = world.create("n", Steps(ignores))
    made = create_with(world, "m", Steps(first), client, [client.hold(n.names["a"])])
    m = names(client, made)
    ask = client.ask(m["a"], "x")
    assert outcome(world, client, ask) is None
    client.send(m["b"], None)
    assert outcome(world, client, ask) == "the answer"


def test_a_client_that_was_forgotten_is_told_so() -> None:
    """It was asked for its first batch again, which it no longer had, for ever."""
    world, client, m = start(see)
    client.send(m["a"], 1)
    client.send(m["a"], 2)
    world.settle()
    client.leave()
    world.advance(601)
    assert client.address not in world.core.host.clients
    assert world.core.host.keys(client.address) is None, "nothing of it is kept"
    client.connect(world.core)
    client.send(m["a"], 3)
    world.settle()
    assert client.forgotten and seen(world) == (1, 2)


def test_withdrawn_batches_leave_together_once_they_are_next_in_line() -> None:
    """A short deadline behind a long one was never told to its client while a machine slept."""
    world, client, m = start(see)
    world.suspend("m")
    first = client.ask(m["a"], 1, timeout_s=20)
    second = client.ask(m["a"], 2, timeout_s=5)
    world.advance(21)
    assert outcome(world, client, first) == Failed("undelivered")
    assert outcome(world, client, second) == Failed("undelivered")
    assert not world.core.host.inbox and not world.machine("m").queue


def test_deadlines_come_though_the_clock_goes_back() -> None:
    """A clock that was set back an hour stopped all time of the host for an hour."""
    world, client, m = start(see)
    client.send(m["a"], 1)
    world.settle()
    world.suspend("m")
    ask = client.ask(m["a"], 2, timeout_s=5)
    world.settle()
    world.now_ms -= 3_600_000
    world.core.tick(world.now_ms)
    world.advance(8)
    assert outcome(world, client, ask) == Failed("undelivered")
    before = world.core.host.now_ms
    world.advance(10)
    assert before < world.core.host.now_ms < before + 10_000, "it runs slower until it is made up"


@pytest.mark.parametrize("how", [Hangs, Dies, MemoryError, RecursionError])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_c06_a_batch_that_ends_its_worker_names_the_message(
    how: type[BaseException], place: int
) -> None:
    """It was always told as the first of its batch."""

    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "bug":
            raise how
        return see(message, state)

    world, client, m = start(step)
    said = ["x"] * 4
    said[place] = "bug"
    client.send(m["a"], *said)
    client.send(m["a"], "y")
    world.advance(300)
    assert seen(world, "m") == ("y",)
    ((_key, row),) = world.store.rows("failed")
    assert cbor2.loads(row)[2] == place
    told = [verdict for _seq, verdict in client.verdicts]
    assert told == [["rejected", place], ["applied"]]


def test_a_client_that_comes_back_hears_what_it_missed_before_what_is_not_committed_yet() -> None:
    """What was folded just before it came back reached it first, and then what it had missed."""
    world = SimHost(4)
    listener, near = world.client(), world.client()
    ear = near.hold(listener.held_as(listener.ear()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "take", lambda self, batch: None)
        near.send(ear, "missed")
        world.settle()
    assert listener.inbox == []
    near.send(ear, "taken for the store")
    near.speak()
    world.eager = False
    assert world.core.host.committing is not None or world.core.host.group
    group = world.core.take_commit()
    assert group is not None
    near.send(ear, "folded")
    near.speak()
    listener.leave()
    listener.connect(world.core)
    world.core.committed()
    world.settle()
    assert [content for _cap, content in listener.inbox] == [
        "missed",
        "taken for the store",
        "folded",
    ]
