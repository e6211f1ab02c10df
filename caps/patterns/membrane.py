"""A membrane: a caretaker for a capability and for every other that crosses with it, either way.

    grant target=CAP
    answers {"access": CAP, "revoke": CAP}

What the outside sends in, what the inside answers, and what each sends to what it was handed: of every
capability in it the other side receives a wrapped one, which leads through the membrane too. One
that comes back to its own side is the original again. One revocation cuts all of them at once,
answers under way included. What may not be copied cannot be wrapped, as the membrane holds on to what it
wraps: its message is rejected. (Donnelley 1976; Miller 2006)
"""

from dataclasses import replace

from avm import NULL, Capability, Failed, Map, Me, Message, Refused, Send, Step, Value, record
from caps.patterns.passing import KEPT_S, answer
from caps.patterns.walking import capabilities_in, replaced

WRAPPED_MAX = 10_000


@record(name="membrane.Wrapped")
class Wrapped:
    """A capability of one side as the other side holds it."""

    number: int
    outside: bool


@record(name="membrane.Answer")
class Answer:
    """Where an answer goes to, and which side that is."""

    reply: Capability
    outside: bool


@record(name="membrane.Membrane")
class Membrane:
    """What is wrapped, by number and by what it is; `outside` is the side that the original lives on."""

    me: Me
    originals: Map[int, Capability] = Map()
    numbers: Map[tuple[Capability, bool], int] = Map()
    made: int = 0
    revoked: bool = False


def init(message: Message, me: Me) -> Step[Membrane]:
    match message.content:
        case {"target": Capability() as target}:
            access, state = _across(target, False, Membrane(me))
            return message.answer({"access": access, "revoke": me("revoke")}), state
    raise Refused("a membrane takes target")


def step(message: Message, state: Membrane) -> Step[Membrane]:
    match message.context, message.content:
        case "revoke", None:
            return message.answer(None), Membrane(state.me, revoked=True)
        case Answer(reply, _), _ if state.revoked:
            return [Send(reply, Failed("refused", "revoked"))], state
        case Answer(reply, outside), said:
            crossed, state = _across(said, not outside, state)
            return answer(reply, crossed), state
        case Wrapped(number, outside), said if not state.revoked:
            crossed, state = _across(said, not outside, state)
            to = state.originals[number]
            if message.reply == NULL:
                return [Send(to, crossed)], state
            back = state.me(Answer(message.reply, not outside))
            return [Send(to, crossed, reply=back, deadline_s=KEPT_S)], state
        case Wrapped(), _:
            raise Refused("revoked")
    raise Refused("revoke takes null")


def _across(value: Value, outside: bool, state: Membrane) -> tuple[Value, Membrane]:
    """A value that comes from this side, as the other side is to have it."""
    crossed: dict[Capability, Value] = {}
    for cap in capabilities_in(value):
        crossed[cap], state = _cap_across(cap, outside, state)
    return replaced(value, crossed), state


def _cap_across(cap: Capability, outside: bool, state: Membrane) -> tuple[Value, Membrane]:
    if cap == NULL:
        return cap, state
    match state.me.open(cap):
        case Wrapped(number, lives_outside):
            comes_home = lives_outside != outside
            return (state.originals[number] if comes_home else cap), state
    number = state.numbers.get((cap, outside), state.made)
    if number == state.made:
        if number >= WRAPPED_MAX:
            raise Refused("the membrane is full")
        state = replace(
            state,
            made=number + 1,
            originals=state.originals.put(number, cap),
            numbers=state.numbers.put((cap, outside), number),
        )
    return state.me(Wrapped(number, outside)), state
