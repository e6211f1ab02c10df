"""Tries what no step may do: look outside, change what it was given, make or read a capability."""

from datetime import datetime
from typing import Any

from avm import Capability, Me, Message, Refused, Send, Step, record

NAMES = """keep add read clock file module state content bytes text reduce print from-number
from-bytes from-text write"""


@record
class Impure:
    me: Me
    total: int = 0
    cap: Any = None


def init(message: Message, me: Me) -> Step[Impure]:
    return message.answer({name: me(name) for name in NAMES.split()}), Impure(me)


def step(message: Message, state: Impure) -> Any:
    match message.context, message.content:
        case "keep", Capability() as cap:
            return message.answer("kept"), Impure(state.me, state.total, cap)
        case "add", int(n):
            return message.answer(None), Impure(state.me, state.total + n, state.cap)
        case "read", None:
            return message.answer(state.total), state
        case "clock", _:
            return message.answer(str(datetime.now())), state
        case "file", str(path):
            return message.answer(open(path).read()), state
        case "module", _:
            import os

            return message.answer(os.getcwd()), state
        case "state", _:
            state.total = 99  # type: ignore[misc]
            return message.answer(None), state
        case "content", content:
            content["a"] = 99  # type: ignore[index]
            return message.answer(None), state
    return with_capabilities(message, state)


def with_capabilities(message: Message, state: Impure) -> Any:
    cap, content = state.cap, message.content
    match message.context:
        case "bytes":
            return message.answer(bytes(cap)), state
        case "text":
            return message.answer((str(cap), repr(cap), f"{cap}")), state
        case "reduce":
            return message.answer(str(cap.__reduce_ex__(4))), state
        case "print":
            print(cap, [cap], {"cap": cap})
            return message.answer(None), state
        case "from-number":
            return [Send(type(cap)(content), 1)], state
        case "write":
            cap._slot = content
            return [Send(cap, 1)], state
        case "from-bytes" | "from-text":
            return [Send(content, 1)], state  # type: ignore[arg-type]
    raise Refused
