"""An auction: who holds `bid` bids more than anybody before, who holds `close` ends it.

A bid names an ear, a capability that hears if it has won. The money changes hands elsewhere: see the
story, `stories/auction.py`, for an escrow at the price that was reached.
"""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Send, Step, record


@record
class Auction:
    best: int
    ear: Capability | None = None
    closed: bool = False


def init(message: Message, me: Me) -> Step[Auction]:
    match message.content:
        case {"least": int(least)}:
            return message.answer({"bid": me("bid"), "close": me("close")}), Auction(least - 1)
    raise Refused("an auction takes least, the first price")


def step(message: Message, state: Auction) -> Step[Auction]:
    match message.context, message.content:
        case _ if state.closed:
            raise Refused("closed")
        case "bid", {"amount": int(amount), "ear": Capability() as ear}:
            if amount <= state.best:
                raise Refused(f"bid more than {state.best}")
            return message.answer("leads"), replace(state, best=amount, ear=ear)
        case "close", None if state.ear is not None:
            won = Send(state.ear, {"won": state.best}, apart=True)
            return [*message.answer(state.best), won], replace(state, closed=True)
    raise Refused("bid takes {amount, ear}; close takes null, when somebody has bid")
