"""A machine of the enumeration: a number that is edited by hand, and ballast that makes it large."""

from typing import Any

from avm import Me, Message, Refused, Step

Sheet = tuple[int, bytes]


def init(message: Message, me: Me) -> Step[Sheet]:
    return message.answer({"swell": me("swell"), "read": me("read")}), (0, b"")


def step(message: Message, state: Sheet) -> Step[Sheet]:
    number, ballast = state
    match message.context, message.content:
        case "swell", (int(next_), int(size)):
            if next_ != number + 1:
                raise Refused(f"{next_} after {number}")
            return message.answer(next_), (next_, bytes([next_ % 256]) * size + ballast[:100])
        case "read", None:
            return message.answer(number), state
    raise Refused("what?")


def migrate(old: Any) -> Sheet:
    number, ballast = old
    return number, ballast
