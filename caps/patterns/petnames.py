"""Petnames: one's own names for capabilities, which nobody else can take or imitate.

    answers {"book": CAP}

{"name": TEXT, "cap": CAP} names or renames it; a text is answered by the capability of that name, {"of": CAP}
by its name or null, null by all names; {"forget": TEXT}. Of somebody new {"meet": CAP, "says": TEXT} makes a
name out of what it calls itself, another than each there is: a second Bob is "Bob 2", never "Bob". A
capability has one name at most, and a name one capability. (Stiegler, "An introduction to petname systems", 2005.)
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Step, record

NAMES_MAX = 10_000


@record(name="petnames.Book")
class Book:
    caps: Map[str, Capability] = Map()
    names: Map[Capability, str] = Map()


def init(message: Message, me: Me) -> Step[Book]:
    return message.answer({"book": me("book")}), Book()


def step(message: Message, state: Book) -> Step[Book]:
    match message.content:
        case None:
            return message.answer(list(state.caps)), state
        case str(name):
            return message.answer(_named(name, state)), state
        case {"of": Capability() as cap}:
            return message.answer(state.names.get(cap)), state
        case {"name": str(name), "cap": Capability() as cap}:
            if state.caps.get(name, cap) != cap:
                raise Refused("another has that name")
            return message.answer(None), _put(name, cap, state)
        case {"meet": Capability() as cap, "says": str(says)}:
            known = state.names.get(cap)
            if known is not None:
                return message.answer(known), state
            name = _free(says, state)
            return message.answer(name), _put(name, cap, state)
        case {"forget": str(name)}:
            return message.answer(None), _without(_named(name, state), state)
    raise Refused("a book takes null, a name, {of}, {name, cap}, {meet, says} or {forget}")


def _named(name: str, state: Book) -> Capability:
    if name not in state.caps:
        raise Refused("nobody has that name")
    return state.caps[name]


def _free(says: str, state: Book) -> str:
    plain = name = " ".join(says.split()) or "somebody"
    count = 1
    while name in state.caps:
        count += 1
        name = f"{plain} {count}"
    return name


def _put(name: str, cap: Capability, state: Book) -> Book:
    state = _without(cap, state)
    if len(state.caps) >= NAMES_MAX:
        raise Refused("the book is full")
    return replace(state, caps=state.caps.put(name, cap), names=state.names.put(cap, name))


def _without(cap: Capability, state: Book) -> Book:
    name = state.names.get(cap)
    if name is None:
        return state
    return replace(state, caps=state.caps.drop(name), names=state.names.drop(cap))
