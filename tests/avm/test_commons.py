"""Common capabilities: answered by the host that is asked, once, and from the record ever after."""

from dataclasses import replace
from typing import Any

import pytest

from avm import INSPECT, NULL, RANDOM, TIME, Failed, Map, Me, Message, Send, Step, record
from avm.testing import NoAnswer, World
from caps.value import Capability, Value
from tests.sim.code import sim_of

COMMONS = {"time": TIME, "random": RANDOM, "inspect": INSPECT, "null": NULL}


@record(name="Asker")
class Asker:
    me: Me
    told: tuple[Value, ...] = ()


class Curious:
    """Asks commons for itself, or for whoever asks it, and keeps what it is told."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Asker]:
        named = {name: me(name) for name in ("ask", "pass", "later", "tell", "self")}
        return message.answer({**named, "linear": me("x", kind="linear", priority=0.5)}), Asker(me)

    @staticmethod
    def step(message: Message, state: Asker) -> Step[Asker]:
        match message.context, message.content:
            case "ask", (str(name), content):
                return [Send(COMMONS[name], content, reply=state.me("told"))], state
            case "later", (str(name), content):
                to = COMMONS[name]
                return [Send(to, content, reply=state.me("told"), after_s=5)], state
            case "pass", (str(name), content):
                return [Send(COMMONS[name], content, reply=message.reply)], state
            case "self", asked:
                return [Send(state.me("pass"), asked, reply=state.me("told"))], state
            case "told", content:
                return [], replace(state, told=(*state.told, content))
        return [Send(TIME, None)], state


def test_w17_a_machine_is_answered_by_its_own_host() -> None:
    world = World()
    curious, client = world.machine(Curious), world.client()
    client.send(curious.cap("ask"), ("time", None))
    client.send(curious.cap("ask"), ("random", 20))
    client.send(curious.cap("ask"), ("null", {"any": 1}))
    now, drawn, nothing = curious.state.told
    assert now == world.now and nothing is None
    assert type(drawn) is bytes and len(drawn) == 20


def test_w17_a_reply_of_its_own_is_passed_on_like_any_other() -> None:
    world = World()
    curious, client = world.machine(Curious), world.client()
    for asked in (("time", None), ("time", "no"), ("random", 5)):
        client.send(curious.cap("self"), asked)
    now, no, drawn = curious.state.told
    assert now == world.now and no == Failed("refused", "time~ takes null")
    assert type(drawn) is bytes and len(drawn) == 5


def test_w17_time_goes_on_and_no_random_bytes_come_twice_even_after_a_crash() -> None:
    world = World()
    curious, client = world.machine(Curious), world.client()
    for _ in range(3):
        client.send(curious.cap("ask"), ("time", None))
        client.send(curious.cap("ask"), ("random", None))
        world.advance(7)
        world.crash()
    told = curious.state.told
    assert [told[2] - told[0], told[4] - told[2]] == [7, 7]
    assert len({told[1], told[3], told[5]}) == 3


def test_w17_inspect_tells_what_anybody_can_see_and_gives_the_capability_back() -> None:
    world = World()
    curious, other, client = world.machine(Curious), world.machine(Curious), world.client()
    told = client.call(curious.cap("pass"), ("inspect", other.cap("linear")))
    assert isinstance(told, Map)
    assert told["kind"] == "linear" and told["priority"] == 0.5 and told["expires"] is None
    assert told["own"] is False and told["common"] is None
    assert told["capability"] == other.cap("linear")
    client.send(curious.cap("ask"), ("inspect", curious.cap("linear")))
    told = curious.state.told[-1]
    assert isinstance(told, Map)
    assert told["own"] is True and isinstance(told["capability"], Capability)
    told = client.call(curious.cap("pass"), ("inspect", NULL))
    assert isinstance(told, Map) and told["common"] == "null~"


@pytest.mark.parametrize(
    ("name", "content"),
    [("time", 1), ("random", 0), ("random", 1025), ("random", "a"), ("inspect", None)],
)
def test_w17_what_a_common_does_not_take_it_refuses(name: str, content: Value) -> None:
    world = World()
    curious, client = world.machine(Curious), world.client()
    client.send(curious.cap("ask"), (name, content))
    (told,) = curious.state.told
    assert isinstance(told, Failed) and told.why == "refused" and name in told.detail
    with pytest.raises(NoAnswer) as failure:
        client.call(curious.cap("pass"), (name, content))
    assert failure.value.why == "refused"


def test_w17_a_client_asks_them_itself() -> None:
    world = World()
    client = world.client()
    assert client.call(TIME) == world.now
    drawn = client.call(RANDOM, 1024)
    assert isinstance(drawn, bytes) and len(drawn) == 1024
    assert client.call(NULL, 1) is None


def test_w17_a_timer_asks_too_and_one_who_asks_nothing_is_told_so() -> None:
    world = World()
    curious, client = world.machine(Curious), world.client()
    client.send(curious.cap("later"), ("time", None))
    start = world.now
    world.advance(6)
    assert curious.state.told == (start + 5,)
    client.offer(curious.cap("tell"))
    world.settle()
    assert "time~ answers who asks: give the send a reply" in curious.failures[-1]


def test_w17_random_bytes_are_drawn_once() -> None:
    world = World()
    client = world.client()
    drawn: list[Any] = [client.call(RANDOM, count) for count in (64, 64, 1, 100, 64)]
    assert [len(one) for one in drawn] == [64, 64, 1, 100, 64]
    assert len({one[:64] for one in drawn}) == 5
    assert World().client().call(RANDOM) == World().client().call(RANDOM), "a seed says all of it"


class Clerk:
    """Writes down what it is told, in order."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Asker]:
        named = {name: me("told", priority=level) for name, level in (("low", -0.9), ("high", 0.9))}
        return message.answer(named), Asker(me)

    step = Curious.step


def test_w11_a_higher_priority_overtakes_other_senders_and_never_its_own() -> None:
    world = World()
    clerk, sim = world.machine(Clerk), sim_of(world)
    sim.suspend(clerk.name)
    first, second = world.client(), world.client()
    for number in range(8):
        first.offer(clerk.cap("low"), ("low", number))
    first.offer(clerk.cap("high"), ("high, behind its own", 0))
    for number in range(4):
        second.offer(clerk.cap("high"), ("high", number))
    world.settle()
    sim.resume(clerk.name)
    world.settle()
    told = list(clerk.state.told)
    of_first = [one for one in told if one[0] != "high"]
    assert of_first == [*(("low", number) for number in range(8)), ("high, behind its own", 0)]
    of_second = [told.index(("high", number)) for number in range(4)]
    assert of_second == sorted(of_second)
    assert of_second[-1] < told.index(("low", 7)) and of_second[0] <= 1
