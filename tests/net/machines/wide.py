"""A bit of everything that a step can use."""

from dataclasses import replace
from typing import Any

from avm import Cancel, Cases, Event, Failed, Map, Me, Message, Send, Step, record

NAMES = "read put voucher later cancel narrow each ask slow"


@record
class Wide:
    me: Me
    seen: tuple[Any, ...] = ()
    bag: Map[str, Any] = Map()


@record
class Voucher:
    worth: int


def init(message: Message, me: Me) -> Step[Wide]:
    return message.answer({name: me(name) for name in NAMES.split()}), Wide(me)


step = Cases[Wide]()


def note(state: Wide, what: object) -> Wide:
    return replace(state, seen=(*state.seen, what))


@step.on("read")
def read(message: Message, state: Wide) -> Step[Wide]:
    return message.answer({"seen": state.seen, "bag": state.bag}), state


@step.on("put")
def put(message: Message, state: Wide, content: Map[str, Any]) -> Step[Wide]:
    bag = state.bag
    for key, value in content.items():
        bag = bag.drop(key) if value is None else bag.put(key, value)
    return message.answer(bag), replace(state, bag=bag)


@step.on("voucher")
def voucher(message: Message, state: Wide, content: int) -> Step[Wide]:
    return message.answer(state.me(Voucher(content))), state


@step.on(Voucher)
def redeem(message: Message, state: Wide) -> Step[Wide]:
    assert isinstance(message.context, Voucher)
    return message.answer(message.context.worth), state


@step.on("later")
def later(message: Message, state: Wide, content: tuple[Any, ...]) -> Step[Wide]:
    seconds, what = content
    return [Send(state.me("ring"), what, after_s=seconds)], state


@step.on("ring")
def ring(message: Message, state: Wide, content: str) -> Step[Wide]:
    return [], note(state, content)


@step.on("cancel")
def cancel(message: Message, state: Wide) -> Step[Wide]:
    return [Cancel(state.me("ring"))], state


@step.on("narrow")
def narrow(message: Message, state: Wide, content: str) -> Step[Wide]:
    inner = state.me.within(content)
    cap = inner("inside")
    opened = (inner.open(cap), state.me.open(cap), inner.open(state.me("inside")))
    return message.answer({"cap": cap, "opened": opened}), state


@step.on("inside")
def inside(message: Message, state: Wide) -> Step[Wide]:
    return message.answer(message.context), state


@step.on("each")
def each(message: Message, state: Wide, content: Map[str, Any]) -> Step[Wide]:
    sends = [Send(to, content["n"], apart=content["apart"]) for to in content["to"]]
    return sends, state


@step.on("ask")
def ask(message: Message, state: Wide, content: Map[str, Any]) -> Step[Wide]:
    reply = state.me("answer")
    return [Send(content["to"], content["n"], reply=reply, deadline_s=0.5)], state


@step.on("answer")
def answer(message: Message, state: Wide, content: int | tuple[Any, ...] | Failed) -> Step[Wide]:
    return [], note(state, content.why if isinstance(content, Failed) else content)


@step.on("slow")
def slow(message: Message, state: Wide, content: int) -> Step[Wide]:
    return message.answer("old"), note(state, sum(range(content)))


def signal(event: Event, state: Wide) -> Step[Wide]:
    return [], note(state, event.name)
