"""A timer of any length, and what has rung."""

from dataclasses import replace

from avm import Me, Message, Refused, Send, Step, record


@record
class Egg:
    me: Me
    rung: tuple[int, ...] = ()


def init(message: Message, me: Me) -> Step[Egg]:
    return message.answer({"boil": me("boil"), "rung": me("rung")}), Egg(me)


def step(message: Message, state: Egg) -> Step[Egg]:
    match message.context, message.content:
        case "boil", (int(n), float(seconds)):
            return [Send(state.me(("ring", n)), after_s=seconds)], state
        case "rung", None:
            return message.answer(state.rung), state
        case ("ring", int(n)), None:
            return [], replace(state, rung=(*state.rung, n))
    raise Refused
