"""A counter: whoever holds `add` may add to it, whoever holds `read` may read it."""

from dataclasses import replace

from avm import Me, Message, Refused, Step, record


@record
class Counter:
    me: Me
    total: int = 0


def init(message: Message, me: Me) -> Step[Counter]:
    return message.answer({"add": me("add"), "read": me("read")}), Counter(me)


def step(message: Message, state: Counter) -> Step[Counter]:
    match message.context, message.content:
        case "add", int(n):
            total = state.total + n
            return message.answer(total), replace(state, total=total)
        case "read", None:
            return message.answer(state.total), state
    raise Refused
