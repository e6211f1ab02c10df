"""A factory of shops at a simulated host, and the shops that there are."""

from collections.abc import Mapping

from avm.host.about import NOTHING
from avm.host.making import create_factory
from avm.host.operate import Created
from avm.machine.live import Code
from avm.sim.host import SimHost
from caps.patterns import maker
from tests.sim import shop
from tests.sim.code import ModuleCode


def factory_in(
    world: SimHost,
    at_most: int = 100,
    code: Code | None = None,
    makes_of: Code | None = None,
    about: Mapping[str, str] = NOTHING,
) -> Created:
    """A factory, which is called `works`, of shops; of its own code, or the pattern's."""
    makes = world.codes.add("shop", makes_of or ModuleCode(shop), world.entropy.bytes(8))
    bundle = world.codes.add("works", code or ModuleCode(maker), world.entropy.bytes(8))
    sender, entropy = world.core.host.address, world.entropy.bytes(88)
    asked = (sender, "works", bundle, makes, "shop", at_most, entropy, about)
    made = world.ask(lambda request: world.core.do(create_factory, request, *asked))
    assert isinstance(made, Created)
    return made


def shops_of(world: SimHost) -> list[str]:
    """The names of the shops."""
    return sorted(name for name in world.core.host.names if name.startswith("shop-"))
