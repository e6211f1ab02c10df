"""A host with very many machines announces them: how fast, and what that costs on the wire.

The host begins with its network known and all its machines to be announced, as after a restart; then
each record is put again once an hour. Datagrams are counted at the host, both ways, second by second.
"""

from collections import Counter
from collections.abc import Iterator

from bench.dht_world import START_MS, Place, World
from bench.figures import Figure
from caps.certificate import Terms, issue
from caps.identity import RootKey
from dht.effects import Published, Send
from dht.node import Node
from dht.settings import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Settings

NODES = 1_000
MACHINES = 10_000
AFTER_MS = 15 * MINUTE_MS
PART_MS = 5 * MINUTE_MS
# What a node answers one endpoint, and what the settings of a world do not hold it to.
RATES = Settings()


class Metered(World):
    """A world that counts the datagrams of one of its places, by second, and by who gets them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, Settings())
        self.watched: Place | None = None
        self.sent: Counter[int] = Counter()
        self.received: Counter[int] = Counter()
        self.sent_to: Counter[tuple[int, bytes]] = Counter()

    def _send(self, place: Place, send: Send) -> None:
        second = (self.now_ms - START_MS) // SECOND_MS
        watched = self.watched
        if place is watched:
            self.sent[second] += 1
            self.sent_to[second, send.endpoint.ip] += 1
        elif watched is not None and send.endpoint == watched.contact.endpoint:
            self.received[second] += 1
        super()._send(place, send)


def announce(seed: int, machines: int = MACHINES, nodes: int = NODES) -> Iterator[Figure]:
    """All records of a host are announced, and then again for a part of the next round."""
    world = Metered(seed)
    places = [world.add() for _ in range(nodes)]
    world.settle()
    owner = world.watched = places[0]
    _begin(world, owner, machines)
    kept: dict[bytes, int] = {}
    unkept = 0
    while len(kept) < machines + 1:
        world.run(PART_MS)
        for at_ms, effect in owner.effects:
            if isinstance(effect, Published):
                unkept += not effect.kept
                if effect.kept:
                    kept.setdefault(effect.key, at_ms)
        for place in places:
            place.effects.clear()
        if world.now_ms - START_MS > 2 * HOUR_MS:
            break
    all_s = (max(kept.values()) - START_MS) // SECOND_MS
    world.run(AFTER_MS)
    name = f"{machines:,} machines of a host among {nodes:,}"
    yield Figure(f"{name}: announced", 100 * (len(kept) - 1) / machines, "%", least=100)
    yield Figure(f"{name}: until all are", all_s / 60, "min", most=60)
    yield Figure(f"{name}: puts that nobody kept", float(unkept), "")
    end_s = (world.now_ms - START_MS) // SECOND_MS
    for what, counted in (("sent", world.sent), ("received", world.received)):
        first = [counted[second] for second in range(1, all_s)]
        after = [counted[second] for second in range(end_s - AFTER_MS // SECOND_MS, end_s)]
        yield Figure(f"{name}: {what} a second at first", sum(first) / len(first), "datagrams")
        yield Figure(f"{name}: {what} in the busiest second", float(max(counted.values())), "")
        yield Figure(f"{name}: {what} a second after", sum(after) / len(after), "datagrams")
    most = float(max(world.sent_to.values()))
    yield Figure(f"{name}: most to one node in a second", most, "", most=RATES.endpoint_burst)


def _begin(world: World, owner: Place, machines: int) -> None:
    home, far_ms = world.home(owner), START_MS + 30 * DAY_MS

    def act(node: Node, now_ms: int) -> None:
        node.publish_location(now_ms, home, 1, (owner.contact.endpoint,))
        for _ in range(machines):
            root: RootKey = world.key()
            machine = root.identity({})
            ends = (machine.address, home.address, owner.key.public_key)
            certificate = issue(root, Terms(*ends, 1, 1, 0, far_ms, far_ms))
            node.publish_location(now_ms, machine, 1, certificate, at_once=False)

    world.do(owner, act)
