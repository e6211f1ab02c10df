"""A registry: who offers what, for those who were given the registry.

    answers {"admit": CAP, "find": CAP}

`admit` takes {"as": NAME} and answers a provider's capability, to which it says {"offer": WHAT, "cap": CAP,
"about": MAP, "identity": BYTES, "for_s": SECONDS} (an hour if nothing is said; saying it again renews it), or
{"withdraw": WHAT}. `find` takes {"offer": WHAT, "least": N, "where": MAP, "signed": MAP, "wait": true} and
answers at least N of {"by", "cap", "about", "signed", "identity"}, at most one of each provider. In `where` a
value is what `about` has to say, or {"least": X} or {"most": X}; with "wait" the answer comes when there are
as many. "by" and "about" are as good as a signature: they are said by who holds the capability that was given
out under that name, and by nobody else. What is linear, affine or relevant is refused, in an offer and in a
query: what is said here is kept, told to many and forgotten.

What a machine's identity says is bound to its address, which each capability to it carries. An "identity", as
`inspect~` tells it where the machine is, is held against the address of CAP by the registry's own host before
the offer is listed; one that does not fit is refused. "signed" is what it says, else null; who does not trust
the registry asks `inspect~` {"cap", "identity"} itself. It is about the machine that CAP leads to: also where
that is somebody else's, or only stands before what is offered. It is text. In the "signed" of a query a value
is the text that is to be said, or {"least": X} or {"most": X} of a text that is a decimal number like -12 or
0.5: whole ones are compared exactly, others as floats, and other text is neither.
There is no other way to find anything: discovery is a capability too. (Miller 2006: only connectivity begets it.)
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from avm import (
    INSPECT,
    NULL,
    Capability,
    Failed,
    Map,
    Me,
    Message,
    Refused,
    Send,
    Step,
    Value,
    record,
)

PROVIDERS_MAX = 10_000
OFFERS_MAX = 10_000
WAITING_MAX = 1_000
CHECKS_MAX = 1_000
OFFER_S = 3_600
WAIT_S = 3_600
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@record(name="registry.Provider")
class Provider:
    name: str


@record(name="registry.Offer")
class Offer:
    cap: Capability
    about: Map[str, Value]
    until: float
    signed: Map[str, Value] | None = None
    identity: bytes | None = None


@record(name="registry.Check")
class Check:
    """An offer that is not listed before its identity is held against its capability."""

    provider: str
    what: str
    offer: Offer
    reply: Capability


@record(name="registry.Checked")
class Checked:
    """The context of an ask to `inspect~`: which check it is."""

    number: str


@record(name="registry.Query")
class Query:
    offer: str
    least: int
    where: Map[str, Value]
    signed: Map[str, Value] = Map()


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
    checks: Map[str, Check] = Map()


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
            sends, after = _without_check(name, what, state)
            left = state.offers.get(what, Map()).drop(name) if _has(name, what, state) else None
            if left is None and after is state:
                raise Refused("not offered")
            if left is not None:
                offers = state.offers.put(what, left) if left else state.offers.drop(what)
                after = replace(after, offers=offers)
            return [*sends, *message.answer(None)], after
        case Checked(number), outcome:
            return _checked(message.now, number, outcome, state)
        case "find", {"offer": str(what), **rest}:
            return _sought(message, _query(what, rest), rest.get("wait") is True, state)
    raise Refused("admit takes {as}; a provider {offer, cap} or {withdraw}; find takes {offer}")


def _has(name: str, what: str, state: Registry) -> bool:
    return name in state.offers.get(what, Map())


def _query(what: str, said: Mapping[object, Value]) -> Query:
    match said.get("least", 1), said.get("where", Map()), said.get("signed", Map()):
        case int(least), Map() as where, Map() as signed if least > 0:
            if all(_is_wanted(one) for one in signed.values()):
                return Query(what, least, where, signed)
            raise Refused("in signed a value is a text, {least} or {most}")
    raise Refused("least is a number above 0, where and signed are maps")


def _is_wanted(value: Value) -> bool:
    match value:
        case str() | {"least": int() | float()} | {"most": int() | float()}:
            return True
    return False


def _refuse_kinds(message: Message, me: Me) -> None:
    """What was kept would fail the turns of others: each that tells it again, or forgets it."""
    try:
        me.within((message.content, message.reply))
    except ValueError:
        raise Refused("nothing linear, affine or relevant is taken here") from None


def _offered(
    message: Message, name: str, what: str, cap: Capability, state: Registry
) -> Step[Registry]:
    _refuse_kinds(message, state.me)
    said = message.content
    assert isinstance(said, Map)
    match said.get("about", Map()), said.get("for_s", OFFER_S), said.get("identity"):
        case Map() as about, (int() | float()) as for_s, (None | bytes()) as identity if for_s > 0:
            offer = Offer(cap, about, message.now + for_s, None, identity)
        case _:
            raise Refused("about is a map, for_s a number of seconds, identity bytes")
    sends, state = _without_check(name, what, state)
    if not _has(name, what, state) and _count(state) >= OFFERS_MAX:
        state = _without_what_is_over(message.now, state)
        if _count(state) >= OFFERS_MAX:
            raise Refused("the registry is full")
    if identity is None:
        found, state = _listed(message.now, name, what, offer, state)
        return [*sends, *message.answer(None), *found], state
    if len(state.checks) >= CHECKS_MAX:
        raise Refused("too many are checked already")
    check = Check(name, what, offer, message.reply)
    ask = {"cap": cap, "identity": identity}
    sends.append(Send(INSPECT, ask, reply=state.me(Checked(message.id)), apart=True))
    return sends, replace(state, checks=state.checks.put(message.id, check))


def _checked(now: float, number: str, outcome: Value, state: Registry) -> Step[Registry]:
    """What `inspect~` said of an offer: it is listed, or its provider hears why not."""
    check = state.checks.get(number)
    if check is None:
        return [], state
    state = replace(state, checks=state.checks.drop(number))
    match outcome:
        case {"about": Map() as signed}:
            offer = replace(check.offer, signed=signed)
            found, state = _listed(now, check.provider, check.what, offer, state)
            return [Send(check.reply, None, apart=True), *found], state
        case Failed("refused", word):
            return [Send(check.reply, Failed("refused", word), apart=True)], state
    no = Failed("refused", "its identity cannot be checked now")
    return [Send(check.reply, no, apart=True)], state


def _without_check(name: str, what: str, state: Registry) -> tuple[list[Send], Registry]:
    """The last word of a provider counts: what is being checked still is not listed any more."""
    for number, check in state.checks.items():
        if check.provider == name and check.what == what:
            no = Failed("refused", "something else was said of it since")
            left = replace(state, checks=state.checks.drop(number))
            return [Send(check.reply, no, apart=True)], left
    return [], state


def _listed(
    now: float, name: str, what: str, offer: Offer, state: Registry
) -> tuple[list[Send], Registry]:
    """Lists an offer; who waits for it is answered."""
    here = state.offers.get(what, Map())
    here = Map({by: one for by, one in here.items() if one.until > now}).put(name, offer)
    state = replace(state, offers=state.offers.put(what, here))
    sends, left = [], []
    for seeker in state.seekers:
        mine = seeker.query.offer == what and len(here) >= seeker.query.least
        found = _found(seeker.query, now, state) if mine else []
        if len(found) >= seeker.query.least:
            sends.append(Send(seeker.reply, found, apart=True))
        elif seeker.until > now:
            left.append(seeker)
    return sends, replace(state, seekers=tuple(left))


def _count(state: Registry) -> int:
    """How many are listed, and will be when they are checked."""
    return sum(map(len, state.offers.values())) + len(state.checks)


def _without_what_is_over(now: float, state: Registry) -> Registry:
    offers: Map[str, Map[str, Offer]] = Map()
    for what, here in state.offers.items():
        left = Map({by: one for by, one in here.items() if one.until > now})
        offers = offers.put(what, left) if left else offers
    return replace(state, offers=offers)


def _sought(message: Message, query: Query, waits: bool, state: Registry) -> Step[Registry]:
    _refuse_kinds(message, state.me)
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
        _shown(by, one)
        for by, one in state.offers.get(query.offer, Map()).items()
        if one.until > now and _is_sought(query, one)
    ]


def _shown(by: str, one: Offer) -> Map[str, Value]:
    said = {"by": by, "cap": one.cap, "about": one.about}
    return Map({**said, "signed": one.signed, "identity": one.identity})


def _is_sought(query: Query, offer: Offer) -> bool:
    said, signed = offer.about, offer.signed or Map()
    return all(_fits(said.get(k), v) for k, v in query.where.items()) and all(
        _fits(_read(signed.get(k), v), v) for k, v in query.signed.items()
    )


def _read(text: Value, wanted: Value) -> Value:
    """A signed text as it is compared: a number where one is wanted, and it is written as one."""
    if isinstance(wanted, str) or not isinstance(text, str) or not DECIMAL.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _fits(said: Value, wanted: Value) -> bool:
    match wanted:
        case {"least": (int() | float()) as least}:
            return isinstance(said, int | float) and said >= least
        case {"most": (int() | float()) as most}:
            return isinstance(said, int | float) and said <= most
    return said == wanted
