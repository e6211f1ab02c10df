"""A factory: making machines as a power that is granted, and to nobody who was not granted it.

    # shops.py: a machine that makes shops; shop.py beside it has `init` and `step` like any machine
    import shop
    from caps.patterns.factory import factory
    init, step = factory(shop.init, shop.step)

    answers {"make": CAP}

What is sent to `make` is the new machine's whole environment, and what its `init` answers is the answer; one
ask makes one machine, or none if it refuses. The machines live in the factory's state, each with a `Me` of its
own: none opens or holds what is another's, and the world outside cannot tell it from one that lives alone
(but for limits, upgrades and failures, which are the factory's: a batch that breaks one is a batch of all).
This file itself is a factory of caretakers. (KeyKOS factories: Hardy 1985; Miller 2006: parenthood.)
"""

from collections.abc import Callable
from typing import Any

from avm import Map, Me, Message, Refused, Step, Value, record
from caps.patterns import caretaker

MADE_MAX = 10_000

Init = Callable[[Message, Me], Step[Any]]
Take = Callable[[Message, Any], Step[Any]]


@record(name="factory.Factory")
class Factory:
    me: Me
    made: Map[int, Value] = Map()


def factory(
    init_one: Init, step_one: Take
) -> tuple[Callable[[Message, Me], Step[Factory]], Callable[[Message, Factory], Step[Factory]]]:
    """The `init` and the `step` of a machine that makes machines with these."""

    def init(message: Message, me: Me) -> Step[Factory]:
        return message.answer({"make": me("make")}), Factory(me)

    def step(message: Message, state: Factory) -> Step[Factory]:
        match message.context:
            case "make":
                number = len(state.made)
                if number >= MADE_MAX:
                    raise Refused("the factory has made all that it may")
                me = state.me.within(number)
                sends, one = _done(init_one(_inner(message, me), me))
            case (int(number), context) if number in state.made:
                before = state.made[number]
                sends, one = _done(step_one(_inner(message, context), before))
                if one is before:
                    return sends, state
            case _:
                raise Refused
        return sends, Factory(state.me, state.made.put(number, one))

    return init, step


def _inner(message: Message, context: Value) -> Message:
    """The message as the machine inside has it."""
    return Message(context, message.content, message.reply, message.id, message.now)


def _done(result: Step[Any] | None) -> Step[Any]:
    """What the machine inside returned; one that falls off its end has refused."""
    if result is None:
        raise Refused
    return result


init, step = factory(caretaker.init, caretaker.step)
