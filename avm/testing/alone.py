"""A step taken alone: what to call it with, and how to read what it returned. Pure.

Step 4 of the journey without a host. Contents are frozen as they are on their way, so that a step
sees tuples and maps here too.
"""

import hashlib
from collections.abc import Iterable

from avm.message import Cancel, Message, Send
from caps.map import Map
from caps.slots import Foreign, Me
from caps.value import Capability, Value, freeze

# Far above what any machine or world of a test ever holds.
FIRST_TEST_SLOT = 1 << 40


def cap(name: str) -> Capability:
    """A capability to somebody else; the same for the same name, and different for another."""
    place = hashlib.blake2b(name.encode(), digest_size=5, person=b"avm test cap").digest()
    return Foreign(FIRST_TEST_SLOT + int.from_bytes(place, "big"))


def cap_in(value: Value, *path: Value) -> Capability:
    """The capability in an answer or a content, at a path of keys and indices; LookupError if none is."""
    found = value
    for part in path:
        match found, part:
            case Map(), _ if part in found:
                found = found[part]
            case tuple(), int(index) if index < len(found):
                found = found[index]
            case _:
                raise LookupError(f"{value!r} has nothing at {part!r}")
    if isinstance(found, Capability):
        return found
    raise LookupError(f"{found!r} is no capability")


def me() -> Me:
    """The `Me` of a machine under test."""
    return Me()


def message(
    context: object = None,
    content: object = None,
    *,
    reply: Capability | None = None,
    id: str = "test-1",
    now: float = 0.0,
) -> Message:
    """A message as a step receives it; somebody asks, unless `reply` says otherwise (`NULL`)."""
    back = cap("reply") if reply is None else reply
    return Message(freeze(context), freeze(content), back, id, now)


def sends_to(to: Capability, sends: Iterable[Send | Cancel]) -> list[Value]:
    """The contents of what is sent to a capability, in order, frozen."""
    return [freeze(send.content) for send in sends if isinstance(send, Send) and send.to == to]


def answer_of(sends: Iterable[Send | Cancel], message: Message) -> Value:
    """What answers a message; AssertionError when nothing or more than one thing does."""
    answers = sends_to(message.reply, sends)
    assert len(answers) == 1, f"one answer was expected, there are {len(answers)}"
    return answers[0]
