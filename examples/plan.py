"""The plan of a house: who holds `plan` may look at it, draw rooms, and take one room along.

A room is a capability of its own: who has it sees and changes that room, and no other.
"""

from dataclasses import replace

from avm import Map, Me, Message, Refused, Step, record


@record
class Room:
    name: str


@record
class Plan:
    me: Me
    rooms: Map[str, str] = Map()


def init(message: Message, me: Me) -> Step[Plan]:
    return message.answer({"plan": me("plan")}), Plan(me)


def step(message: Message, state: Plan) -> Step[Plan]:
    match message.context, message.content:
        case "plan", None:
            return message.answer(state.rooms), state
        case "plan", {"draw": str(name), "with": str(what)}:
            return message.answer(None), replace(state, rooms=state.rooms.put(name, what))
        case "plan", {"take": str(name)} if name in state.rooms:
            return message.answer(state.me(Room(name))), state
        case Room(name), None:
            return message.answer(state.rooms[name]), state
        case Room(name), {"with": str(what)}:
            return message.answer(None), replace(state, rooms=state.rooms.put(name, what))
    raise Refused("a plan takes null, {draw, with} or {take}; a room takes null or {with}")
