"""An assistant that begins with nothing: for each tool that it needs it asks its user's powerbox.

    grant ask=CAP, of the powerbox
    answers {"do": CAP}, which takes {"with": TOOL, "say": WHAT}

What it was given once it uses again. It passes on in its own name, so that who gave it a job hears what
the tool itself answers, or that the user has said no.
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Send, Step, Value, record
from caps.patterns.passing import Passed, answer, forward

DECIDING_S = 24 * 3_600


@record
class Wanted:
    tool: str
    said: Value
    reply: Capability


@record
class Assistant:
    me: Me
    ask: Capability
    tools: Map[str, Capability] = Map()


def init(message: Message, me: Me) -> Step[Assistant]:
    match message.content:
        case {"ask": Capability() as ask}:
            return message.answer({"do": me("do")}), Assistant(me, ask)
    raise Refused("an assistant takes ask, of its user's powerbox")


def step(message: Message, state: Assistant) -> Step[Assistant]:
    match message.context, message.content:
        case "do", {"with": str(tool), "say": said} if tool in state.tools:
            return [forward(message, state.tools[tool], state.me, said)], state
        case "do", {"with": str(tool), "say": said}:
            rest = state.me(Wanted(tool, said, message.reply))
            return [Send(state.ask, {"want": tool}, reply=rest, deadline_s=DECIDING_S)], state
        case Wanted(tool, said, reply), Capability() as given:
            used = Send(given, said, reply=state.me(Passed(reply)))
            return [used], replace(state, tools=state.tools.put(tool, given))
        case ((Wanted(_, _, reply) | Passed(reply)), outcome):
            return answer(reply, outcome), state
    raise Refused("do takes {with, say}")
