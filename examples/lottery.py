"""A lottery that nobody steers: the players' own numbers choose the winner, all of them together.

    grant unseal=CAP, of the pair that the players seal their numbers with
    answers {"play": CAP, "close": CAP, "winner": CAP}

Nobody can look at another's number and choose his own by it: until it is closed, all are in boxes. Each
box is opened in a batch of its own (`apart`), so that one that cannot be opened spoils no other.
"""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record


@record
class Opened:
    player: str


@record
class Lottery:
    me: Me
    unseal: Capability
    boxes: Map[str, Capability] = Map()
    numbers: Map[str, int] = Map()
    closed: bool = False


def init(message: Message, me: Me) -> Step[Lottery]:
    match message.content:
        case {"unseal": Capability() as unseal}:
            names = ("play", "close", "winner")
            return message.answer({name: me(name) for name in names}), Lottery(me, unseal)
    raise Refused("a lottery takes unseal")


def step(message: Message, state: Lottery) -> Step[Lottery]:
    match message.context, message.content:
        case "play" | "close", _ if state.closed:
            raise Refused("closed")
        case "play", {"name": str(name), "box": Capability() as box} if name not in state.boxes:
            boxes = state.boxes.put(name, box)
            return message.answer(len(boxes)), replace(state, boxes=boxes)
        case "close", None if state.boxes:
            asks = [_opening(name, state) for name in state.boxes]
            return [*message.answer(None), *asks], replace(state, closed=True)
        case Opened(name), int(number):
            return [], replace(state, numbers=state.numbers.put(name, number))
        case Opened(name), Failed("late" | "unknown"):
            return [_opening(name, state)], state
        case Opened(name), _:  # What is no number, or in no box of this pair, counts as 0.
            return [], replace(state, numbers=state.numbers.put(name, 0))
        case "winner", None if state.closed and len(state.numbers) == len(state.boxes):
            players = sorted(state.boxes)
            return message.answer(players[sum(state.numbers.values()) % len(players)]), state
        case "winner", None:
            raise Refused("not drawn yet")
    raise Refused("play takes {name, box}, once for each name; close and winner take null")


def _opening(player: str, state: Lottery) -> Send:
    return Send(state.unseal, state.boxes[player], reply=state.me(Opened(player)), apart=True)
