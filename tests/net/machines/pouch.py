"""Holds coins that are linear, and loses one when it is told to."""

from dataclasses import replace

from avm import TIME, Linear, Me, Message, Send, Step, Value, record


@record
class Pouch:
    me: Me
    coins: tuple[Value, ...] = ()


def init(message: Message, me: Me) -> Step[Pouch]:
    return message.answer({name: me(name) for name in ("make", "lose", "when")}), Pouch(me)


def step(message: Message, state: Pouch) -> Step[Pouch]:
    match message.context:
        case "make":
            coins = (*state.coins, Linear(message.content))
            return message.answer(len(coins)), replace(state, coins=coins)
        case "when":
            return [Send(TIME, reply=message.reply)], state
    return message.answer(None), replace(state, coins=state.coins[1:])
