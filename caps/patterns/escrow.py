"""An escrow: two sides pay, each in its own money, and each then claims what the other paid.

    grant a=PURSE b=PURSE, an empty one of each money; params {"prices": [WHAT A PAYS, WHAT B PAYS]}
    answers {"a": CAP, "b": CAP}; to its own, a side says {"pay": PURSE}, "claim" or "cancel"

It holds a vault for each side, a purse only it knows, opened at the mint that the granted one names. A
conversation is a chain of asks: the record sealed into each `reply` is the rest of it, so nothing
of it stands in the state but that a side is paying. Money is in a purse at every moment. (The escrow
agent of Miller, Van Cutsem and Tulloh, "Distributed electronic rights in JavaScript", 2013.)
"""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record


@record(name="escrow.Opened")
class Opened:
    side: str
    payment: Capability
    answer: Capability


@record(name="escrow.Moved")
class Moved:
    side: str
    vault: Capability
    answer: Capability


@record(name="escrow.Escrow")
class Escrow:
    me: Me
    brands: Map[str, Capability]
    prices: Map[str, int]
    vaults: Map[str, Capability | None] = Map()


def init(message: Message, me: Me) -> Step[Escrow]:
    match message.content:
        case {"a": Capability() as a, "b": Capability() as b, "prices": (int(pa), int(pb))}:
            state = Escrow(me, Map({"a": a, "b": b}), Map({"a": pa, "b": pb}))
            return message.answer({"a": me("a"), "b": me("b")}), state
    raise Refused("an escrow takes a purse of each mint as a and b, and two prices")


def step(message: Message, state: Escrow) -> Step[Escrow]:
    vaults, me = state.vaults, state.me
    match message.context, message.content:
        case "a" | "b" as side, {"pay": Capability() as payment}:
            if side in vaults:
                raise Refused("paid already")
            rest = me(Opened(side, payment, message.reply))
            sends = [Send(state.brands[side], "sprout", reply=rest)]
            return sends, replace(state, vaults=vaults.put(side, None))
        case Opened(side, payment, answer), Capability() as vault:
            asked = {"amount": state.prices[side], "from": payment}
            return [Send(vault, asked, reply=me(Moved(side, vault, answer)))], state
        case Moved(side, vault, answer), int(balance) if balance >= state.prices[side]:
            return [Send(answer, "paid", apart=True)], replace(
                state, vaults=vaults.put(side, vault)
            )
        case Moved(_, vault, _) as rest, Failed("late" | "unknown" | "dropped"):
            return [Send(vault, None, reply=me(rest))], state  # only its balance tells
        case ((Opened(side, _, answer) | Moved(side, _, answer)), said):
            why = said if isinstance(said, Failed) else Failed("refused", "not paid")
            return [Send(answer, why, apart=True)], replace(state, vaults=vaults.drop(side))
        case "a" | "b" as side, "claim":
            mine, other = vaults.get(side), vaults.get("b" if side == "a" else "a")
            if mine is None or other is None:
                raise Refused("not both have paid")
            return message.answer(other), state
        case "a" | "b" as side, "cancel":
            mine = vaults.get(side)
            if mine is None or len([vault for vault in vaults.values() if vault]) == 2:
                raise Refused("nothing to give back")
            return message.answer(mine), replace(state, vaults=vaults.drop(side))
    raise Refused("a side takes {pay}, claim or cancel")
