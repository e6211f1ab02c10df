"""Kinds: what is linear is neither dropped nor copied, whoever tries it, and a failed batch spends nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from avm import (
    NULL,
    Affine,
    Failed,
    Linear,
    Me,
    Message,
    Refused,
    Relevant,
    Send,
    Step,
    record,
)
from avm.host.batch import Said
from avm.host.capability import address_of
from avm.host.state import Mode
from avm.limits import Limits
from avm.machine import frames
from avm.sim.host import Refusal
from avm.testing import NotApplied, World
from avm.testing.simulated import SimSitting
from caps.codec import encode_content
from caps.value import Capability
from tests.sim.code import sim_of

CONTENTS = {"linear": Linear(5), "affine": Affine(5), "relevant": Relevant(5)}


@record(name="Holder")
class Holder:
    me: Me
    other: Capability = NULL
    held: tuple[object, ...] = ()


def giving(*names: str) -> Callable[[Message, Me], Step[Holder]]:
    """An `init` that answers a capability of each name."""

    def init(message: Message, me: Me) -> Step[Holder]:
        return message.answer({name: me(name) for name in names}), Holder(me)

    return init


class Pocket:
    """Does with what comes as the name of the capability says."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Holder]:
        names = (
            "keep",
            "drop",
            "void",
            "pass",
            "twice",
            "both",
            "lose",
            "spend",
            "fan",
            "mint",
            "fold",
        )
        named: dict[str, object] = {name: me(name) for name in names}
        named |= {f"own-{kind}": me(kind, kind=kind) for kind in CONTENTS}
        return message.answer(named), Holder(me)

    @staticmethod
    def step(message: Message, state: Holder) -> Step[Holder]:
        said: Any = message.content
        match message.context:
            case "keep":
                return [], replace(state, held=(*state.held, said))
            case "drop":
                return [], state
            case "void":
                return [Send(NULL, said)], state
            case "pass":
                to, thing = said
                return [Send(to, thing)], state
            case "twice":
                to, thing = said
                return [Send(to, thing), Send(to, (thing,))], state
            case "both":
                to, thing = said
                return [Send(to, thing)], replace(state, held=(*state.held, thing))
            case "lose":
                return [], replace(state, held=())
            case "spend":
                return [Send(NULL, state.held)], replace(state, held=())
            case "fold":
                for _ in range(25):
                    said = Linear((said, said))
                return [], replace(state, held=(said,))
            case "mint":
                return [], replace(state, held=(*state.held, Linear(said)))
        return [Send(said, state.held)], replace(state, held=())


def pocket(world: World, name: str = "pocket") -> Any:
    return world.machine(Pocket, name)


def fails(world: World, machine: Any, name: str, content: object) -> str:
    with pytest.raises(NotApplied) as failure:
        world.client().send(machine.cap(name), content)
    assert failure.value.why == "rejected"
    return str(machine.failures[-1])


MAY_DROP = {"linear": False, "affine": True, "relevant": False}
MAY_COPY = {"linear": False, "affine": False, "relevant": True}


def things(world: World, kind: str) -> dict[str, object]:
    """A value of a kind, and a capability of another machine."""
    issuer = pocket(world, f"issuer-{kind}")
    return {"value": CONTENTS[kind], "capability": issuer.cap(f"own-{kind}")}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("form", ["value", "capability"])
def test_w16_what_is_dropped_or_copied_fails_its_batch_by_its_kind(kind: str, form: str) -> None:
    world = World()
    machine, ear = pocket(world), world.client().cap()
    thing = things(world, kind)[form]
    client = world.client()
    for name, content, allowed in (
        ("keep", thing, True),
        ("lose", None, MAY_DROP[kind]),
        ("spend", None, True),
        ("drop", thing, MAY_DROP[kind]),
        ("void", thing, True),
        ("pass", (ear, thing), True),
        ("twice", (ear, thing), MAY_COPY[kind]),
        ("both", (ear, thing), MAY_COPY[kind]),
        ("spend", None, True),
    ):
        if allowed:
            client.send(machine.cap(name), content)
            continue
        said = fails(world, machine, name, content)
        assert kind in said or type(thing).__name__ in said
        assert ("Dropped" if name in ("lose", "drop") else "Copied") in said


def test_w16_the_error_names_the_value_and_where_it_was_lost_or_doubled() -> None:
    world = World()
    machine, ear = pocket(world), world.client().cap()
    said = fails(world, machine, "drop", {"coin": Linear(5)})
    assert 'Linear(5) of message.content["coin"] was dropped' in said
    said = fails(world, machine, "twice", (ear, Affine("a")))
    assert "Affine('a') of message.content[1] was copied" in said
    assert "sends[0].content and sends[1].content[0]" in said
    world.client().send(machine.cap("keep"), (1, Linear("x")))
    assert "Linear('x') of state.held[0][1] was dropped" in fails(world, machine, "lose", None)
    assert machine.state.held == ((1, Linear("x")),)


@pytest.mark.parametrize("turns", [1, 20_000])
def test_w16_kinds_hold_after_the_host_and_its_workers_died(turns: int) -> None:
    """Out of a snapshot, and out of the journal."""
    world = World(limits=replace(Limits(), snapshot_turns=turns))
    machine = pocket(world)
    linear = things(world, "linear")["capability"]
    for thing in (linear, "another turn, which has the state kept"):
        world.client().send(machine.cap("keep"), thing)
    world.crash()
    assert (sim_of(world).machine(machine.name).snapshot_at > 0) is (turns == 1)
    assert "Dropped" in fails(world, machine, "lose", None)
    world.client().send(machine.cap("spend"))
    assert machine.state.held == ()


class Mailer:
    """Sends a coin with an ask, keeps it in hand no more, and takes it back when it returns."""

    init = staticmethod(giving("put", "mail"))

    @staticmethod
    def step(message: Message, state: Holder) -> Step[Holder]:
        match message.context, message.content:
            case "put", coin:
                return [], replace(state, held=(*state.held, coin))
            case "mail", Capability() as to:
                return [Send(to, state.held, reply=state.me("told"))], replace(state, held=())
            case "told", Failed(why, _, tuple(content)):
                return [], replace(state, held=content, other=state.me(why))
        raise AssertionError


@pytest.mark.parametrize("why", ["refused", "rejected", "undelivered"])
@pytest.mark.parametrize("form", ["value", "capability"])
def test_w16_linear_content_returns_with_the_outcome_of_an_ask_that_was_not_taken(
    why: str, form: str
) -> None:
    world = World()
    mailer, taker, client = world.machine(Mailer), world.machine(Taker), world.client()
    thing = things(world, "linear")[form]
    client.send(mailer.cap("put"), thing)
    if why == "undelivered":
        sim_of(world).suspend(taker.name, Mode.FAIL)
    client.send(mailer.cap("mail"), taker.cap("take" if why == "undelivered" else why))
    assert mailer.state.held == (thing,)
    world.crash()
    assert mailer.state.held == (thing,)


def test_w16_what_is_linear_in_a_failed_batch_is_not_offered_again() -> None:
    world = World()
    mailer, taker, client = world.machine(Mailer), world.machine(Taker), world.client()
    client.send(mailer.cap("put"), Linear(1))
    client.send(mailer.cap("mail"), taker.cap("rejected"))
    sim = sim_of(world)
    machine = sim.machine(taker.name)
    ((key, row),) = sim.store.rows_of("failed", machine.id)
    with pytest.raises(Refusal, match="cannot be retried"):
        sim.ask(lambda request: sim.core.retry(request, machine, int(key[-1]), row))


class Taker:
    """Refuses, breaks or takes, as it is asked."""

    init = staticmethod(giving("refused", "rejected", "take"))

    @staticmethod
    def step(message: Message, state: Holder) -> Step[Holder]:
        if message.context == "refused":
            raise Refused("no")
        if message.context == "rejected":
            raise RuntimeError
        return message.answer(None), replace(state, held=message.content)  # type: ignore[arg-type]


def test_w16_what_stands_in_itself_many_million_times_is_too_large_and_not_walked_through() -> None:
    """A value without end was looked through before its size was: it held a worker for ever."""
    world = World()
    machine = pocket(world)
    fails(world, machine, "fold", Linear(5))
    assert "bytes, more than 67,108,864" in machine.failures[-1]


def test_w16_what_a_batch_makes_and_drops_fails_as_it_would_in_two() -> None:
    world = World()
    machine, client = pocket(world), world.client()
    mint, lose = (sim_of(world).handles.held_as(machine.cap(name)) for name in ("mint", "lose"))
    said = [
        Said(mint, encode_content(1)[0], (), None),
        Said(lose, encode_content(None)[0], (), None),
    ]
    assert isinstance(client._sitting, SimSitting)
    client._sitting.client.offer(address_of(mint), said)
    world.settle()
    assert "Linear(1) of state.held[0] was dropped" in machine.failures[-1]
    assert machine.state.held == ()


class Keeper:
    """Keeps a coin in the context of a capability, and nowhere else."""

    init = staticmethod(giving("seal", "look"))

    @staticmethod
    def step(message: Message, state: Holder) -> Step[Holder]:
        match message.context, message.content:
            case "seal", (Capability() as to, coin):
                return [Send(to, state.me(("coin", coin)))], state
            case "look", Capability() as sealed:
                _, coin = state.me.open(sealed)  # type: ignore[misc]
                return [Send(NULL, sealed)], replace(state, held=(*state.held, coin))
            case ("coin", coin), "take":
                return [], replace(state, held=(*state.held, coin))
        return [], state


def test_w16_a_coin_goes_into_a_context_and_comes_back_with_it() -> None:
    world = World()
    keeper, client = world.machine(Keeper), world.client()
    ear = client.cap()
    for number, how in enumerate(("use", "look")):
        client.send(keeper.cap("seal"), (ear, Linear(number)))
        (heard,) = client.inbox()
        assert keeper.state.held == tuple(map(Linear, range(number)))
        assert isinstance(heard.content, Capability)
        with pytest.raises(NotApplied):
            client.send(heard.content, "forget it")
        if how == "use":
            client.send(heard.content, "take")
        else:
            client.send(keeper.cap("look"), heard.content)
    assert keeper.state.held == (Linear(0), Linear(1))


def test_w16_the_host_fails_a_batch_of_a_worker_that_does_not_look() -> None:
    world = World()
    machine, sim = pocket(world), sim_of(world)
    linear = things(world, "linear")["capability"]
    world.client().offer(machine.cap("drop"), linear)
    while not any(worker.frames for worker in sim.workers.values()):
        sim.step()
    ((number, worker),) = [one for one in sim.workers.items() if one[1].frames]
    _kind, place, token, *_given = frames.unpack(worker.frames.pop())
    answer = [frames.TURN, place, token, frames.UNCHANGED, "", None]
    sim.core.answer(number, frames.pack(answer))
    world.settle()
    assert machine.failures == ["the linear capability that came as number 1 was dropped"]


@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize(
    "reference",
    [[7], [1, 2, 3], [0, 0, 0, None, b"\xf6", 7], [0, 0, 0, None, b"\xf6", [[1, 2, 3]]], {"a": 1}],
    ids=str,
)
def test_w16_references_that_are_none_fail_their_batch_and_not_the_host(
    reference: Any, place: int
) -> None:
    world = World()
    machine, sim = pocket(world), sim_of(world)
    linear = things(world, "linear")["capability"]
    world.client().offer(machine.cap("drop"), linear)
    while not any(worker.frames for worker in sim.workers.values()):
        sim.step()
    ((number, worker),) = [one for one in sim.workers.items() if one[1].frames]
    _kind, at, token, *_given = frames.unpack(worker.frames.pop())
    send: list[Any] = ["null~", b"\xf6", [], None, None, None, False]
    send[place] = [reference] if place == 2 else reference
    answer = [frames.TURN, at, token, frames.pack([0, False, [[send]]]), "", None]
    sim.core.answer(number, frames.pack(answer))
    world.settle()
    assert len(machine.failures) == 1
