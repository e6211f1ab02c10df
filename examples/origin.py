"""Answers common capabilities for hosts that do not: their `commons.origin` is its `ask`."""

from avm import INSPECT, RANDOM, TIME, Me, Message, Refused, Send, Step

COMMONS = {"time~": TIME, "random~": RANDOM, "inspect~": INSPECT}


def init(message: Message, me: Me) -> Step[None]:
    return message.answer({"ask": me("ask")}), None


def step(message: Message, state: None) -> Step[None]:
    match message.context, message.content:
        case "ask", (str(name), asked) if name in COMMONS:
            return [Send(COMMONS[name], asked, reply=message.reply)], state
    raise Refused("there is no such common capability")
