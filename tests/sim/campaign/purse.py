"""The machine of the campaign: purses hand tokens on by asks, ring bells, pass replies on, and break.

A token is in one purse, or on its way in an ask whose outcome gives it back or lets it go.
"""

from dataclasses import replace

from avm import Cancel, Capability, Event, Failed, Map, Me, Message, Refused, Send, Step, record
from avm.sim.worker import Dies, Hangs

NAMES = ("go", "take", "meet", "bell", "drop", "look", "bulk", "greet", "visit")
# A body of so many bytes goes to another host in instalments.
A_LOAD_BYTES = 40_000
# So long a word to a client that has gone is kept, and a load for one that has no room.
A_WORD_S = 60.0
PADDING = "a state of some size, so that snapshots come now and then " * 4


@record
class Sent:
    token: int
    number: int


@record
class Bell:
    number: int


@record
class Purse:
    me: Me
    tokens: tuple[int, ...] = ()
    peers: tuple[Capability, ...] = ()
    heard: Map[str, int] = Map()
    asked: int = 0
    open: tuple[int, ...] = ()
    outcomes: Map[str, int] = Map()
    set: int = 0
    rung: tuple[int, ...] = ()
    kept: tuple[Capability, ...] = ()
    greeted: int = 0
    events: Map[str, int] = Map()
    padding: str = ""


def init(message: Message, me: Me) -> Step[Purse]:
    assert isinstance(message.content, tuple)
    return message.answer({name: me(name) for name in NAMES}), Purse(me, message.content)


def signal(event: Event, state: Purse) -> Step[Purse]:
    return [], replace(state, events=state.events.put(event.name, 1))


def step(message: Message, state: Purse) -> Step[Purse]:
    me = state.me
    match message.context, message.content:
        case "meet", tuple(peers):
            return [], replace(state, peers=peers)
        case "greet", None:
            return [Send(peer, "hello") for peer in state.peers], state
        case "take", "hello":
            return [], replace(state, greeted=state.greeted + 1)
        case "look", _:
            return message.answer(len(state.tokens)), state
        case (
            (("go" | "visit") as what),
            (
                str(client),
                int(number),
                int(way),
                Capability() as other,
            ),
        ):
            before = state.heard.get(client, 0)
            if number <= before:
                raise AssertionError(f"{client} said {number} after {before}: taken twice")
            state = replace(state, heard=state.heard.put(client, number))
            act = _go if what == "go" else _hand_on
            return act(message, state, way, other)
        case "take", bytes():
            return [], state
        case "take", (int(token), int(way)):
            return _take(message, state, token, way)
        case Sent(token, number), content:
            return [], _heard(state, token, number, content)
        case Bell(number), _:
            if number in state.rung:
                raise AssertionError(f"bell {number} rings twice")
            return [], replace(state, rung=(*state.rung, number))
        case "bulk", (int(fail), int(n)):
            if fail == n:
                raise ValueError("the chosen one")
            return [Send(me("drop"), n)], state
        case (("drop" | "bell"), _):
            return [], state
    raise Refused("what?")


def _heard(state: Purse, token: int, number: int, content: object) -> Purse:
    """The outcome of an ask: exactly one comes."""
    if number not in state.open:
        raise AssertionError(f"ask {number} has two outcomes")
    why = content.why if isinstance(content, Failed) else "answer"
    rest = tuple(one for one in state.open if one != number)
    outcomes = state.outcomes.put(why, state.outcomes.get(why, 0) + 1)
    state = replace(state, open=rest, outcomes=outcomes)
    if why in ("refused", "rejected", "undelivered"):
        return replace(state, tokens=(*state.tokens, token))
    return state


def _go(message: Message, state: Purse, way: int, ear: Capability) -> Step[Purse]:
    me = state.me
    match way % 16:
        case 0:
            number = state.set + 1
            bell = Send(me(Bell(number)), after_s=0.05 * (way % 40))
            return [bell, *message.answer(number)], replace(state, set=number)
        case 1:
            told = Send(ear, ("told", way), apart=True, deadline_s=A_WORD_S)
            return [told, *message.answer(0)], state
        case 2 if way % 5 == 0:
            raise ValueError("a bug")
        case 3 if way % 7 == 0:
            raise Refused("not now")
        case 4:
            replies = [Send(cap, "later") for cap in state.kept[:1]]
            return replies, replace(state, kept=(*state.kept[1:], message.reply)[-4:])
        case 5:
            return [Cancel(me(Bell(0))), *message.answer(0)], state
        case 6:
            padding = PADDING if not state.padding else ""
            return message.answer(0), replace(state, padding=padding)
        case 7 if way % 3 == 0:
            peers = state.peers[way // 16 % 2 :][:1]
            loads = [Send(peer, bytes(A_LOAD_BYTES), deadline_s=A_WORD_S) for peer in peers]
            return [*loads, *message.answer(0)], state
    if not state.peers:
        return message.answer("nothing"), state
    return _hand_on(message, state, way, state.peers[way // 16 % len(state.peers)])


def _hand_on(message: Message, state: Purse, way: int, to: Capability) -> Step[Purse]:
    """A token goes to another by an ask."""
    if not state.tokens:
        return message.answer("nothing"), state
    token = state.tokens[way % len(state.tokens)]
    rest = tuple(one for one in state.tokens if one != token)
    number = state.asked + 1
    ask = Send(
        to,
        (token, way),
        reply=state.me(Sent(token, number)),
        deadline_s=(None, 0.3, 3.0, 20.0)[way % 4],
    )
    state = replace(state, tokens=rest, asked=number, open=(*state.open, number))
    return [*message.answer(token), ask], state


def _take(message: Message, state: Purse, token: int, way: int) -> Step[Purse]:
    match way % 23:
        case 0:
            raise Refused("no room")
        case 1:
            raise KeyError("a bug")
        case 2 if way % 3 == 0:
            raise Dies
        case 3 if way % 11 == 0:
            raise Hangs
        case 4:
            answer: list[Send] = []
        case 5:
            answer = [*message.answer(1), *message.answer(2)]
        case 6:
            answer = [Send(message.reply, "slowly", after_s=0.2)]
        case _:
            answer = list(message.answer("thanks"))
    if token in state.tokens:
        raise AssertionError(f"token {token} is here already")
    return answer, replace(state, tokens=(*state.tokens, token))
