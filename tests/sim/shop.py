"""What a factory makes in the simulations: a shop with a stock, which opens at a till, or fails to."""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Send, Step, record
from avm.sim.worker import Dies, Hangs


@record(name="Shop")
class Shop:
    me: Me
    stock: int
    till: Capability | None = None


def init(message: Message, me: Me) -> Step[Shop]:
    match message.content:
        case {"stock": int(stock), "till": Capability() as till}:
            told = message.answer({"take": me("take")})
            return [*told, Send(till, ("open", stock))], Shop(me, stock, till)
        case {"stock": int(stock)}:
            return message.answer({"take": me("take")}), Shop(me, stock)
        case "dies":
            raise Dies
        case "hangs":
            raise Hangs
        case "silent":
            return [], Shop(me, 0)
        case "broken":
            raise ValueError("broken")
    raise Refused("a shop has a stock")


def step(message: Message, state: Shop) -> Step[Shop]:
    match message.context, message.content:
        case "take", int(count) if count <= state.stock:
            left = replace(state, stock=state.stock - count)
            return message.answer(left.stock), left
    raise Refused("out of stock")
