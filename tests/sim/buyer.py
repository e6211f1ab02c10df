"""A machine that is granted a factory: it has shops made, buys one thing in each, and keeps what it is told."""

from dataclasses import replace
from typing import Any

from avm import Capability, Failed, Me, Message, Refused, Send, Step, record


@record(name="Buyer")
class Buyer:
    me: Me
    make: Capability | None = None
    shops: tuple[Capability, ...] = ()
    told: tuple[Any, ...] = ()


def init(message: Message, me: Me) -> Step[Buyer]:
    return message.answer({name: me(name) for name in ("meet", "order")}), Buyer(me)


def step(message: Message, state: Buyer) -> Step[Buyer]:
    match message.context, message.content:
        case "meet", Capability() as make:
            return [], replace(state, make=make)
        case "order", environment if state.make is not None:
            return [Send(state.make, environment, reply=state.me("made"))], state
        case "made", {"take": Capability() as take}:
            told = (*state.told, "made")
            return [Send(take, 1)], replace(state, shops=(*state.shops, take), told=told)
        case "made", Failed(why, detail):
            return [], replace(state, told=(*state.told, (why, detail)))
    raise Refused
