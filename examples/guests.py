"""A door with a key for each guest, who can be shown out again; what each did is counted.

Made of patterns: a key is what a caretaker's `access` is, and `forward` lets a guest hear what the one
behind the door says. `invite` is for the owner, who needs no other list of who may come in.
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Step, record
from caps.patterns.passing import Passed, answer, forward


@record
class Key:
    guest: str
    number: int


@record
class Door:
    me: Me
    behind: Capability
    keys: Map[str, int] = Map()
    uses: Map[str, int] = Map()
    cut: int = 0


def init(message: Message, me: Me) -> Step[Door]:
    match message.content:
        case {"behind": Capability() as behind}:
            return message.answer({"invite": me("owner"), "guests": me("guests")}), Door(me, behind)
    raise Refused("a door takes behind, the capability that it leads to")


def step(message: Message, state: Door) -> Step[Door]:
    match message.context, message.content:
        case "owner", {"invite": str(guest)}:
            number = state.cut + 1
            keys = state.keys.put(guest, number)
            key = state.me(Key(guest, number))
            return message.answer(key), replace(state, keys=keys, cut=number)
        case "owner", {"show out": str(guest)} if guest in state.keys:
            return message.answer(None), replace(state, keys=state.keys.drop(guest))
        case "guests", None:
            return message.answer(state.uses), state
        case Key(guest, number), _ if state.keys.get(guest) == number:
            uses = state.uses.put(guest, state.uses.get(guest, 0) + 1)
            return [forward(message, state.behind, state.me)], replace(state, uses=uses)
        case Passed(reply), outcome:
            return answer(reply, outcome), state
    raise Refused("not with this key")
