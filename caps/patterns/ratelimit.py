"""A rate limit: a capability that lets so many messages through in so much time.

    grant target=CAP, params {"calls": N, "per_s": S}
    answers {"access": CAP}

N may come at once, and then one every S/N seconds; what is too much is refused, and did not happen. Time is
that of the turn, so a replay counts as the day did. (A token bucket before a target; Miller 2006)
"""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Step, record
from caps.patterns.passing import Passed, answer, forward


@record(name="ratelimit.Limited")
class Limited:
    me: Me
    target: Capability
    calls: int
    per_s: float
    left: float
    at: float


def init(message: Message, me: Me) -> Step[Limited]:
    match message.content:
        case {
            "target": Capability() as target,
            "calls": int(calls),
            "per_s": int() | float() as per_s,
        } if calls > 0 and per_s > 0:
            state = Limited(me, target, calls, per_s, calls, message.now)
            return message.answer({"access": me("access")}), state
    raise Refused("a rate limit takes target, calls and per_s, both above 0")


def step(message: Message, state: Limited) -> Step[Limited]:
    match message.context, message.content:
        case "access", _:
            passed_s = message.now - state.at
            left = min(state.calls, state.left + passed_s * state.calls / state.per_s)
            if left < 1:
                raise Refused("too often")
            sends = [forward(message, state.target, state.me)]
            return sends, replace(state, left=left - 1, at=message.now)
        case Passed(reply), outcome:
            return answer(reply, outcome), state
    raise Refused
