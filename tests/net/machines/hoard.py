"""A machine whose journal grows fast and whose state stays small, and that says what it holds."""

from dataclasses import replace

from avm import Me, Message, Refused, Step, record


@record
class Hoard:
    me: Me
    count: int = 0
    bytes: int = 0


def init(message: Message, me: Me) -> Step[Hoard]:
    return message.answer({name: me(name) for name in ("put", "read")}), Hoard(me)


def step(message: Message, state: Hoard) -> Step[Hoard]:
    match message.context, message.content:
        case "put", str(text):
            state = replace(state, count=state.count + 1, bytes=state.bytes + len(text))
            return message.answer(state.count), state
        case "read", None:
            return message.answer((state.count, state.bytes)), state
    raise Refused
