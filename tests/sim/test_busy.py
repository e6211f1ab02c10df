"""Who meets a receiver that has no room leaves it alone for longer each time, and loses nothing."""

from dataclasses import replace

from avm.host import acquaintance, channel
from avm.host.state import Status
from avm.limits import Limits
from avm.sim.client import BUSY_MS_MAX, FOR_A_VERDICT
from avm.sim.events import ClientHeard, Said
from avm.sim.invariants import OFFER
from avm.sim.plan import SlowWorker
from avm.sim.world import World
from tests.sim import apple
from tests.sim.code import ModuleCode
from tests.sim.grove import Diary
from tests.sim.test_between_hosts import Pair, held

WAITS = 40
# At 100 ms each it would be 600.
A_MINUTE_OF_OFFERS = 60
HOURS = 10
# And at 1.6 s each this many in ten hours.
OFFERS_AT_ONE_PACE = 22_500


def crowded(hosts: int) -> tuple[World, Diary]:
    """A suspended pouch with room for one batch, and a client of the last host with more to say."""
    world = World(1, limits=replace(Limits(), inbox_batches=1, flights_machine=1), dht=False)
    homes = [world.add_host(f"h{n}") for n in range(hosts)]
    take = world.outside(homes[0], homes[0].create("pouch", ModuleCode(apple), ()).names["take"])
    homes[0].suspend("pouch")
    for one in homes[1:]:
        address = one.core.host.address
        homes[0].ask(lambda r, to=address: acquaintance.trust(homes[0].core.host, r, to))  # type: ignore[misc]
    if hosts > 1:  # somebody beside it has the room
        world.client(homes[0]).send(take, (WAITS, 1))
        world.run(1)
    client = world.client(homes[-1])
    for token in range(WAITS):
        client.send(take, (token, 1))
    diary = Diary(ClientHeard, Said)
    world.watch(diary)
    return world, diary


def all_taken(world: World) -> bool:
    if world.host("h0").machine("pouch").status is Status.SUSPENDED:
        world.host("h0").resume("pouch")
    assert world.quiet(120)
    home = world.host("h0")
    machine = home.machine("pouch")
    assert machine.worker is not None
    tokens = home.workers[machine.worker.id].inside.state_of(machine.id).tokens
    return bool([one for one in tokens if one < WAITS] == list(range(WAITS)))


def test_s05_a_host_offers_to_a_crowded_receiver_ever_less_often() -> None:
    world, diary = crowded(2)
    world.run(10)
    diary.events.clear()
    world.run(60)
    offers = [one for _, one in diary.events if isinstance(one, Said) and one.frame[:2] == OFFER]
    assert 10 <= len(offers) <= A_MINUTE_OF_OFFERS
    assert all_taken(world)


def test_s05_a_host_offers_seldom_to_a_receiver_that_is_crowded_for_hours() -> None:
    world, diary = crowded(2)
    world.run(HOURS * 3_600)
    offers = [one for _, one in diary.events if isinstance(one, Said) and one.frame[:2] == OFFER]
    assert HOURS * 200 <= len(offers) <= OFFERS_AT_ONE_PACE // 4
    assert all_taken(world)


def test_s05_of_a_large_batch_nothing_is_kept_where_nobody_has_room_for_it() -> None:
    pair = Pair(limits=replace(Limits(), inbox_batches=1))
    pair.client.send(pair.cap("take"), (0, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    (link,) = pair.there.core.host.links.values()
    kept: list[int] = []
    frame = pair.there.core.frame

    def watch(number: int, body: bytes) -> None:
        frame(number, body)
        if isinstance(channel.unpack_frame_untrusted(body), channel.Offer | channel.Part):
            kept.append(link.partial_bytes)

    pair.there.core.frame = watch  # type: ignore[method-assign]
    other = pair.here.client()
    drop = held(pair.here, other, pair.there, pair.made.names["drop"])
    other.send(drop, *["x" * 200_000] * 5)
    pair.net.advance(10)
    assert kept and not any(kept)
    pair.there.resume("pouch")
    pair.net.advance(20)
    assert any(kept) and not pair.here.core.host.outbox
    assert pair.tokens() == (0, 1)


def test_a_simulated_client_offers_to_a_crowded_machine_one_batch_and_ever_less_often() -> None:
    world, diary = crowded(1)
    world.run(10)
    diary.events.clear()
    world.run(60)
    told = [one.verdict[0] for _, one in diary.events if isinstance(one, ClientHeard)]
    assert set(told) == {"busy"} and 60_000 // BUSY_MS_MAX - 2 <= len(told) <= 40
    assert all_taken(world)


def test_a_simulated_client_offers_no_more_for_a_verdict_than_it_may() -> None:
    world, diary = crowded(1)
    world.run(10)
    diary.events.clear()
    world.inject(SlowWorker(0, 60_000, "h0", 300))
    world.host("h0").resume("pouch")
    world.run(50)
    assert all_taken(world)
    told = [one.verdict[0] for _, one in diary.events if isinstance(one, ClientHeard)]
    assert told.count("applied") == WAITS
    assert len(told) <= WAITS * (1 + FOR_A_VERDICT)
