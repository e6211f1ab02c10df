"""The apple test's machine: tokens that are handed on by asks, and given back when refused."""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record


@record
class Sent:
    token: int


@record
class Pouch:
    me: Me
    tokens: tuple[int, ...] = ()
    peers: tuple[Capability, ...] = ()
    heard: Map[str, int] = Map()
    asked: int = 0
    outcomes: Map[str, int] = Map()
    rings: int = 0


def init(message: Message, me: Me) -> Step[Pouch]:
    names = {name: me(name) for name in ("take", "go", "meet", "alarm", "ring", "drop", "bulk")}
    assert isinstance(message.content, tuple)
    return message.answer(names), Pouch(me, message.content)


def _count(state: Pouch, name: str) -> Pouch:
    return replace(state, outcomes=state.outcomes.put(name, state.outcomes.get(name, 0) + 1))


def step(message: Message, state: Pouch) -> Step[Pouch]:
    me = state.me
    match message.context, message.content:
        case "meet", tuple(peers):
            return [], replace(state, peers=peers)
        case "go", (str(client), int(number), int(chosen), int(way)):
            if state.heard.get(client, 0) + 1 != number:
                raise Refused(f"{number} after {state.heard.get(client, 0)}")
            state = replace(state, heard=state.heard.put(client, number))
            if not state.tokens:
                return message.answer("nothing"), state
            token = state.tokens[chosen % len(state.tokens)]
            rest = tuple(one for one in state.tokens if one != token)
            to = state.peers[chosen % len(state.peers)]
            deadline = (None, 0.5, 5)[way % 3]
            ask = Send(to, (token, way), reply=me(Sent(token)), deadline_s=deadline)
            return [*message.answer(token), ask], replace(state, tokens=rest, asked=state.asked + 1)
        case "take", (int(token), int(way)):
            if way % 5 == 0:
                raise Refused("no room")
            if way % 7 == 0:
                raise ValueError("a bug")
            answer = [] if way % 11 == 0 else message.answer("thanks")
            return answer, replace(state, tokens=(*state.tokens, token))
        case Sent(token), Failed(why, _):
            state = _count(state, why)
            if why in ("refused", "rejected", "undelivered"):
                state = replace(state, tokens=(*state.tokens, token))
            return [], state
        case Sent(_), "thanks":
            return [], _count(state, "thanks")
        case "alarm", float(after):
            return [Send(me("ring"), after_s=after)], state
        case "ring", None:
            return [], replace(state, rings=state.rings + 1)
        case "drop", _:
            return [], state
        case "bulk", (int(fail), int(n)):
            if fail == n:
                raise ValueError("the chosen one")
            return [Send(peer, ("bulk", n)) for peer in state.peers], state
    raise Refused("what?")
