"""A mint: purses that hold money, which nobody can forge, copy or lose.

    answers {"issue": CAP}, which takes an amount and answers a purse of it

To a purse: null answers its balance, "sprout" an empty purse, {"amount": N, "from": PURSE} moves money into
it. The balances are the mint's state and a purse is only a capability, so a copy of it is the same purse.
Moving money asks for two purses: `me.open` tells whether the second is one of this mint's. (Miller,
Morningstar and Frantz, "Capability-based financial instruments", 2000; ERTP.)
"""

from dataclasses import replace

from avm import Capability, Map, Me, Message, Refused, Step, record

PURSES_MAX = 1_000_000


@record(name="mint.Purse")
class Purse:
    number: int


@record(name="mint.Mint")
class Mint:
    me: Me
    balances: Map[int, int] = Map()


def init(message: Message, me: Me) -> Step[Mint]:
    return message.answer({"issue": me("issue")}), Mint(me)


def step(message: Message, state: Mint) -> Step[Mint]:
    match message.context, message.content:
        case "issue", int(amount):
            return _new_purse(message, state, _positive(amount))
        case Purse(), "sprout":
            return _new_purse(message, state, 0)
        case Purse(number), None:
            return message.answer(state.balances[number]), state
        case Purse(number), {"amount": int(amount), "from": Capability() as source}:
            return _move(message, state, _positive(amount), source, number)
    raise Refused("a purse takes null, sprout or {amount, from}")


def _positive(amount: int) -> int:
    if amount <= 0 or isinstance(amount, bool):
        raise Refused("an amount is a positive number")
    return amount


def _new_purse(message: Message, state: Mint, balance: int) -> Step[Mint]:
    number = len(state.balances)
    if number >= PURSES_MAX:
        raise Refused("the mint has as many purses as it may")
    balances = state.balances.put(number, balance)
    return message.answer(state.me(Purse(number))), replace(state, balances=balances)


def _move(message: Message, state: Mint, amount: int, source: Capability, to: int) -> Step[Mint]:
    purse = state.me.open(source)
    if not isinstance(purse, Purse):
        raise Refused("not a purse of this mint")
    if state.balances[purse.number] < amount:
        raise Refused("no such money")
    balances = state.balances.put(purse.number, state.balances[purse.number] - amount)
    balances = balances.put(to, balances[to] + amount)
    return message.answer(balances[to]), replace(state, balances=balances)
