"""A factory of the host's: machines made beside it, each with an address, a journal and limits of its own.

    avm-host caps factory shop.py --at-most 10
    answers {"make": CAP, "revoke": CAP}

What is sent to `make` is the new machine's whole environment, and what its `init` answers is the answer; one
ask makes one machine, or none if it refuses. The code is the operator's choice, who alone can create a
maker: it is given a capability to the host that names the code. From the first message to `revoke` on
nothing more is made, also of what waits at the host, and it has let go of that; what was made stays. Only
the host's word that there is no machine gives its place back: any other outcome counts one, also
*refused*, which may come from whomever a made machine has passed the reply to. How an `init` broke it
prints, for its operator, and tells nobody else. (KeyKOS factories: Hardy 1985; Miller 2006: parenthood.)
"""

from dataclasses import replace

from avm import Capability, Failed, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import answer


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
            # The host's own word, which no step can send.
            said, _, word = how.partition(": ")
            if said == "refused":
                no = Failed("refused", word, back)
            else:
                print(word)
                no = Failed("rejected", "", back)
            return answer(reply, no), replace(state, made=state.made - 1)
        case Making(reply), Failed("undelivered") as no:
            return answer(reply, no), replace(state, made=state.made - 1)
        case Making(reply), outcome:
            return answer(reply, outcome), state
        case "revoke", None:
            # What asks the host nothing ends what waits there; behind it, so apart as well.
            end = [] if state.host is None else [Send(state.host, apart=True)]
            return [*end, *message.answer(None)], replace(state, host=None)
    raise Refused("revoke takes null")
