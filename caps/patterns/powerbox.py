"""A powerbox: an application asks for what it needs, and its user hands it over by choosing it.

    answers {"ask": CAP, for the application, "desk": CAP, for the user}

The application begins with nothing but `ask`: {"want": TEXT} is answered when the user has chosen, by
a capability that leads to the chosen one. At the desk: null lists what is asked for, {"grant": NUMBER, "cap":
CAP} chooses, {"deny": NUMBER} does not, {"revoke": NUMBER} takes back what was granted. Designation is the
authorization, and nobody has to be asked whether he is sure. (Stiegler et al., "Polaris", 2006; CapDesk.)
"""

from dataclasses import replace

from avm import NULL, Capability, Failed, Map, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import Passed, answer, forward

WAITING_MAX = 100
GRANTED_MAX = 10_000


@record(name="powerbox.Granted")
class Granted:
    number: int


@record(name="powerbox.Wish")
class Wish:
    want: str
    reply: Capability


@record(name="powerbox.Powerbox")
class Powerbox:
    me: Me
    waiting: Map[int, Wish] = Map()
    granted: Map[int, Capability] = Map()
    asked: int = 0


def init(message: Message, me: Me) -> Step[Powerbox]:
    return message.answer({"ask": me("ask"), "desk": me("desk")}), Powerbox(me)


def step(message: Message, state: Powerbox) -> Step[Powerbox]:
    match message.context, message.content:
        case "ask", {"want": str(want)}:
            return _wished(message, want, state)
        case Granted(number), _ if number in state.granted:
            return [forward(message, state.granted[number], state.me)], state
        case Granted(), _:
            raise Refused("revoked")
        case Passed(reply), outcome:
            return answer(reply, outcome), state
        case "desk", None:
            wishes = [{"number": n, "want": wish.want} for n, wish in state.waiting.items()]
            return message.answer(wishes), state
        case "desk", {"grant": int(number), "cap": Capability() as cap}:
            wish, state = _taken(number, state)
            if len(state.granted) >= GRANTED_MAX:
                raise Refused("too much is granted: revoke some")
            sends = [*message.answer(None), Send(wish.reply, state.me(Granted(number)), apart=True)]
            return sends, replace(state, granted=state.granted.put(number, cap))
        case "desk", {"deny": int(number)}:
            wish, state = _taken(number, state)
            denied = Send(wish.reply, Failed("refused", "denied"), apart=True)
            return [*message.answer(None), denied], state
        case "desk", {"revoke": int(number)} if number in state.granted:
            return message.answer(None), replace(state, granted=state.granted.drop(number))
    raise Refused("ask takes {want}; the desk takes null, {grant, cap}, {deny} or {revoke}")


def _wished(message: Message, want: str, state: Powerbox) -> Step[Powerbox]:
    if message.reply == NULL:
        raise Refused("ask for it: there is nobody to grant it to")
    if len(state.waiting) >= WAITING_MAX:
        raise Refused("too much is asked for already")
    number = state.asked + 1
    waiting = state.waiting.put(number, Wish(want, message.reply))
    return [], replace(state, waiting=waiting, asked=number)


def _taken(number: int, state: Powerbox) -> tuple[Wish, Powerbox]:
    wish = state.waiting.get(number)
    if wish is None:
        raise Refused("nothing of that number is asked for")
    return wish, replace(state, waiting=state.waiting.drop(number))
