"""Owes its answers and its state to more than its messages, each case in another way."""

from dataclasses import replace

from avm import Me, Message, Refused, Step, record

SEEN = [0]
WORDS = ("one", "two", "three", "four", "five", "six")


@record
class Leaky:
    me: Me
    total: int = 0
    order: str = ""


def init(message: Message, me: Me) -> Step[Leaky]:
    names = ("add", "set", "keep", "global", "change")
    return message.answer({name: me(name) for name in names}), Leaky(me)


def step(message: Message, state: Leaky) -> Step[Leaky]:
    match message.context:
        case "add":
            return message.answer(state.total + 1), replace(state, total=state.total + 1)
        case "set":
            return message.answer(list(set(WORDS))), state
        case "keep":
            return message.answer(None), replace(state, order=",".join(set(WORDS)))
        case "global":
            SEEN[0] += 1
            return message.answer(SEEN[0]), state
        case "change":
            object.__setattr__(state, "total", state.total + 1)
            return message.answer(None), state
    raise Refused
