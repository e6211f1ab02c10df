"""Adds numbers and counts them; refuses some, breaks on others."""

from dataclasses import replace

from avm import Me, Message, Refused, Send, Step, record


@record
class Tot:
    me: Me
    total: int = 0
    count: int = 0
    echo: int = 0


def init(message: Message, me: Me) -> Step[Tot]:
    names = {name: me(name) for name in ("add", "read", "mute", "tell")}
    return message.answer(names), Tot(me)


def step(message: Message, state: Tot) -> Step[Tot]:
    match message.context, message.content:
        case "add", int(n):
            if n < 0:
                raise Refused("negative")
            if n == 1_000_000:
                raise ValueError("a million")
            total, count = state.total + n, state.count + 1
            return message.answer(total), replace(state, total=total, count=count)
        case "read", None:
            return message.answer((state.total, state.count)), state
        case "mute", None:
            return [], state
        case "tell", {"ear": ear, "what": what}:
            return [Send(ear, what)], state
    raise Refused
