"""Log and forward: a capability of which each use is written down.

    grant target=CAP, params {"keep": N}, 100 if nothing is said
    answers {"access": CAP, "log": CAP}

What is sent to `access` goes on to the target. `log` answers the last N uses, the oldest first: {"id", "now",
"said", "number"}, where the numbers go on though older ones are forgotten. Whoever holds `access` can neither
read the log nor get round it. (The logging forwarder; Miller 2006)
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Step, record
from caps.patterns.passing import Passed, answer, forward

KEEP_MAX = 10_000


@record(name="logged.Logged")
class Logged:
    me: Me
    target: Capability
    keep: int
    uses: int = 0
    entries: Map[int, Map[str, object]] = Map()


def init(message: Message, me: Me) -> Step[Logged]:
    match message.content:
        case {"target": Capability() as target, **rest}:
            keep = rest.get("keep", 100)
            if isinstance(keep, int) and 0 < keep <= KEEP_MAX:
                made = {"access": me("access"), "log": me("log")}
                return message.answer(made), Logged(me, target, keep)
    raise Refused(f"a log takes target, and keep up to {KEEP_MAX}")


def step(message: Message, state: Logged) -> Step[Logged]:
    match message.context, message.content:
        case "access", said:
            number = state.uses + 1
            use = Map({"id": message.id, "now": message.now, "said": said, "number": number})
            entries = state.entries.put(number, use)
            if number - state.keep in entries:
                entries = entries.drop(number - state.keep)
            sends = [forward(message, state.target, state.me)]
            return sends, replace(state, uses=number, entries=entries)
        case Passed(reply), outcome:
            return answer(reply, outcome), state
        case "log", None:
            return message.answer(list(state.entries.values())), state
    raise Refused("log takes null")
