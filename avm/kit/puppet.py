"""A party of a scene: a machine that does what it is told, and remembers what it has heard.

    answers {"order": CAP, "ear": CAP}

To `order`: {"to": CAP, "say": VALUE} has it send that, the answer going to who gave the order, or with
{"hear": NAME} to its ear of that name; {"ear": NAME, "kind": KIND} makes another ear; {"answer": VALUE} and
{"refuse": WORD} are what it says from then on to what it hears; "heard" tells what it has heard since it was
last asked, its own ears named as ("ear", NAME).
"""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, Value, record
from caps.patterns.passing import Passed, answer, forward

WAIT_S = 3_600


@record
class Ear:
    name: str


@record
class Puppet:
    me: Me
    answer: Value = "ok"
    refuse: str = ""
    heard: tuple[Value, ...] = ()


def init(message: Message, me: Me) -> Step[Puppet]:
    return message.answer({"order": me("order"), "ear": me(Ear(""))}), Puppet(me)


def step(message: Message, state: Puppet) -> Step[Puppet]:
    match message.context, message.content:
        case "order", {"to": Capability() as to, "say": said, "hear": str(name)}:
            return [
                *message.answer(None),
                Send(to, said, reply=state.me(Ear(name)), deadline_s=WAIT_S),
            ], state
        case "order", {"to": Capability() as to, "say": said}:
            return [forward(message, to, state.me, said)], state
        case Passed(reply), outcome:
            return answer(reply, outcome), state
        case "order", {"ear": str(name), "kind": str(kind)}:
            return message.answer(state.me(Ear(name), kind=kind)), state
        case "order", {"answer": value}:
            return message.answer(None), replace(state, answer=value, refuse="")
        case "order", {"refuse": str(word)}:
            return message.answer(None), replace(state, refuse=word)
        case "order", "heard":
            return message.answer(_named(state.heard, state.me)), replace(state, heard=())
        case Ear(), said:
            if state.refuse:
                raise Refused(state.refuse)
            return message.answer(state.answer), replace(state, heard=(*state.heard, said))
    raise Refused("no such order")


def _named(value: Value, me: Me) -> Value:
    match value:
        case Capability():
            ear = me.open(value)
            return ("ear", ear.name) if isinstance(ear, Ear) else value
        case Failed(why, detail):
            return (why, detail)
        case tuple():
            return tuple(_named(part, me) for part in value)
        case Map():
            return Map({key: _named(part, me) for key, part in value.items()})
    return value
