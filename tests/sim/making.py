"""Factories of a simulated host: what they make, and who asks them."""

from dataclasses import replace
from typing import Any

from avm import Capability, Failed, Me, Message, Refused, Send, Step, record
from avm.host.making import create_factory
from avm.host.operate import Created
from avm.sim.host import SimHost
from avm.sim.worker import Dies, Hangs
from caps.patterns import maker
from tests.sim.code import ModuleCode


@record(name="Shop")
class Shop:
    me: Me
    stock: int
    till: Capability | None = None


class ShopCode:
    """What factories make here: a shop with a stock, and a till to which it tells what it sold."""

    records: dict[str, type] = {"Shop": Shop}  # noqa: RUF012
    signal = migrate = None

    @staticmethod
    def init(message: Message, me: Me) -> Step[Shop]:
        match message.content:
            case {"stock": int(stock), "till": Capability() as till}:
                told = {"take": me("take")}
                return [*message.answer(told), Send(till, ("open", stock))], Shop(me, stock, till)
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

    @staticmethod
    def step(message: Message, state: Shop) -> Step[Shop]:
        match message.context, message.content:
            case "take", int(count) if count <= state.stock:
                left = replace(state, stock=state.stock - count)
                return message.answer(left.stock), left
        raise Refused("out of stock")

    def printed(self) -> str:
        return ""


@record(name="Buyer")
class Buyer:
    me: Me
    make: Capability | None = None
    shops: tuple[Capability, ...] = ()
    told: tuple[Any, ...] = ()


class BuyerCode:
    """A machine that was granted a factory: it has shops made, and keeps what it is told of them."""

    records: dict[str, type] = {"Buyer": Buyer}  # noqa: RUF012
    signal = migrate = None

    @staticmethod
    def init(message: Message, me: Me) -> Step[Buyer]:
        return message.answer({name: me(name) for name in ("meet", "order")}), Buyer(me)

    @staticmethod
    def step(message: Message, state: Buyer) -> Step[Buyer]:
        match message.context, message.content:
            case "meet", Capability() as make:
                return [], replace(state, make=make)
            case "order", environment if state.make is not None:
                return [Send(state.make, environment, reply=state.me("made"))], state
            case "made", {"take": Capability() as take}:
                told = (*state.told, "made")
                return [Send(take, 1)], replace(state, shops=(*state.shops, take), told=told)
            case "made", Failed(why, detail):
                return [], replace(state, told=(*state.told, (why, detail)))
        raise Refused

    def printed(self) -> str:
        return ""


def factory_in(world: SimHost, at_most: int = 100, name: str = "works") -> Created:
    """A factory of shops."""
    makes = world.codes.add("shop", ShopCode(), world.entropy.bytes(8))
    bundle = world.codes.add(name, ModuleCode(maker), world.entropy.bytes(8))
    sender, entropy = world.core.host.address, world.entropy.bytes(88)
    asked = (sender, name, bundle, makes, "shop", at_most, entropy)
    made = world.ask(lambda request: world.core.do(create_factory, request, *asked))
    assert isinstance(made, Created)
    return made


def shops_of(world: SimHost) -> list[str]:
    """The shops that there are, by the store."""
    host = world.core.host
    return sorted(name for name in host.names if name.startswith("shop-"))
