"""A machine that does on demand whatever a step should not."""

from dataclasses import replace
from typing import Any

from avm import Capability, Me, Message, Refused, Send, Step, record

NAMES = """count read tell raise loop eat nothing deep big object print chatter flood heavy recurse
state huge leak refuse pair exit generator"""


@record
class Trouble:
    me: Me
    count: int = 0
    kept: Any = None


def init(message: Message, me: Me) -> Step[Trouble]:
    return message.answer({name: me(name) for name in NAMES.split()}), Trouble(me)


def step(message: Message, state: Trouble) -> Any:
    context, content = message.context, message.content
    match context, content:
        case "count", int(n):
            return message.answer(state.count + n), replace(state, count=state.count + n)
        case "read", None:
            return message.answer(state.count), state
        case "tell", (Capability() as to, what):
            return [Send(to, what)], state
        case "refuse", _:
            raise Refused("no such thing")
    return misbehave(str(context), message, state)


def misbehave(what: str, message: Message, state: Trouble) -> Any:
    match what:
        case "raise":
            raise ValueError(f"wrong: {message.content}")
        case "loop":
            while True:
                pass
        case "print":
            while True:
                print("on and on")
        case "eat":
            kept: list[bytes] = []
            while True:
                kept.append(b"x" * 1_000_000 + bytes(len(kept)))
        case "nothing":
            return None
        case "pair":
            return [], state, "more"
        case "generator":
            return (one for one in message.answer(1)), object()
        case "recurse":
            return misbehave(what, message, state)
        case "exit":
            raise SystemExit(3)
    return oversized(what, message, state)


def oversized(what: str, message: Message, state: Trouble) -> Any:
    match what:
        case "deep":
            deep: Any = ()
            for _ in range(100):
                deep = (deep,)
            return message.answer(deep), state
        case "big":
            return message.answer("x" * 300_000), state
        case "object":
            return message.answer(object()), state
        case "chatter":
            print("y" * 3_000_000)
            return message.answer("printed"), state
        case "flood":
            return [Send(message.reply, n) for n in range(200_000)], state
        case "heavy":
            return [Send(state.me("count"), "x" * 200_000)] * 60, state
        case "state":
            return [], replace(state, kept=object())
        case "huge":
            return message.answer("ok"), replace(state, kept=b"x" * (65 * 1024 * 1024))
        case "leak":
            return message.answer(state.me), state
    raise Refused
