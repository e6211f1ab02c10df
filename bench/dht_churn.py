"""Hosts that come and go for a day, and a network that is cut in two and heals.

A host that comes back has its key, its stored state and a new port, as a host does that is started
again. A reader notes the highest incarnation and sequence it was ever told of each key.
"""

import sys
from collections.abc import Iterator
from heapq import heappop, heappush

from bench.dht_world import Place, World
from bench.figures import Figure
from dht.effects import Ended, Published, Superseded
from dht.node import Node
from dht.proofs import Kind
from dht.settings import HOUR_MS, MINUTE_MS, SECOND_MS

HOSTS = 1_000
SESSION_MS = 2 * HOUR_MS
AWAY_MS = 20 * MINUTE_MS
BOOTS = 5
LOOKUPS_AN_HOUR_MIN = 60
SETTLED_MS = MINUTE_MS


class Churn:
    """The hosts of a world with their comings and goings, and what readers were told."""

    def __init__(self, seed: int, hosts: int = HOSTS) -> None:
        self.world = World(seed)
        self.hosts = [self.world.add() for _ in range(hosts)]
        self.boots = self.hosts[:BOOTS]
        self.up_since = {place.number: self.world.now_ms for place in self.hosts}
        self.published: dict[bytes, tuple[int, int]] = {}
        self.told: dict[tuple[int, bytes], tuple[int, int]] = {}
        self.turns: list[tuple[int, int]] = []
        self.asked: dict[tuple[int, int], tuple[Place, bytes, tuple[int, int]]] = {}
        self.found = self.missed = self.stale = self.went_back = self.superseded = 0

    def begin(self) -> None:
        """All hosts are up and have published."""
        self.world.settle()
        for place in self.hosts:
            self.publish(place)
            if place not in self.boots:
                self._later(place, SESSION_MS)
        self.world.run(SETTLED_MS)
        self.hear()

    def publish(self, place: Place) -> None:
        home, where = self.world.home(place), (place.contact.endpoint,)

        def act(node: Node, now_ms: int) -> None:
            record = node.publish_location(now_ms, home, 1, where)
            self.published[record.key] = record.order

        self.world.do(place, act)

    def run(self, ms: int) -> None:
        """Let hosts come, go and look for each other for a time."""
        world = self.world
        end_ms = world.now_ms + ms
        gap_ms = HOUR_MS // max(LOOKUPS_AN_HOUR_MIN, len(self.hosts) // 2)
        while world.now_ms < end_ms:
            world.run(gap_ms)
            while self.turns and self.turns[0][0] <= world.now_ms:
                self._turn(self.hosts[heappop(self.turns)[1]])
            self.hear()
            self.look()

    def look(self) -> None:
        """Have one host that is up look for another that has been up a minute."""
        world = self.world
        settled = world.now_ms - SETTLED_MS
        up = [place for place in self.hosts if place.alive]
        reader = world.random.choice(up)
        owners = [place for place in up if self.up_since[place.number] <= settled]
        owner = world.random.choice(owners)
        if owner is reader:
            return
        key = world.home(owner).address

        def act(node: Node, now_ms: int) -> None:
            number = node.locate(now_ms, key)
            self.asked[reader.number, number] = (reader, key, self.published[key])

        world.do(reader, act)

    def hear(self) -> None:
        """Take note of what has ended."""
        for place in self.hosts:
            for _, effect in place.effects:
                match effect:
                    case Ended(number, Kind.LOCATION):
                        self._judge(place, number, effect)
                    case Superseded():
                        self.superseded += 1
                    case Published():
                        pass
                    case _:
                        pass
            place.effects.clear()

    def _judge(self, place: Place, number: int, ended: Ended) -> None:
        asked = self.asked.pop((place.number, number), None)
        if asked is None:
            return
        _, key, least = asked
        if not ended.records:
            self.missed += 1
            return
        order = ended.records[0].order
        self.found += 1
        self.stale += order < least
        told = self.told.get((place.number, key), (0, 0))
        self.went_back += order < told
        self.told[place.number, key] = max(order, told)

    def _turn(self, place: Place) -> None:
        if place.alive:
            self.hear()
            place.alive = False
            for asked in [one for one in self.asked if one[0] == place.number]:
                del self.asked[asked]
            self._later(place, AWAY_MS)
            return
        self.world.restart(place)
        self.up_since[place.number] = self.world.now_ms
        boots = tuple(boot.contact.endpoint for boot in self.boots)
        self.world.do(place, lambda node, now_ms: node.join(now_ms, boots))
        self.publish_when_joined(place)
        self._later(place, SESSION_MS)

    def progress(self) -> str:
        """What came of it so far, in a line: a long run that is cut short has said something."""
        counts = f"{self.found:,} found, {self.missed:,} missed, {self.stale:,} older than the last"
        return f"{counts}, {self.went_back:,} went back, {self.world.datagrams:,} datagrams"

    def publish_when_joined(self, place: Place) -> None:
        """A host that has just come back publishes as soon as it knows somebody."""
        node = place.node
        assert isinstance(node, Node)
        self.world.run_until(lambda: len(node.table) > 0, 10 * SECOND_MS)
        self.publish(place)

    def _later(self, place: Place, mean_ms: int) -> None:
        after_ms = round(self.world.random.expovariate(1 / mean_ms))
        heappush(self.turns, (self.world.now_ms + after_ms, place.number))


def churn(hours: int, seed: int, hosts: int = HOSTS) -> Iterator[Figure]:
    """Hosts with sessions of two hours in the mean look for each other."""
    day = Churn(seed, hosts)
    day.begin()
    for hour in range(1, hours + 1):
        day.run(HOUR_MS)
        print(f"hour {hour} of {hours}: {day.progress()}", file=sys.stderr, flush=True)
    day.world.run(MINUTE_MS)
    day.hear()
    lookups = day.found + day.missed
    name = f"{hours} h churn of {hosts:,} hosts"
    yield Figure(f"{name}: found of {lookups:,}", 100 * day.found / lookups, "%", least=99.99)
    yield Figure(f"{name}: a record older than the last published", 100 * day.stale / lookups, "%")
    yield Figure(f"{name}: sequences that went back for a reader", float(day.went_back), "", most=1)
    yield Figure(f"{name}: requests a host and hour", _requests(day) / hosts / hours, "")


def _requests(day: Churn) -> float:
    return day.world.datagrams / 2


def partition(seed: int, hosts: int = HOSTS, *, probes: int = 200) -> Iterator[Figure]:
    """Two halves are cut apart for an hour; each goes on publishing; then they meet again."""
    day = Churn(seed, hosts)
    day.world.settle()
    for place in day.hosts:
        day.publish(place)
    world = day.world
    world.run(MINUTE_MS)
    world.faults.cut = lambda a, b: (a ^ b) & 1 == 1
    world.run(HOUR_MS // 2)
    for place in day.hosts:
        day.publish(place)
    world.run(HOUR_MS // 2)
    apart = _across(day, probes)
    world.faults.cut = lambda a, b: False
    world.run(HOUR_MS)
    healed = _across(day, probes)
    name = f"{hosts:,} hosts cut in half for an hour"
    yield Figure(f"{name}: newest found across, while cut", 100 * apart / probes, "%")
    yield Figure(
        f"{name}: newest found across, an hour after", 100 * healed / probes, "%", least=100
    )


def _across(day: Churn, probes: int) -> int:
    found = 0
    world = day.world
    for _ in range(probes):
        owner = world.random.choice(day.hosts)
        reader = world.random.choice(
            [place for place in day.hosts if (place.number ^ owner.number) & 1]
        )
        for place in (owner, reader):
            place.effects.clear()
        key = world.home(owner).address
        ended = world.locate(reader, key)
        found += bool(ended.records) and ended.records[0].order >= day.published[key]
    return found
