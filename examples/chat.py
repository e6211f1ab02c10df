"""A chat room: who holds `invite` makes members, who holds a member's capability speaks as them.

A member hears through an ear, a capability they hand in, which may be anything. So each ear gets a
batch of its own (`apart`): one that refuses, or is somebody else's, makes nobody else deaf.
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Send, Step, record


@record
class Member:
    name: str


@record
class Room:
    me: Me
    ears: Map[str, Capability | None] = Map()


def init(message: Message, me: Me) -> Step[Room]:
    return message.answer({"invite": me("invite")}), Room(me)


def step(message: Message, state: Room) -> Step[Room]:
    match message.context, message.content:
        case "invite", str(name):
            if name in state.ears:
                raise Refused("there is a member of this name")
            ears = state.ears.put(name, None)
            return message.answer(state.me(Member(name))), replace(state, ears=ears)
        case Member(name), _ if name not in state.ears:
            raise Refused("no longer a member")
        case Member(name), {"ear": Capability() as ear}:
            return message.answer(tuple(state.ears)), replace(state, ears=state.ears.put(name, ear))
        case Member(name), "leave":
            return message.answer(None), replace(state, ears=state.ears.drop(name))
        case Member(), "who":
            return message.answer(tuple(state.ears)), state
        case Member(name), {"say": str(text)}:
            said = {"from": name, "text": text}
            heard = [Send(ear, said, apart=True) for ear in state.ears.values() if ear is not None]
            return [*message.answer(len(heard)), *heard], state
    raise Refused("a member takes {ear}, {say}, who or leave")
