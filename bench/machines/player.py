"""Plays a ball back to the other player until it has been hit often enough."""

from avm import NULL, Capability, Me, Message, Refused, Send, Step, record


@record
class Player:
    me: Me
    other: Capability = NULL
    done: Capability = NULL


def init(message: Message, me: Me) -> Step[Player]:
    return message.answer({"ball": me("ball"), "meet": me("meet")}), Player(me)


def step(message: Message, state: Player) -> Step[Player]:
    match message.context, message.content:
        case "ball", int(left):
            if left > 0:
                return [Send(state.other, left - 1)], state
            return [Send(state.done, 0)], state
        case "meet", {"other": other, "done": done}:
            return [], Player(state.me, other, done)
    raise Refused
