"""Facets: narrow faces of one capability, each of which lets some messages through and no others.

    grant target=CAP, params {"facets": {"reader": [null], "adder": [null, "add"]}}
    answers {"reader": CAP, "adder": CAP}

What is let through is named by words: null, a text itself, or the keys of a map, all of them. Who
holds the reader cannot add, whatever it says. (The attenuating forwarder, Miller 2006)
"""

from avm import Capability, Map, Me, Message, Refused, Step, record
from caps.patterns.passing import Passed, answer, forward


@record(name="facet.Facet")
class Facet:
    allowed: tuple[str | None, ...]


@record(name="facet.Faceted")
class Faceted:
    me: Me
    target: Capability


def init(message: Message, me: Me) -> Step[Faceted]:
    match message.content:
        case {"target": Capability() as target, "facets": Map() as facets}:
            made = {name: me(Facet(_words(allowed))) for name, allowed in facets.items()}
            return message.answer(made), Faceted(me, target)
    raise Refused("facets take target and facets, a map of names to lists of words")


def step(message: Message, state: Faceted) -> Step[Faceted]:
    match message.context, message.content:
        case Facet(allowed), said if _fits(said, allowed):
            return [forward(message, state.target, state.me)], state
        case Passed(reply), outcome:
            return answer(reply, outcome), state
    raise Refused("not through this facet")


def _words(allowed: object) -> tuple[str | None, ...]:
    if not isinstance(allowed, tuple) or not all(w is None or isinstance(w, str) for w in allowed):
        raise Refused("a facet is a list of words, or null")
    return allowed


def _fits(content: object, allowed: tuple[str | None, ...]) -> bool:
    match content:
        case None | str():
            return content in allowed
        case Map():
            return len(content) > 0 and all(isinstance(k, str) and k in allowed for k in content)
    return False
