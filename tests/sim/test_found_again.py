"""A host that starts again holds nothing of what the network had it keep: it is told again."""

import pytest

from avm.sim.plan import Crash, Nat
from avm.sim.world import World
from tests.sim import apple
from tests.sim.campaign.guests import sealed
from tests.sim.code import ModuleCode

A_MINUTE_S = 60.0


@pytest.mark.parametrize("down_s", [0.3, 5.0, 120.0])
def test_w18_what_is_behind_routers_is_found_when_the_one_holder_has_started_again(
    down_s: float,
) -> None:
    world = World(5, dht=True)
    world.add_host("ash")
    hidden = [world.add_host(name) for name in ("birch", "cedar")]
    for host in hidden:
        world.inject(Nat(0, host.name, "cone"))
    world.run(A_MINUTE_S)
    made = hidden[0].create("pouch", ModuleCode(apple), ())
    world.run(A_MINUTE_S)
    world.inject(Crash(world.scene.now_us // 1000, "ash", round(down_s * 1000)))
    world.run(down_s + A_MINUTE_S)
    client = world.client(hidden[1])
    take = client.hold(sealed(hidden[0].core.seal(made.names["take"])))
    ask = client.ask(take, (1, 1), timeout_s=A_MINUTE_S)
    world.run(A_MINUTE_S)
    assert client.outcomes[ask] == ["thanks"]
