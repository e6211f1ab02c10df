"""A machine that answers, or does whatever else one may do with an ask."""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Send, Step, record

NAMES = ("answer", "twice", "refuse", "raise", "keep", "drop", "loop")


@record
class Answerer:
    kept: tuple[Capability, ...] = ()


def init(message: Message, me: Me) -> Step[Answerer]:
    return message.answer({name: me(name) for name in NAMES}), Answerer()


def step(message: Message, state: Answerer) -> Step[Answerer]:
    match message.context:
        case "answer":
            return message.answer("yes"), state
        case "twice":
            return [Send(message.reply, "first"), Send(message.reply, "second")], state
        case "raise":
            raise ValueError("no")
        case "keep":
            return [], replace(state, kept=(*state.kept, message.reply))
        case "drop":
            return [], state
        case "loop":
            while True:
                pass
    raise Refused("never")
