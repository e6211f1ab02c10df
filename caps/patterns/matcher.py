"""A grant matcher: two gifts go out together, and only if both givers mean the same receiver.

    answers {"first": CAP, "second": CAP}, one for each giver

A giver says {"give": CAP, "to": CAP}, which replaces what it said before, and hears "matched" or "waiting";
null asks how it stands; "withdraw" takes the gift back as long as it is here. Whether both mean the same one
is for nobody else to say: the matcher compares the capabilities that it was handed. The receiver has
both gifts in one message, or none. (The grant matcher puzzle of the E project.)
"""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import NOTHING_HAPPENED


@record(name="matcher.Offer")
class Offer:
    gift: Capability
    to: Capability


@record(name="matcher.Matcher")
class Matcher:
    me: Me
    offers: Map[str, Offer] = Map()
    given: bool = False


def init(message: Message, me: Me) -> Step[Matcher]:
    return message.answer({"first": me("first"), "second": me("second")}), Matcher(me)


def step(message: Message, state: Matcher) -> Step[Matcher]:
    match message.context, message.content:
        case "first" | "second" as side, None:
            return message.answer(_standing(side, state)), state
        case "given", Failed(why):
            return [], replace(state, given=why not in NOTHING_HAPPENED)
        case "given", _:
            return [], state
        case (("first" | "second"), _) if state.given:
            raise Refused("given already")
        case "first" | "second" as side, {"give": Capability() as gift, "to": Capability() as to}:
            state = replace(state, offers=state.offers.put(side, Offer(gift, to)))
            said = message.answer(_standing(side, state))
            if len(state.offers) < 2 or len({offer.to for offer in state.offers.values()}) > 1:
                return said, state
            gifts = (state.offers["first"].gift, state.offers["second"].gift)
            return [*said, Send(to, gifts, reply=state.me("given"))], replace(state, given=True)
        case "first" | "second" as side, "withdraw" if side in state.offers:
            gift = state.offers[side].gift
            return message.answer(gift), replace(state, offers=state.offers.drop(side))
    raise Refused("a giver says {give, to}, withdraw or null")


def _standing(side: str, state: Matcher) -> str:
    if side not in state.offers:
        return "nothing"
    if len(state.offers) < 2:
        return "waiting"
    first, second = state.offers["first"], state.offers["second"]
    return "matched" if first.to == second.to else "waiting"
