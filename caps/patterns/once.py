"""Once: a capability that works one time.

    grant target=CAP
    answers {"access": CAP}

One message goes through to the target, and what comes later is refused. If nothing came of the first, because
the target refused it or was never reached, it may be tried again; if that cannot be told, it may not: at most
once is the promise. (A one-shot forwarder; Miller 2006)
"""

from dataclasses import replace

from avm import Capability, Failed, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import NOTHING_HAPPENED, Passed, answer


@record(name="once.Once")
class Once:
    me: Me
    target: Capability
    used: bool = False


def init(message: Message, me: Me) -> Step[Once]:
    match message.content:
        case {"target": Capability() as target}:
            return message.answer({"access": me("access")}), Once(me, target)
    raise Refused("once takes target")


def step(message: Message, state: Once) -> Step[Once]:
    match message.context, message.content:
        case "access", _ if state.used:
            raise Refused("used")
        case "access", said:
            sends = [Send(state.target, said, reply=state.me(Passed(message.reply)))]
            return sends, replace(state, used=True)
        case Passed(reply), Failed(why) as outcome if why in NOTHING_HAPPENED:
            return answer(reply, outcome), replace(state, used=False)
        case Passed(reply), outcome:
            return answer(reply, outcome), state
    raise Refused
