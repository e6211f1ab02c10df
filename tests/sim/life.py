"""The machine of the random lives: it asks, answers now or later, passes asks on, rings, breaks."""

from dataclasses import replace

from avm import Cancel, Capability, Event, Failed, Map, Me, Message, Refused, Send, Step, record
from avm.sim.worker import Dies, Hangs

NAMES = "do take meet bell drop"


@record
class Asked:
    number: int


@record
class Life:
    me: Me
    peers: tuple[Capability, ...] = ()
    kept: tuple[Capability, ...] = ()
    asked: int = 0
    outcomes: Map[int, str] = Map()
    rings: int = 0
    seen: Map[str, int] = Map()
    events: int = 0


def init(message: Message, me: Me) -> Step[Life]:
    return message.answer({name: me(name) for name in NAMES.split()}), Life(me)


def signal(event: Event, state: Life) -> Step[Life]:
    return [], replace(state, events=state.events + 1)


def step(message: Message, state: Life) -> Step[Life]:
    me = state.me
    match message.context, message.content:
        case "meet", tuple(peers):
            return [], replace(state, peers=peers)
        case "do", (str(client), int(number), int(way), Capability() as ear):
            before = state.seen.get(client, 0)
            if number <= before:
                raise Refused(f"{number} after {before}: taken twice")
            return _do(message, replace(state, seen=state.seen.put(client, number)), way, ear)
        case "take", int(way):
            return _take(message, state, way)
        case "bell", _:
            sends = [Send(peer, 1, reply=me("drop")) for peer in state.peers[:1]]
            return sends, replace(state, rings=state.rings + 1)
        case "drop", _:
            return [], state
        case Asked(number), content:
            if number in state.outcomes:
                raise AssertionError("an ask has two outcomes")
            why = content.why if isinstance(content, Failed) else "answer"
            return [], replace(state, outcomes=state.outcomes.put(number, why))
    raise Refused("what?")


def _do(message: Message, state: Life, way: int, ear: Capability) -> Step[Life]:
    me = state.me
    peer = state.peers[way % len(state.peers)] if state.peers else me("take")
    match way % 12:
        case 0:
            return [Send(me("bell"), after_s=0.2 * (way % 7))], state
        case 1:
            return [Cancel(me("bell"))], state
        case 2:
            kept, rest = state.kept[:1], state.kept[1:]
            return [Send(cap, "later") for cap in kept], replace(state, kept=rest)
        case 3:
            return message.answer(me(("purse", way % 3))), state
        case 4:
            return [Send(ear, "told", apart=True)], state
        case 5 if way % 5 == 0:
            raise ValueError("a bug")
    deadline = (None, 0.3, 3.0)[way % 3]
    number = state.asked
    ask = Send(peer, way // 12, reply=me(Asked(number)), deadline_s=deadline)
    return [*message.answer(number), ask], replace(state, asked=number + 1)


def _take(message: Message, state: Life, way: int) -> Step[Life]:
    peer = state.peers[way % len(state.peers)] if state.peers else state.me("drop")
    match way % 16:
        case 0:
            raise Refused("no room")
        case 1:
            raise KeyError("a bug")
        case 2:
            return [], state
        case 3:
            return [], replace(state, kept=(*state.kept, message.reply)[-5:])
        case 4:
            return [Send(peer, way // 16, reply=message.reply)], state
        case 5:
            return [Send(peer, way // 16, reply=message.reply)], replace(
                state, rings=state.rings + 1
            )
        case 6 if way % 5 == 0:
            raise Hangs
        case 7 if way % 5 == 0:
            raise Dies
        case 8:
            return message.answer(Failed("late", "an imitation")), state
        case 9:
            return [*message.answer(1), *message.answer(2)], state
        case 10:
            return [Send(message.reply, "x", after_s=0.5)], replace(state, rings=state.rings + 1)
        case 11:
            return [], replace(state, kept=())
    return message.answer("thanks"), replace(state, rings=state.rings + 1)
