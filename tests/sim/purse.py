"""A machine that holds linear coins, gives them away, and takes back what was not taken."""

from dataclasses import replace

from avm import INSPECT, RANDOM, TIME, Failed, Linear, Me, Message, Refused, Send, Step, record
from caps.value import Capability, Value

COMMONS = {"time~": TIME, "random~": RANDOM, "inspect~": INSPECT}


@record(name="Purse")
class Purse:
    me: Me
    coins: tuple[Value, ...] = ()
    told: tuple[Value, ...] = ()


def init(message: Message, me: Me) -> Step[Purse]:
    names = ("take", "give", "double", "lose", "deny", "ask", "make")
    own = {f"own-{kind}": me(kind, kind=kind) for kind in ("linear", "affine", "relevant")}
    return message.answer({**{name: me(name) for name in names}, **own}), Purse(me)


def step(message: Message, state: Purse) -> Step[Purse]:
    match message.context, message.content:
        case "take", coin:
            return [], replace(state, coins=(*state.coins, coin))
        case "make", int(count):
            made = tuple(f"{message.id}/{number}" for number in range(count))
            return [], replace(state, coins=(*state.coins, *map(Linear, made)))
        case "give", Capability() as to if state.coins:
            coin, *rest = state.coins
            return [Send(to, coin, reply=state.me("back"))], replace(state, coins=tuple(rest))
        case "double", Capability() as to if state.coins:
            return [Send(to, state.coins[0])], state
        case "lose", _ if state.coins:
            return [], replace(state, coins=state.coins[1:])
        case "back", Failed(_, _, coin) if coin is not None:
            return [], replace(state, coins=(*state.coins, coin))
        case "ask", (str(name), asked):
            return [Send(COMMONS[name], asked, reply=state.me("told"))], state
        case "told", answer:
            return [], replace(state, told=(*state.told, answer))
    raise Refused("not today")
