"""When contacts that fell silent are tried again."""

from hypothesis import given
from hypothesis import strategies as st

from bench.dht_world import Place, World
from caps.identity import Endpoint
from dht.contact import Contact
from dht.node import Node
from dht.proofs import Kind
from dht.settings import MINUTE_MS, SECOND_MS
from dht.silences import Silences

SOON_MS, SELDOM_MS, MOST = 10 * SECOND_MS, 10 * MINUTE_MS, 8


def contact(number: int) -> Contact:
    return Contact(bytes((number,)) * 32, Endpoint(bytes((10, 0, 0, number)), 4_000))


def silences() -> Silences:
    return Silences(SOON_MS, SELDOM_MS, MOST)


def tries_s(made: Silences) -> list[tuple[int, int]]:
    """When each is tried, in seconds, until nobody is."""
    found = []
    while (now_ms := made.next_ms()) is not None:
        found += [(now_ms // SECOND_MS, one.id[0]) for one in made.due(now_ms)]
    return found


def test_t06_who_fell_silent_is_tried_soon_and_then_each_time_five_times_as_late() -> None:
    made = silences()
    made.begin(0, contact(1))
    made.begin(5 * SECOND_MS, contact(2))
    assert tries_s(made) == [(10, 1), (15, 2), (60, 1), (65, 2), (310, 1), (315, 2)]


def test_who_has_its_seat_again_is_tried_no_more() -> None:
    made = silences()
    for number in (1, 2):
        made.begin(0, contact(number))
    assert len(made.due(SOON_MS)) == 2
    made.end(contact(1))
    assert {who for _at, who in tries_s(made)} == {2}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_no_more_than_so_many_are_waited_for_and_each_is_tried_to_its_end(
    falls: list[tuple[int, int]],
) -> None:
    made, now_ms = silences(), 0
    for later_s, number in falls:
        now_ms += later_s * SECOND_MS
        made.due(now_ms)
        made.begin(now_ms, contact(number))
    tried = tries_s(made)
    assert len(tried) <= 3 * MOST
    assert [at for at, _who in tried] == sorted(at for at, _who in tried)
    assert made.next_ms() is None


def test_w18_one_of_few_that_was_silent_and_is_back_is_told_what_it_kept() -> None:
    world = World(1)
    places = [world.add() for _ in range(4)]
    world.settle()
    owner, holder = places[:2]
    world.publish_home(owner)
    world.run(SECOND_MS)
    place = Kind.LOCATION, world.home(owner).address
    assert kept(world, holder, *place)
    # It starts again where nobody hears of it, and knows nothing any more.
    world.faults.cut = lambda source, target: holder.number in (source, target)
    for _ in range(2):
        world.locate(owner, bytes(32))
        world.run(5 * SECOND_MS)
    assert holder.contact.id in node_of(owner).table.lost
    node_of(holder)._shelf._held.clear()
    world.faults.cut = lambda source, target: False
    world.run(MINUTE_MS)
    assert kept(world, holder, *place)


def kept(world: World, place: Place, kind: Kind, key: bytes) -> bool:
    """Whether a node holds a record."""
    return bool(node_of(place)._shelf.get(kind, key, world.now_ms))


def node_of(place: Place) -> Node:
    """The node there."""
    assert isinstance(place.node, Node)
    return place.node
