"""A host that is run without a network for a while: what goes to other hosts waits, and no number is lost."""

from avm.sim.host import SimHost
from tests.sim import apple
from tests.sim.code import ModuleCode, replayed
from tests.sim.orchard import sealed
from tests.sim.test_moving import Town


def alone(town: Town, world: SimHost) -> None:
    """The host starts again, without a network."""
    town.net.stop(world)
    world.network = None
    world.crash()


def among_others(town: Town, world: SimHost) -> None:
    """It starts again, with one."""
    world.network = town.net._effect
    town.net.start(world)


def test_w05_a_machine_goes_on_counting_where_it_was_when_the_network_is_back() -> None:
    town = Town()
    far = town.far
    made = far.create("giver", ModuleCode(apple), (5, 6, 7))
    client = town.clients[far]
    go = client.hold(sealed(far.core.seal(made.names["go"])))
    meet = client.hold(sealed(far.core.seal(made.names["meet"])))
    client.send(meet, (client.hold(sealed(town.wires["other"]["take"])),))
    client.send(go, ("0", 1, 0, 0))
    town.net.settle()
    alone(town, far)
    client.send(go, ("0", 2, 0, 3))
    far.settle()
    assert len(far.machine("giver").asks or {}) == 1, "it waits"
    among_others(town, far)
    client.send(go, ("0", 3, 0, 3))
    town.net.advance(90)
    assert not town.net.frozen
    assert replayed(town.here, "other").tokens == (6, 7)
    assert dict(replayed(far, "giver").outcomes.items()) == {"refused": 1, "thanks": 2}


def test_w05_what_a_client_sends_where_it_has_sent_before_waits_for_the_network() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    alone(town, town.far)
    town.give(town.far, 2)
    town.far.settle()
    among_others(town, town.far)
    town.give(town.far, 3)
    town.net.advance(90)
    assert not town.net.frozen and town.tokens() == (1, 2, 3)


def test_what_goes_nowhere_without_a_network_has_taken_no_number_of_another_host() -> None:
    town = Town()
    client = town.clients[town.far]
    alone(town, town.far)
    town.give(town.far, 2)
    town.far.settle()
    assert client.verdicts[-1][1][0] == "undelivered"
    among_others(town, town.far)
    town.give(town.far, 3)
    town.net.advance(90)
    assert not town.net.frozen and replayed(town.here, "pouch").tokens == (3,)


def test_w05_what_is_sent_to_a_machine_on_its_way_waits_though_its_old_host_has_no_network() -> (
    None
):
    town = Town()
    town.begin()
    address = sealed(town.wires["pouch"]["take"]).address
    while address not in town.here.core.host.moves.leaving or town.here.core.host.group:
        assert town.net.step()
    alone(town, town.here)
    town.give(town.here, 1)
    town.here.settle()
    town.net.settle()
    among_others(town, town.here)
    town.net.advance(90)
    assert town.home() is town.there and town.tokens() == (1,)
