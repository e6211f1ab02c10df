"""A machine that asks with a narrowed capability of its own, which the host does not let it."""

from avm import Capability, Me, Message, Send, Step, narrow


def init(message: Message, me: Me) -> Step[Me]:
    return message.answer({name: me(name) for name in ("narrowed", "plain")}), me


def step(message: Message, state: Me) -> Step[Me]:
    assert isinstance(message.content, Capability)
    back = state("plain")
    if message.context == "narrowed":
        back = narrow(back, until=message.now + 1)
    return [Send(message.content, None, reply=back)], state
