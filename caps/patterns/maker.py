"""A factory of the host's: machines made beside it, each with an address, a journal and limits of its own.

    avm-host caps factory shop.py --at-most 10
    answers {"make": CAP, "revoke": CAP}

What is sent to `make` is the new machine's whole environment, and what its `init` answers is the answer; one
ask makes one machine, or none if it refuses. The code is the operator's choice, who alone can create a
maker: it is given a capability to the host that names the code. From the first message to `revoke` on it
makes nothing more, and has let go of that; what it made stays. Of an outcome that leaves open whether a
machine was made it counts one. How an `init` broke it prints, for its operator, and tells nobody else. (KeyKOS factories: Hardy 1985; Miller 2006: parenthood.)
"""

from dataclasses import replace

from avm import Capability, Failed, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import NOTHING_HAPPENED, answer


@record(name="maker.Maker")
class Maker:
    me: Me
    host: Capability | None
    at_most: int
    made: int = 0


@record(name="maker.Making")
class Making:
    """The context of an ask to the host: who hears what the new machine answered."""

    reply: Capability


def init(message: Message, me: Me) -> Step[Maker]:
    match message.content:
        case {"host": Capability() as host, "at_most": int(at_most)}:
            made = {"make": me("make"), "revoke": me("revoke")}
            return message.answer(made), Maker(me, host, at_most)
    raise Refused("a maker takes host and at_most: `avm-host caps factory FILE` creates one")


def step(message: Message, state: Maker) -> Step[Maker]:
    match message.context, message.content:
        case "make", environment:
            if state.host is None:
                raise Refused("revoked")
            if state.made >= state.at_most:
                raise Refused("the factory has made all that it may")
            reply = state.me(Making(message.reply))
            ask = Send(state.host, environment, reply=reply, apart=True)
            return [ask], replace(state, made=state.made + 1)
        case Making(reply), Failed("rejected", how, back):
            print(how)
            return answer(reply, Failed("rejected", "", back)), replace(state, made=state.made - 1)
        case Making(reply), outcome:
            nothing = isinstance(outcome, Failed) and outcome.why in NOTHING_HAPPENED
            return answer(reply, outcome), replace(state, made=state.made - nothing)
        case "revoke", None:
            return message.answer(None), replace(state, host=None)
    raise Refused("revoke takes null")
