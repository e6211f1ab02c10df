"""A simulated network of real nodes: their real bytes, virtual time, all chance from one seed.

Signatures are checked once and remembered by their bytes for all nodes together; everything else a
node does here is what it does on a socket. A colluder answers every question with the colluders
closest to it, signs its own node record, and forgets what it is asked to keep.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import exp
from random import Random

from caps.identity import Endpoint, Identity, RootKey
from dht.contact import Contact, NodeRecord, node_id, sign_node_record
from dht.effects import Effect, Ended, Published, Send
from dht.node import Node
from dht.proofs import Kind, Proofs, Proved
from dht.settings import CLOSEST, DAY_MS, ID_BITS, Settings
from dht.wire import (
    PACKET_BYTES_MAX,
    Answer,
    Find,
    Get,
    Put,
    Status,
    Stored,
    encode_answer,
    encode_stored,
    parse_packet_untrusted,
)

START_MS = 1_800_000_000_000
RTT_MEDIAN_MS = 80.0
RTT_SIGMA = 0.35
JITTER_SIGMA = 0.1
SETTINGS = Settings(endpoint_rate=1e9, endpoint_burst=1e9, subnet_rate=1e9, subnet_burst=1e9)


def endpoint_of(number: int) -> Endpoint:
    """Every node in a /24 of its own."""
    return Endpoint(bytes([20 + (number >> 16), number >> 8 & 255, number & 255, 1]), 4000)


class Sorted:
    """Contacts in the order of their ids, for the exact closest of very many."""

    def __init__(self, contacts: list[Contact]) -> None:
        self.contacts = sorted(contacts, key=lambda contact: contact.long_id)
        self.ids = [contact.long_id for contact in self.contacts]

    def span(self, prefix: int, bits: int) -> tuple[int, int]:
        """The range of those whose ids begin with these bits."""
        low = prefix << (ID_BITS - bits)
        return bisect_left(self.ids, low), bisect_left(self.ids, low + (1 << (ID_BITS - bits)))

    def closest(self, point: int, most: int) -> list[Contact]:
        low, high = 0, len(self.ids)
        for bits in range(1, ID_BITS):
            narrower = self.span(point >> (ID_BITS - bits), bits)
            if narrower[1] - narrower[0] < most:
                break
            low, high = narrower
        near = self.contacts[low:high]
        return sorted(near, key=lambda contact: contact.long_id ^ point)[:most]


class WorldProofs(Proofs):
    """Checks each signature once for all nodes, and believes ground ids, which cost too much here.

    An attacker grinds keys until the hash is next to the victim; the world gives its nodes such ids
    outright, far closer than anybody could grind.
    """

    def __init__(self) -> None:
        super().__init__(1_000_000)
        self.ground: dict[bytes, NodeRecord] = {}

    def node_untrusted(self, body: bytes, now_ms: int) -> NodeRecord:
        ground = self.ground.get(body)
        return super().node_untrusted(body, now_ms) if ground is None else ground


@dataclass(frozen=True)
class GroundRecord(NodeRecord):
    """A node record whose key hashes to where the attacker wants it."""

    ground_id: bytes = b""

    @property
    def id(self) -> bytes:
        return self.ground_id


class Colluder:
    """Names only its own kind and keeps nothing; `members` is shared by all of them."""

    def __init__(
        self, key: RootKey, endpoint: Endpoint, world: "World", ground_id: bytes | None = None
    ) -> None:
        self._world = world
        record = sign_node_record(key, (endpoint,), START_MS + 40 * DAY_MS)
        self._node_record = record.to_bytes()
        if ground_id is not None:
            fields = (record.public_key, record.endpoints, record.expiry_ms, record.signature)
            world.proofs.ground[self._node_record] = GroundRecord(*fields, ground_id=ground_id)
        self._out: list[Effect] = []

    def receive_untrusted(self, now_ms: int, datagram: bytes, endpoint: Endpoint) -> None:
        packet = parse_packet_untrusted(datagram)
        token = bytes(8)
        if isinstance(packet, Find | Get):
            point = int.from_bytes(packet.near, "big")
            named = tuple(self._world.colluding.closest(point, CLOSEST))
            answer = Answer(packet.nonce, endpoint, token, self._node_record, (), named)
            self._out.append(Send(encode_answer(answer, PACKET_BYTES_MAX), endpoint))
        elif isinstance(packet, Put):
            stored = Stored(packet.nonce, token, Status.KEPT, b"")
            self._out.append(Send(encode_stored(stored), endpoint))

    def tick(self, now_ms: int) -> None:
        pass

    def next_wake_ms(self) -> int | None:
        return None

    def take_effects(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects


@dataclass
class Faults:
    """What goes wrong on the way: the share lost, and whether a pair is cut apart."""

    loss: float = 0.0
    cut: Callable[[int, int], bool] = lambda a, b: False


@dataclass
class Place:
    """One node of the world; `alive` False and it hears nothing."""

    number: int
    key: RootKey
    contact: Contact
    node: Node | Colluder
    alive: bool = True
    wake_ms: int | None = None
    effects: list[tuple[int, Effect]] = field(default_factory=list)


class World:
    """All nodes, the datagrams on their way, and the time."""

    def __init__(self, seed: int, settings: Settings = SETTINGS) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.settings = settings
        self.now_ms = START_MS
        self.faults = Faults()
        self.places: list[Place] = []
        self.proofs = WorldProofs()
        self.colluding = Sorted([])
        self.datagrams = 0
        self._at: dict[tuple[bytes, int], Place] = {}
        self._queue: list[tuple[int, int, Place, Endpoint | None, bytes]] = []
        self._count = count()
        self._endpoints = 0
        self._slowness: dict[tuple[int, int], float] = {}

    def key(self) -> RootKey:
        return RootKey(self.random.randbytes(32))

    def add(
        self,
        key: RootKey | None = None,
        *,
        colludes: bool = False,
        ground_id: bytes | None = None,
    ) -> Place:
        """Put a node into the world; it knows nobody yet."""
        key = key or self.key()
        number = len(self.places)
        self._endpoints = max(self._endpoints, number)
        endpoint = endpoint_of(number)
        node: Node | Colluder
        if colludes:
            node = Colluder(key, endpoint, self, ground_id)
        else:
            node = self.make_node(key, endpoint)
        contact = Contact(ground_id or node_id(key.public_key), endpoint)
        place = Place(number, key, contact, node)
        self.places.append(place)
        self._at[endpoint.ip, endpoint.port] = place
        return place

    def make_node(self, key: RootKey, endpoint: Endpoint) -> Node:
        return Node(
            key,
            self.random.randbytes,
            endpoints=(endpoint,),
            settings=self.settings,
            proofs=self.proofs,
        )

    def restart(self, place: Place) -> None:
        """Start a node again with its key and its stored state, at an endpoint of its own."""
        assert isinstance(place.node, Node)
        saved = place.node.saved()
        del self._at[place.contact.ip, place.contact.port]  # type: ignore[arg-type]
        self._endpoints += 1
        endpoint = endpoint_of(self._endpoints)
        place.contact = Contact(place.contact.id, endpoint)
        place.node = self.make_node(place.key, endpoint)
        self._at[endpoint.ip, endpoint.port] = place
        place.alive = True
        place.wake_ms = None
        place.effects.clear()
        place.node.load(self.now_ms, saved)
        self._collect(place)

    def settle(self) -> None:
        """Fill all tables as they are in a network that has long been running."""
        contacts = [place.contact for place in self.places]
        everybody = Sorted(contacts)
        self.collude()
        for place in self.places:
            if isinstance(place.node, Node):
                self._fill(place.node, everybody)

    def collude(self) -> None:
        """Let all colluders know each other."""
        self.colluding = Sorted(
            [place.contact for place in self.places if isinstance(place.node, Colluder)]
        )

    def _fill(self, node: Node, everybody: Sorted) -> None:
        own = node.table.own
        for bits in range(1, ID_BITS):
            low, high = everybody.span((own >> (ID_BITS - bits)) ^ 1, bits)
            chosen = range(low, high)
            if high - low > CLOSEST:
                chosen = self.random.sample(chosen, CLOSEST)  # type: ignore[assignment]
            for index in chosen:
                node.table.add_contact(everybody.contacts[index])
            low, high = everybody.span(own >> (ID_BITS - bits), bits)
            if high - low <= 1:
                return

    def do(self, place: Place, act: Callable[[Node, int], object]) -> None:
        """Let a node's owner call it now."""
        assert isinstance(place.node, Node)
        act(place.node, self.now_ms)
        self._collect(place)

    def run_until(self, done: Callable[[], bool], limit_ms: int) -> bool:
        """Let time pass until something is so; False when the limit comes first."""
        end_ms = self.now_ms + limit_ms
        while not done():
            if not self._queue or self._queue[0][0] > end_ms:
                self.now_ms = end_ms
                return done()
            self._one()
        return True

    def run(self, ms: int) -> None:
        """Let time pass."""
        self.run_until(lambda: False, ms)

    def locate(self, place: Place, key: bytes, kind: Kind = Kind.LOCATION) -> Ended:
        """Look a key up from a node, to its end."""
        numbers: list[int] = []
        self.do(place, lambda node, now_ms: numbers.append(node.locate(now_ms, key, kind)))
        ended = self._await(place, lambda e: isinstance(e, Ended) and e.lookup == numbers[0])
        assert isinstance(ended, Ended)
        return ended

    def publish(self, place: Place, act: Callable[[Node, int], Proved]) -> Published:
        """Publish from a node, until every holder has answered or is given up."""
        records: list[Proved] = []
        self.do(place, lambda node, now_ms: records.append(act(node, now_ms)))
        key = records[0].key
        published = self._await(place, lambda e: isinstance(e, Published) and e.key == key)
        assert isinstance(published, Published)
        return published

    def publish_home(self, place: Place, incarnation: int = 1) -> Published:
        """Publish the location of the host of a node."""
        home, where = self.home(place), (place.contact.endpoint,)
        return self.publish(
            place, lambda node, now_ms: node.publish_location(now_ms, home, incarnation, where)
        )

    def home(self, place: Place) -> Identity:
        return place.key.identity({})

    def _await(self, place: Place, wanted: Callable[[Effect], bool]) -> Effect:
        at = 0

        def done() -> bool:
            nonlocal at
            while at < len(place.effects):
                if wanted(place.effects[at][1]):
                    return True
                at += 1
            return False

        assert self.run_until(done, 120_000), "it never ended"
        effect = place.effects[at][1]
        place.effects.clear()
        return effect

    def _one(self) -> None:
        self.now_ms, _, place, source, datagram = heappop(self._queue)
        if not place.alive:
            return
        if source is not None:
            place.node.receive_untrusted(self.now_ms, datagram, source)
        else:
            place.wake_ms = None
            wake_ms = place.node.next_wake_ms()
            if wake_ms is not None and wake_ms <= self.now_ms:
                place.node.tick(self.now_ms)
        self._collect(place)

    def _collect(self, place: Place) -> None:
        for effect in place.node.take_effects():
            if isinstance(effect, Send):
                self._send(place, effect)
            else:
                place.effects.append((self.now_ms, effect))
        wake_ms = place.node.next_wake_ms()
        if wake_ms is not None and (place.wake_ms is None or wake_ms < place.wake_ms):
            place.wake_ms = wake_ms
            heappush(self._queue, (max(wake_ms, self.now_ms), next(self._count), place, None, b""))

    def _send(self, place: Place, send: Send) -> None:
        self.datagrams += 1
        target = self._at.get((send.endpoint.ip, send.endpoint.port))
        if target is None or self.faults.cut(place.number, target.number):
            return
        if self.faults.loss and self.random.random() < self.faults.loss:
            return
        arrives_ms = self.now_ms + self._one_way_ms(place.number, target.number)
        queued = (arrives_ms, next(self._count), target, place.contact.endpoint, send.datagram)
        heappush(self._queue, queued)

    def _one_way_ms(self, a: int, b: int) -> int:
        pair = (a, b) if a < b else (b, a)
        slowness = self._slowness.get(pair)
        if slowness is None:
            if len(self._slowness) > 1_000_000:
                self._slowness.clear()
            own = Random(self.seed << 48 ^ pair[0] << 24 ^ pair[1]).gauss(0.0, RTT_SIGMA)
            slowness = self._slowness[pair] = RTT_MEDIAN_MS / 2 * exp(own)
        return max(1, round(slowness * exp(self.random.gauss(0.0, JITTER_SIGMA))))
