"""An agent knows others by names of its own, uses what it was handed, and hands it on."""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Send, Step, record


@record
class Agent:
    me: Me
    known: Map[str, Capability] = Map()


def init(message: Message, me: Me) -> Step[Agent]:
    names = ("learn", "introduce", "use", "known")
    return message.answer({name: me(name) for name in names}), Agent(me)


def step(message: Message, state: Agent) -> Step[Agent]:
    match message.context, message.content:
        case "learn", {"name": str(name), "cap": Capability() as cap}:
            return message.answer(name), replace(state, known=state.known.put(name, cap))
        case "introduce", {"to": str(to), "name": str(name)}:
            # What is handed on is the capability itself: from then on nobody needs this agent.
            return [Send(known(state, to), {"name": name, "cap": known(state, name)})], state
        case "use", {"name": str(name), "content": content}:
            # The answer goes straight to who asked.
            return [Send(known(state, name), content, reply=message.reply)], state
        case "known", None:
            return message.answer(tuple(state.known)), state
    raise Refused("what?")


def known(state: Agent, name: str) -> Capability:
    cap = state.known.get(name)
    if cap is None:
        raise Refused(f"who is {name}?")
    return cap
