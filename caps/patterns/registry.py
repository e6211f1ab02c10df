"""A registry: who offers what, for those who were given the registry.

    answers {"admit": CAP, "find": CAP}

`admit` takes {"as": NAME} and answers a provider's capability, to which it says {"offer": WHAT, "cap": CAP,
"about": MAP, "for_s": SECONDS} (an hour if nothing is said; saying it again renews it), or {"withdraw": WHAT}.
`find` takes {"offer": WHAT, "least": N, "where": MAP, "wait": true} and answers at least N of {"by", "cap",
"about"}, at most one of each provider. In `where` a value is what `about` has to say, or {"least": X} or
{"most": X}; with "wait" the answer comes when there are as many. "by" and "about" are as good as a
signature: they are said by who holds the capability that was given out under that name, and by nobody else.
There is no other way to find anything: discovery is a capability too. (Miller 2006: only connectivity begets it.)
"""

from dataclasses import replace

from avm import NULL, Capability, Map, Me, Message, Refused, Send, Step, Value, record

PROVIDERS_MAX = 10_000
OFFERS_MAX = 10_000
WAITING_MAX = 1_000
OFFER_S = 3_600
WAIT_S = 3_600


@record(name="registry.Provider")
class Provider:
    name: str


@record(name="registry.Offer")
class Offer:
    cap: Capability
    about: Map[str, Value]
    until: float


@record(name="registry.Query")
class Query:
    offer: str
    least: int
    where: Map[str, Value]


@record(name="registry.Seeker")
class Seeker:
    query: Query
    reply: Capability
    until: float


@record(name="registry.Registry")
class Registry:
    me: Me
    providers: Map[str, bool] = Map()
    offers: Map[str, Map[str, Offer]] = Map()
    seekers: tuple[Seeker, ...] = ()


def init(message: Message, me: Me) -> Step[Registry]:
    return message.answer({"admit": me("admit"), "find": me("find")}), Registry(me)


def step(message: Message, state: Registry) -> Step[Registry]:
    match message.context, message.content:
        case "admit", {"as": str()} if len(state.providers) >= PROVIDERS_MAX:
            raise Refused("as many are admitted as may be")
        case "admit", {"as": str(name)} if name not in state.providers:
            admitted = replace(state, providers=state.providers.put(name, True))
            return message.answer(state.me(Provider(name))), admitted
        case "admit", {"as": str()}:
            raise Refused("another has that name")
        case Provider(name), {"offer": str(what), "cap": Capability() as cap}:
            return _offered(message, name, what, cap, state)
        case Provider(name), {"withdraw": str(what)}:
            left = state.offers.get(what, Map()).drop(name) if _has(name, what, state) else None
            if left is None:
                raise Refused("not offered")
            offers = state.offers.put(what, left) if left else state.offers.drop(what)
            return message.answer(None), replace(state, offers=offers)
        case "find", {"offer": str(what), **rest}:
            least, where = rest.get("least", 1), rest.get("where", Map())
            return _sought(message, _query(what, least, where), rest.get("wait") is True, state)
    raise Refused("admit takes {as}; a provider {offer, cap} or {withdraw}; find takes {offer}")


def _has(name: str, what: str, state: Registry) -> bool:
    return name in state.offers.get(what, Map())


def _query(what: str, least: Value, where: Value) -> Query:
    if isinstance(least, int) and least > 0 and isinstance(where, Map):
        return Query(what, least, where)
    raise Refused("least is a number above 0, where is a map")


def _offered(
    message: Message, name: str, what: str, cap: Capability, state: Registry
) -> Step[Registry]:
    said = message.content
    assert isinstance(said, Map)
    match said.get("about", Map()), said.get("for_s", OFFER_S):
        case Map() as about, (int() | float()) as for_s if for_s > 0:
            offer = Offer(cap, about, message.now + for_s)
        case _:
            raise Refused("about is a map, for_s a number of seconds")
    here = state.offers.get(what, Map())
    here = Map({by: one for by, one in here.items() if one.until > message.now}).put(name, offer)
    if not _has(name, what, state) and _count(state) >= OFFERS_MAX:
        state = _without_what_is_over(message.now, state)
        if _count(state) >= OFFERS_MAX:
            raise Refused("the registry is full")
    state = replace(state, offers=state.offers.put(what, here))
    sends, left = [*message.answer(None)], []
    for seeker in state.seekers:
        mine = seeker.query.offer == what and len(here) >= seeker.query.least
        found = _found(seeker.query, message.now, state) if mine else []
        if len(found) >= seeker.query.least:
            sends.append(Send(seeker.reply, found, apart=True))
        elif seeker.until > message.now:
            left.append(seeker)
    return sends, replace(state, seekers=tuple(left))


def _count(state: Registry) -> int:
    return sum(map(len, state.offers.values()))


def _without_what_is_over(now: float, state: Registry) -> Registry:
    offers: Map[str, Map[str, Offer]] = Map()
    for what, here in state.offers.items():
        left = Map({by: one for by, one in here.items() if one.until > now})
        offers = offers.put(what, left) if left else offers
    return replace(state, offers=offers)


def _sought(message: Message, query: Query, waits: bool, state: Registry) -> Step[Registry]:
    found = _found(query, message.now, state)
    if len(found) >= query.least:
        return message.answer(found), state
    if not waits or message.reply == NULL:
        raise Refused(f"{len(found)} of {query.least} are there")
    waiting = tuple(one for one in state.seekers if one.until > message.now)
    if len(waiting) >= WAITING_MAX:
        raise Refused("too many wait already")
    seeker = Seeker(query, message.reply, message.now + WAIT_S)
    return [], replace(state, seekers=(*waiting, seeker))


def _found(query: Query, now: float, state: Registry) -> list[Map[str, Value]]:
    return [
        Map({"by": by, "cap": one.cap, "about": one.about})
        for by, one in state.offers.get(query.offer, Map()).items()
        if one.until > now and all(_fits(one.about.get(k), v) for k, v in query.where.items())
    ]


def _fits(said: Value, wanted: Value) -> bool:
    match wanted:
        case {"least": (int() | float()) as least}:
            return isinstance(said, int | float) and said >= least
        case {"most": (int() | float()) as most}:
            return isinstance(said, int | float) and said <= most
    return said == wanted
