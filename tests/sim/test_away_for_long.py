"""A host that is away for long: it is looked for more and more seldom, and found when it is back."""

import pytest

from avm.host.links import BACK_OFF_DOUBLINGS, BACK_OFF_MS, BACK_OFF_MS_MAX
from avm.sim.plan import BreakLinks, Partition
from avm.sim.world import World
from tests.sim import apple
from tests.sim.campaign.guests import sealed
from tests.sim.code import ModuleCode
from tests.sim.test_between_hosts import Pair, held

HOUR_S = 3_600.0
AT_ONCE_S = (BACK_OFF_MS << BACK_OFF_DOUBLINGS) / 1000


def away(hours: float) -> Pair:
    """What is sent to a host waits while it is away for so long."""
    pair = Pair()
    pair.net.stop(pair.there)
    pair.client.send(pair.cap("take"), (7, 1))
    pair.net.advance(hours * HOUR_S)
    return pair


def tries(pair: Pair) -> int:
    """How often it was dialed, and what lives there was sought."""
    host = pair.here.core.host
    dialed, sought = host.peers.values(), host.places.values()
    return sum(one.tries for one in dialed) + sum(one.tries for one in sought)


def test_t06_who_is_away_is_looked_for_each_few_seconds_at_first_and_seldom_after_hours() -> None:
    pair = away(0.05)
    soon = tries(pair)
    assert soon > BACK_OFF_DOUBLINGS
    pair.net.advance(24 * HOUR_S)
    late = tries(pair)
    pair.net.advance(HOUR_S)
    an_hour = HOUR_S * 1000 / BACK_OFF_MS_MAX
    assert an_hour <= tries(pair) - late <= 2 * an_hour + 1, "each time up to a half sooner"
    assert late < 1_000


def test_t06_what_waited_for_a_day_is_taken_within_minutes_of_the_hosts_return() -> None:
    pair = away(24)
    pair.net.start(pair.there)
    pair.net.advance(BACK_OFF_MS_MAX / 1000 + 1)
    assert pair.tokens() == (7,)


def test_t06_what_waited_for_minutes_is_taken_within_a_sixteenth_of_them() -> None:
    pair = away(0.5)
    pair.net.start(pair.there)
    pair.net.advance(0.5 * HOUR_S / 16 + AT_ONCE_S)
    assert pair.tokens() == (7,)


def test_t06_a_host_that_is_back_and_links_has_what_waited_for_it_at_once() -> None:
    pair = away(24)
    made = pair.here.create("other", ModuleCode(apple), ())
    pair.net.start(pair.there)
    client = pair.there.client()
    client.send(held(pair.there, client, pair.here, made.names["take"]), (8, 1))
    pair.net.advance(AT_ONCE_S + 1)
    assert pair.tokens() == (7,), "though it had been sought for a day"


@pytest.mark.parametrize("linked", [True, False])
def test_t06_a_machine_that_is_gone_from_where_the_network_has_it_is_sought_seldom(
    linked: bool,
) -> None:
    """Its record lasts for hours, and whoever goes by it, or has a channel to it, hears that nobody is there."""
    world = World(5, dht=True)
    here, there = world.add_host("ash"), world.add_host("birch")
    world.run(5.0)
    made = there.create("pouch", ModuleCode(apple), ())
    client = world.client(here)
    take = client.hold(sealed(there.core.seal(made.names["take"])))
    first = client.ask(take, (1, 1))
    world.run(5.0)
    assert client.outcomes[first] == ["thanks"]
    pouch = there.machine("pouch")
    there.ask(lambda request: there.core.change(request, pouch, "halt"))
    there.ask(lambda request: there.core.change(request, pouch, "rm"))
    if not linked:
        world.inject(BreakLinks(0, "ash", "birch"))
    before = world.counts["address sought"]
    client.ask(take, (2, 1), timeout_s=2 * HOUR_S)
    world.run(HOUR_S)
    assert 10 < world.counts["address sought"] - before < 150


def test_s10_a_node_that_knows_nobody_any_more_enters_by_the_links_of_its_host() -> None:
    world = World(5, dht=True)
    here, there = world.add_host("ash"), world.add_host("birch")
    world.run(5.0)
    client = world.client(here)
    made = there.create("pouch", ModuleCode(apple), ())
    client.ask(client.hold(sealed(there.core.seal(made.names["take"]))), (1, 1))
    world.run(5.0)
    site = world.scene.sites[0]
    node = world.scene.enter_node(site)
    assert len(here.core.host.links) == 1 and len(node.table) == 1
    for contact in list(node.table):
        node.table.remove_contact(contact)
    node.table.lost.clear()
    node.join(site.node_ms(world.scene.now_us), ())
    world.run(node.settings.lost_retry_ms / 1000 + 1)
    assert world.counts["node alone"] and len(node.table) == 1


def test_t06_halves_that_were_parted_for_seconds_find_what_was_announced_meanwhile() -> None:
    world = World(5, dht=True)
    ash, birch, *_rest = [world.add_host(name) for name in ("ash", "birch", "cedar", "dogwood")]
    world.run(5.0)
    at_ms = world.scene.now_us // 1000
    world.inject(Partition(at_ms, 5_000, ("cedar", "dogwood")))
    world.run(1.0)
    made = world.hosts[2].create("pouch", ModuleCode(apple), ())
    for host, one in ((ash, 1), (birch, 2)):
        client = world.client(host)
        take = client.hold(sealed(world.hosts[2].core.seal(made.names["take"])))
        client.ask(take, (one, 1), timeout_s=HOUR_S)
    world.run(10.0)
    nodes = [world.scene.enter_node(world.scene.sites[place]) for place in (0, 1)]
    assert all(len(node.table.lost) == 2 for node in nodes), "each half has lost the other"
    world.run(20.0)
    assert all(len(node.table) == 3 for node in nodes)
    assert world.quiet(AT_ONCE_S)
