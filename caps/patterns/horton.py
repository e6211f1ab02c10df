"""Horton: it is known who asks whom for what, and each answers for what it asks itself.

    params {"name": TEXT}
    answers {"who": CAP, for everybody, "desk": CAP, for the party whose machine this is}

Each party has such a machine, and holds others only by proxies that are made in its own. At the desk:

    {"offer": CAP, "to": WHO}          answers a parcel that only WHO can open: access to CAP, on WHO's account
    {"accept": PARCEL, "from": WHO}    answers a proxy, which leads there; WHO is to blame for what is there
    "log"                              answers who has asked for what how often: {"who", "for", "asks"}
    {"block": WHO}                     nothing that was given to WHO works any more

What is sent to a proxy goes where it leads to. Of a proxy in it the receiver has one of its own, on its own
account: so blocking one leaves the others, though they were introduced by it. Other capabilities do not
cross, and none do in answers. `who` answers null by the name that its party gives itself.

(Miller, Donnelley and Karp, "Delegating responsibility in digital systems: Horton's 'who done it?'", 2007. Where
a gift is unwrapped there by a provider and a fill, here its maker is asked whether it made it.)
"""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, Value, record
from caps.patterns.passing import NOTHING_HAPPENED, Passed, answer, forward
from caps.patterns.walking import capabilities_in, replaced

TABLE_MAX = 10_000
TALKS_MAX = 1_000

Pair = tuple[Capability, Capability]


@record(name="horton.Parcel")
class Parcel:
    """A stub of another's machine, sealed for this one."""

    stub: Capability


@record(name="horton.Stub")
class Stub:
    """Access that was given to somebody."""

    number: int


@record(name="horton.Proxy")
class Proxy:
    """Access that was had from somebody."""

    number: int


@record(name="horton.Rest")
class Rest:
    """A talk under way, of which another capability has been asked for."""

    number: int


@record(name="horton.Inner")
class Inner:
    """An answer from this party's side, which is to go out: where to."""

    reply: Capability


@record(name="horton.Talk")
class Talk:
    """What is said to `to`, as soon as each of `left` has got something in its place.

    `whom` is who hears it, if it goes out. `makers` says of a parcel that came in who is to have made it.
    """

    content: Value
    to: Capability
    reply: Capability
    left: tuple[Capability, ...]
    whom: Capability | None = None
    makers: Map[Capability, Capability] = Map()
    placed: Map[Capability, Value] = Map()


@record(name="horton.Horton")
class Horton:
    """`given` is whom a stub was given to and for what, `had` where a proxy leads and who is behind it."""

    me: Me
    name: str
    given: Map[int, Pair] = Map()
    had: Map[int, Pair] = Map()
    numbers: Map[tuple[bool, Pair], int] = Map()
    talks: Map[int, Talk] = Map()
    asks: Map[Pair, int] = Map()
    blocked: Map[Capability, bool] = Map()
    made: int = 0
    begun: int = 0


def init(message: Message, me: Me) -> Step[Horton]:
    match message.content:
        case {"name": str(name)}:
            return message.answer({"who": me("who"), "desk": me("desk")}), Horton(me, name)
    raise Refused("a party has a name")


def step(message: Message, state: Horton) -> Step[Horton]:
    match message.context:
        case "who":
            return _who(message, state), state
        case "desk":
            return _desk(message, state)
        case Stub(number):
            return _stub(message, *state.given[number], state)
        case Proxy(number):
            return _proxy(message, *state.had[number], state)
        case Rest(number) if number in state.talks:
            return _rest(message, number, state.talks[number], state)
        case Passed(reply):
            return answer(reply, message.content), state
        case Inner(reply):
            said = message.content
            if capabilities_in(said):
                said = Failed("refused", "an answer carries no capabilities")
            return answer(reply, said), state
    raise Refused


def _who(message: Message, state: Horton) -> list[Send]:
    match message.content:
        case None:
            return message.answer(state.name)
        case {"seal": Capability() as stub}:
            return message.answer(state.me(Parcel(stub)))
        case {"made": Capability() as stub, "for": Capability() as whom}:
            match state.me.open(stub):
                case Stub(number) if state.given[number][0] == whom:
                    return message.answer(True)
            raise Refused("another made it")
    raise Refused("who takes null, {seal} or {made, for}")


def _desk(message: Message, state: Horton) -> Step[Horton]:
    match message.content:
        case {"offer": Capability() as cap, "to": Capability() as whom}:
            return _given(message, whom, cap, state)
        case {"accept": Capability() as parcel, "from": Capability() as maker}:
            talk = Talk(parcel, parcel, message.reply, (parcel,), None, Map({parcel: maker}))
            return _begun(talk, state)
        case "log":
            rows = [{"who": who, "for": cap, "asks": n} for (who, cap), n in state.asks.items()]
            return message.answer(rows), state
        case {"block": Capability() as whom}:
            return message.answer(None), replace(state, blocked=state.blocked.put(whom, True))
    raise Refused("the desk takes {offer, to}, {accept, from}, log or {block}")


def _given(message: Message, whom: Capability, cap: Capability, state: Horton) -> Step[Horton]:
    """Access for somebody, sealed by whom it is for, is the answer."""
    number, state = _number((whom, cap), False, state)
    return [forward(message, whom, state.me, {"seal": state.me(Stub(number))})], state


def _number(pair: Pair, had: bool, state: Horton) -> tuple[int, Horton]:
    """The number of what is given, or had; the same for the same."""
    known = state.numbers.get((had, pair))
    if known is not None:
        return known, state
    if state.made >= TABLE_MAX:
        raise Refused("too much is given and had")
    number = state.made
    state = replace(state, made=number + 1, numbers=state.numbers.put((had, pair), number))
    if had:
        return number, replace(state, had=state.had.put(number, pair))
    return number, replace(state, given=state.given.put(number, pair))


def _stub(message: Message, who: Capability, cap: Capability, state: Horton) -> Step[Horton]:
    """Somebody to whom access was given uses it, or gives it on."""
    if who in state.blocked:
        raise Refused("blocked")
    asks = state.asks.get((who, cap), 0) + 1
    state = replace(state, asks=state.asks.put((who, cap), asks))
    match message.content:
        case {"introduce": Capability() as whom}:
            return _given(message, whom, cap, state)
        case {"say": said, "made": tuple(pairs)}:
            makers, left = _makers(pairs), capabilities_in(said)
            if any(parcel not in makers for parcel in left):
                raise Refused("only parcels cross")
            return _begun(Talk(said, cap, message.reply, left, None, makers), state)
    raise Refused


def _makers(pairs: tuple[Value, ...]) -> Map[Capability, Capability]:
    """Who is said to have made each parcel."""
    makers: Map[Capability, Capability] = Map()
    for pair in pairs:
        match pair:
            case (Capability() as parcel, Capability() as maker):
                makers = makers.put(parcel, maker)
            case _:
                raise Refused("made takes pairs of a parcel and its maker")
    return makers


def _proxy(message: Message, stub: Capability, maker: Capability, state: Horton) -> Step[Horton]:
    """The party itself uses what it was given."""
    left = capabilities_in(message.content)
    if not all(isinstance(state.me.open(cap), Proxy) for cap in left):
        raise Refused("only proxies cross")
    return _begun(Talk(message.content, stub, message.reply, left, maker), state)


# A talk: each capability in it is asked for, and then it is said.


def _begun(talk: Talk, state: Horton) -> Step[Horton]:
    if len(state.talks) >= TALKS_MAX:
        raise Refused("too much is under way")
    number, state = state.begun, replace(state, begun=state.begun + 1)
    return _gone_on(number, talk, state)


def _gone_on(number: int, talk: Talk, state: Horton) -> Step[Horton]:
    if not talk.left:
        talks = state.talks.drop(number) if number in state.talks else state.talks
        return _said(talk, replace(state, talks=talks))
    cap, rest = talk.left[0], state.me(Rest(number))
    match state.me.open(cap):
        case Proxy(place) if talk.whom is not None:
            ask = Send(state.had[place][0], {"introduce": talk.whom}, reply=rest)
        case Parcel(stub) if talk.whom is None:
            made = {"made": stub, "for": state.me("who")}
            ask = Send(talk.makers[cap], made, reply=rest)
        case _:
            raise Refused("not a parcel for this party")
    return [ask], replace(state, talks=state.talks.put(number, talk))


def _rest(message: Message, number: int, talk: Talk, state: Horton) -> Step[Horton]:
    cap = talk.left[0]
    match message.content, state.me.open(cap):
        case Capability() as parcel, Proxy():
            placed: Value = parcel
        case True, Parcel(stub):
            place, state = _number((stub, talk.makers[cap]), True, state)
            placed = state.me(Proxy(place))
        case said, _:
            why = said if isinstance(said, Failed) else Failed(NOTHING_HAPPENED[0], "not confirmed")
            return answer(talk.reply, why), replace(state, talks=state.talks.drop(number))
    talk = replace(talk, left=talk.left[1:], placed=talk.placed.put(cap, placed))
    return _gone_on(number, talk, state)


def _said(talk: Talk, state: Horton) -> Step[Horton]:
    content = replaced(talk.content, talk.placed)
    if talk.to == talk.content:
        return [Send(talk.reply, content)], state
    if talk.whom is None:
        return [Send(talk.to, content, reply=state.me(Inner(talk.reply)))], state
    makers = []
    for cap, parcel in talk.placed.items():
        proxy = state.me.open(cap)
        assert isinstance(proxy, Proxy)
        makers.append((parcel, state.had[proxy.number][1]))
    said = {"say": content, "made": makers}
    return [Send(talk.to, said, reply=state.me(Passed(talk.reply)))], state
