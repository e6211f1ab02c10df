"""A caretaker: access to a capability that can be taken back.

    grant target=CAP
    answers {"access": CAP, "revoke": CAP}

What is sent to `access` goes on to the target until somebody sends to `revoke`: from the next batch
on it is refused, and the caretaker itself has let go of the target. What a target answers with is
not in its care: for that, see the membrane. (Redell 1974; Miller 2006)
"""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Step, record
from caps.patterns.passing import Passed, answer, forward


@record(name="caretaker.Caretaker")
class Caretaker:
    me: Me
    target: Capability | None


def init(message: Message, me: Me) -> Step[Caretaker]:
    match message.content:
        case {"target": Capability() as target}:
            made = {"access": me("access"), "revoke": me("revoke")}
            return message.answer(made), Caretaker(me, target)
    raise Refused("a caretaker takes target")


def step(message: Message, state: Caretaker) -> Step[Caretaker]:
    match message.context, message.content:
        case "access", _:
            if state.target is None:
                raise Refused("revoked")
            return [forward(message, state.target, state.me)], state
        case Passed(reply), outcome:
            return answer(reply, outcome), state
        case "revoke", None:
            return message.answer(None), replace(state, target=None)
    raise Refused("revoke takes null")
