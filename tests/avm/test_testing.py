"""The test kit: a step taken alone, and a world of machines and clients in memory."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm import NULL, Failed, Linear, Map, Me, Message, Record, Refused, Send, Step, record
from avm.machine.bundle import BundleRefused
from avm.testing import (
    NoAnswer,
    NotApplied,
    NotCreated,
    World,
    answer_of,
    cap,
    me,
    message,
    sends_to,
)
from caps.value import Capability

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNTER = EXAMPLES / "counter.py"


@record(name="Kept")
class Kept:
    me: Me
    seen: tuple[object, ...] = ()
    ear: Capability | None = None


class Keeper:
    """Keeps what it is told, asks others, sets timers and breaks when it is told to."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Kept]:
        if message.content == "no":
            raise Refused("not this one")
        names = {name: me(name) for name in ("keep", "ask", "later", "break", "silent")}
        return message.answer(names), Kept(me, (message.content,))

    @staticmethod
    def step(message: Message, state: Kept) -> Step[Kept]:
        match message.context, message.content:
            case "keep", said:
                return message.answer(None), replace(state, seen=(*state.seen, said))
            case "ask", Capability() as other:
                return [Send(other, 1, reply=state.me("outcome"))], replace(state, ear=other)
            case "outcome", said:
                return [], replace(state, seen=(*state.seen, said))
            case "later", float(after_s):
                return [Send(state.me("keep"), "fired", after_s=after_s)], state
            case "break", _:
                raise RuntimeError("broken on purpose")
            case "silent", _:
                return [], replace(state, seen=())
        raise Refused("no such thing")


@given(st.text(), st.text())
def test_test_capabilities_are_equal_when_their_names_are(one: str, other: str) -> None:
    assert (cap(one) == cap(other)) is (one == other)
    assert me().open(cap(one)) is None


def test_a_message_is_frozen_as_on_its_way_and_answered() -> None:
    given_message = message("add", {"n": [1, 2]})
    assert given_message.content == Map({"n": (1, 2)})
    sends = [*given_message.answer([3]), Send(cap("other"), 4)]
    assert answer_of(sends, given_message) == (3,)
    assert sends_to(cap("other"), sends) == [4]
    with pytest.raises(AssertionError, match="one answer was expected, there are 2"):
        answer_of([*sends, *sends[:1]], given_message)
    assert message(reply=NULL).reply == NULL


def test_a_file_goes_through_the_import_rules(tmp_path: Path) -> None:
    file = tmp_path / "clock.py"
    file.write_text("import time\ndef init(message, me): ...\ndef step(message, state): ...\n")
    with pytest.raises(BundleRefused, match="use message"):
        World().machine(file)
    with pytest.raises(BundleRefused, match="no such file"):
        World().machine(str(tmp_path / "none.py"))
    with pytest.raises(TypeError, match="has a function `step`"):
        World().machine(object())


def test_a_file_a_class_and_an_object_are_machines_alike() -> None:
    world = World()
    client = world.client()
    machines = [world.machine(COUNTER), world.machine(str(COUNTER), "mine"), world.machine(COUNTER)]
    assert [machine.name for machine in machines] == ["counter", "mine", "counter-2"]
    for machine in machines:
        assert client.call(machine.cap("add"), 5) == 5
        assert machine.state.total == 5
    assert world.machine(Keeper()).name == "keeper"
    assert world.machine(Keeper).name == "keeper-2"
    with pytest.raises(KeyError, match="answered no capability 'sub'"):
        machines[0].cap("sub")


def test_the_environment_is_the_parameters_and_the_grants() -> None:
    world = World()
    client = world.client()
    ear = client.cap("ear")
    assert world.machine(Keeper).state.seen == (None,)
    assert world.machine(Keeper, params=[1]).state.seen == ((1,),)
    keeper = world.machine(Keeper, params={"n": 1}, grants={"ear": ear})
    assert keeper.state.seen == (Map({"n": 1, "ear": ear}),)
    with pytest.raises(ValueError, match="both a parameter and a grant: n"):
        world.machine(Keeper, params={"n": 1}, grants={"n": ear})
    with pytest.raises(NotCreated, match="not this one"):
        world.machine(Keeper, params="no")
    with pytest.raises(NotCreated, match="exists"):
        world.machine(Keeper, "keeper")


def test_every_way_not_to_be_answered_has_its_word() -> None:
    world = World()
    keeper = world.machine(Keeper)
    client = world.client()
    with pytest.raises(NoAnswer, match="refused: no such thing") as refused:
        client.call(keeper.cap("ask"))
    assert (refused.value.why, refused.value.detail) == ("refused", "no such thing")
    with pytest.raises(NoAnswer, match="rejected") as broken:
        client.call(keeper.cap("break"))
    assert "broken on purpose" in str(broken.value.__notes__)
    assert "broken on purpose" in keeper.failures[0]
    before = world.now
    with pytest.raises(NoAnswer, match="late"):
        client.call(keeper.cap("silent"), timeout_s=5)
    assert 5 <= world.now - before < 6


def test_a_batch_is_applied_whole_or_not_at_all() -> None:
    world = World()
    counter = world.machine(COUNTER)
    client = world.client()
    client.send(counter.cap("add"), 1, 2, 3)
    with pytest.raises(NotApplied, match="refused"):
        client.send(counter.cap("add"), 1, 2, "x")
    world.crash()
    assert counter.state.total == 6
    with pytest.raises(NotApplied) as broken:
        client.send(world.machine(Keeper).cap("break"))
    assert broken.value.why == "rejected"
    assert "broken on purpose" in str(broken.value.__notes__)


def test_time_passes_only_when_it_is_moved() -> None:
    world = World()
    keeper = world.machine(Keeper)
    client = world.client()
    client.send(keeper.cap("later"), 10.0)
    world.advance(9)
    assert keeper.state.seen == (None,)
    world.crash()
    world.advance(1)
    assert keeper.state.seen == (None, "fired")


def test_an_ask_of_a_machine_gets_its_one_outcome() -> None:
    world = World()
    keeper, counter = world.machine(Keeper), world.machine(COUNTER)
    client = world.client()
    client.send(keeper.cap("ask"), counter.cap("add"))
    client.send(keeper.cap("ask"), counter.cap("read"))
    world.settle()
    assert keeper.state.seen == (None, 1, Failed("refused"))
    assert keeper.state.ear == counter.cap("read")


def test_a_client_hears_what_comes_to_its_capabilities_once() -> None:
    world = World()
    keeper = world.machine(Keeper)
    client = world.client()
    client.send(keeper.cap("ask"), client.cap("first"))
    client.send(keeper.cap("ask"), client.cap("second"))
    assert [(heard.name, heard.content) for heard in client.inbox()] == [
        ("first", 1),
        ("second", 1),
    ]
    world.crash()
    assert client.inbox() == []


def test_what_is_no_capability_no_name_and_no_time_is_told() -> None:
    world = World()
    client, counter = world.client(), world.machine(COUNTER)
    wrong: list[Any] = [counter, "counter.add", None]
    for one in wrong:
        for use in (client.call, client.send, client.offer):
            with pytest.raises(TypeError, match=r"is no capability: `machine\.cap"):
                use(one, 1)
    params: Any = {"from": 5}
    with pytest.raises(TypeError, match="what `init` is given is params="):
        world.machine(COUNTER, params)
    with pytest.raises(ValueError, match="time never goes back"):
        world.advance(-1)


def test_capabilities_of_a_state_can_be_compared_and_used_by_any_client() -> None:
    world = World()
    keeper, counter = world.machine(Keeper), world.machine(COUNTER)
    alice, bob = world.client(), world.client()
    alice.call(keeper.cap("keep"), [counter.cap("add"), Linear(1)])
    assert keeper.state.seen[1] == (counter.cap("add"), Linear(1))
    assert bob.call(keeper.state.seen[1][0], 2) == 2
    with pytest.raises(ValueError, match="not of this world"):
        alice.send(cap("stranger"))
    with pytest.raises(ValueError, match="not of this world"):
        alice.ask(keeper.cap("keep"), cap("stranger"))


@record(name="Kept")
class Widened:
    me: Me
    seen: tuple[object, ...] = ()
    ear: Capability | None = None
    more: int = 7


@dataclass
class Newer:
    """The keeper with one field more; its own record stands before the module's."""

    record = Widened

    def init(self, message: Message, me: Me) -> Step[Widened]:
        return [], Widened(me)

    def step(self, message: Message, state: Widened) -> Step[Widened]:
        return message.answer(state.more), state


class Migrating(Newer):
    def migrate(self, old: Any) -> Widened:
        match old:
            case Record("Kept", {"me": Me() as mine, "seen": tuple(seen)}):
                return Widened(mine, more=len(seen))
        raise TypeError(old)


def test_an_upgrade_keeps_the_state_or_migrates_it() -> None:
    world = World()
    keeper = world.machine(Keeper)
    client = world.client()
    client.call(keeper.cap("keep"), 1)
    keeper.upgrade(Newer())
    assert client.call(keeper.cap("keep")) == 7
    again = world.machine(Keeper)
    again.upgrade(Migrating())
    world.crash()
    assert client.call(again.cap("keep")) == 1
    with pytest.raises(NotCreated, match="keeps its code"):
        again.upgrade(COUNTER)


def test_what_a_file_prints_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "talker.py"
    file.write_text(
        "def init(message, me):\n    print('made')\n    return message.answer({'x': me('x')}), 0\n"
        "def step(message, state):\n    print('got', message.content)\n    return [], state\n"
    )
    world = World()
    talker = world.machine(file)
    world.client().send(talker.cap("x"), 1, 2)
    assert talker.printed == "made\ngot 1\ngot 2\n"


@given(st.integers(0, 2**32))
def test_a_seed_gives_the_same_run(seed: int) -> None:
    def run() -> list[object]:
        world = World(seed, shuffled=True)
        keeper = world.machine(Keeper)
        clients = [world.client() for _ in range(3)]
        for number, client in enumerate(clients):
            client.offer(keeper.cap("keep"), number)
        world.settle()
        return list(keeper.state.seen)

    first = run()
    assert run() == first
    assert sorted(map(str, first)) == ["0", "1", "2", "None"]
