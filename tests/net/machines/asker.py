"""A machine that asks others and sets timers, and keeps every outcome that comes."""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record


@record
class Asker:
    me: Me
    outcomes: Map[str, tuple[str, ...]] = Map()
    fired: Map[str, int] = Map()


@record
class Outcome:
    name: str


@record
class Fired:
    name: str


def init(message: Message, me: Me) -> Step[Asker]:
    return message.answer({name: me(name) for name in ("ask", "timer", "read")}), Asker(me)


def step(message: Message, state: Asker) -> Step[Asker]:
    match message.context, message.content:
        case "ask", (str(name), Capability() as to, float(deadline_s)):
            reply = state.me(Outcome(name))
            return [Send(to, name, reply=reply, deadline_s=deadline_s)], state
        case Outcome(name), outcome:
            word = outcome.why if isinstance(outcome, Failed) else str(outcome)
            known = state.outcomes.get(name, ())
            return [], replace(state, outcomes=state.outcomes.put(name, (*known, word)))
        case "timer", (str(name), float(after_s)):
            return [Send(state.me(Fired(name)), None, after_s=after_s)], state
        case Fired(name), None:
            times = state.fired.get(name, 0) + 1
            return [], replace(state, fired=state.fired.put(name, times))
        case "read", None:
            return message.answer((state.outcomes, state.fired)), state
    raise Refused
