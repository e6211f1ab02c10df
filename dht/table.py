"""The routing table: which contacts a node knows, closest to itself most densely.

Step 7 of the journey: where a lookup starts, and what a stranger's find is answered. Buckets and the
table are those of the `kademlia` package (Maymounkov and Mazieres, 2002) by subclass, put right for
256-bit ids: a bucket is the bit length of the distance to it, so nothing is split, the lookup of the
closest is exact, no clock is read and no task started. At most two contacts of a /24 or /48 sit in
one bucket. Only contacts that proved themselves are added; the node sees to that.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from kademlia.routing import KBucket, RoutingTable

from caps.identity import Endpoint
from caps.light import dataclass
from dht.contact import Contact, is_loopback
from dht.settings import ID_BITS, Settings

REFRESHED_MAX = 24


class Bucket(KBucket):
    """The contacts at one bit length of distance, and those that wait for a seat."""

    def __init__(self, index: int, settings: Settings) -> None:
        self.range = (1 << index - 1, (1 << index) - 1)
        self.nodes = OrderedDict()
        self.replacement_nodes = OrderedDict()
        self.ksize = settings.bucket_size
        self.max_replacement_nodes = settings.replacements_max
        self.of_subnet_max = settings.of_subnet_max
        self._by_long_id: dict[int, Contact] | None = None

    def touch_last_updated(self) -> None:
        """Nothing: the node keeps the times, this room has no clock."""

    def add_node(self, node: Contact) -> bool:
        """Seat a contact; False when it has to wait or its subnet has its seats already."""
        held = self.nodes.get(node.id)
        if held is None and self._crowded(node):
            return False
        self._by_long_id = None
        return super().add_node(node)

    def remove_node(self, node: Contact) -> None:
        """Unseat a contact; the one that came last of those waiting takes its seat."""
        self._by_long_id = None
        super().remove_node(node)

    def closest(self, point: int) -> list[Contact]:
        """Return its contacts, the closest to the point first."""
        by_long_id = self._by_long_id
        if by_long_id is None:
            by_long_id = {contact.long_id: contact for contact in self.nodes.values()}
            self._by_long_id = by_long_id
        return [by_long_id[long_id] for long_id in sorted(by_long_id, key=point.__xor__)]

    def _crowded(self, node: Contact) -> bool:
        if is_loopback(node.endpoint):
            return False
        others = [*self.nodes.values(), *self.replacement_nodes.values()]
        same = [other for other in others if other.subnet == node.subnet and other.id != node.id]
        return len(same) >= self.of_subnet_max


@dataclass(frozen=True, slots=True)
class SavedTable:
    """A table as plain values: ids and endpoints, seated ones first, then those lost."""

    contacts: tuple[tuple[bytes, Endpoint], ...]
    lost: tuple[tuple[bytes, Endpoint], ...]


class Table(RoutingTable):
    """All buckets of a node, each made when its first contact comes."""

    def __init__(self, own_id: bytes, settings: Settings) -> None:
        self.settings = settings
        self.own = int.from_bytes(own_id, "big")
        self.lost: dict[bytes, Contact] = {}
        self.flush()

    def flush(self) -> None:
        """Forget every contact."""
        self.buckets: dict[int, Bucket] = {}
        self.order: list[int] = []

    def get_bucket_for(self, node: Contact) -> int:
        """Return the number of its bucket: the bit length of the distance, 1 to 256."""
        return (self.own ^ node.long_id).bit_length()

    def add_contact(self, node: Contact) -> bool:
        """Seat a contact that has proved itself; False when its bucket has no seat for it."""
        index = self.get_bucket_for(node)
        if index == 0:
            return False
        bucket = self.buckets.get(index)
        if bucket is None:
            bucket = self.make_bucket(index)
        self.lost.pop(node.id, None)
        return bucket.add_node(node)

    def make_bucket(self, index: int) -> Bucket:
        """Make the bucket of a number, which is not there yet."""
        bucket = self.buckets[index] = Bucket(index, self.settings)
        self.order = sorted(self.buckets)
        return bucket

    def remove_contact(self, node: Contact) -> None:
        """Unseat a contact that is silent; it is remembered among the lost for a later try."""
        bucket = self.buckets.get(self.get_bucket_for(node))
        if bucket is None or bucket.nodes.get(node.id) != node:
            return
        bucket.remove_node(node)
        self.lose(node)

    def lose(self, node: Contact) -> None:
        """Remember a contact that has no seat, for a later try."""
        self.lost[node.id] = node
        while len(self.lost) > self.settings.lost_max:
            del self.lost[next(iter(self.lost))]

    def is_new_node(self, node: Contact) -> bool:
        """Tell whether no contact of that id is seated."""
        return self.seated(node) is None

    def seated(self, node: Contact) -> Contact | None:
        """Return the seated contact of the same id."""
        bucket = self.buckets.get(self.get_bucket_for(node))
        return None if bucket is None else bucket.nodes.get(node.id)

    def oldest(self, node: Contact) -> Contact | None:
        """Return who has been silent longest in the full bucket that a newcomer would sit in."""
        bucket = self.buckets.get(self.get_bucket_for(node))
        if bucket is None or len(bucket.nodes) < bucket.ksize:
            return None
        contact: Contact = next(iter(bucket.nodes.values()))
        return contact

    def wants(self, node: Contact) -> bool:
        """Tell whether a newcomer of that id and endpoint would get a seat now."""
        index = self.get_bucket_for(node)
        bucket = self.buckets.get(index)
        if index == 0 or bucket is None:
            return index != 0
        return node.id not in bucket.nodes and len(bucket.nodes) < bucket.ksize

    def closest(self, point: int, count: int) -> list[Contact]:
        """Return the `count` contacts closest to the point, exactly, the closest first.

        The bucket that the point falls into is closest; then all nearer to us, which are equally
        far in their highest bit and are sorted together; then each farther bucket in turn.
        """
        home = (self.own ^ point).bit_length()
        bucket = self.buckets.get(home)
        found = [] if bucket is None else bucket.closest(point)
        if len(found) >= count:
            return found[:count]
        nearer: list[Contact] = []
        for index in self.order:
            if index < home:
                nearer += self.buckets[index].nodes.values()
            elif index > home:
                if nearer:
                    found += sorted(nearer, key=lambda contact: contact.long_id ^ point)
                    nearer = []
                if len(found) >= count:
                    break
                found += self.buckets[index].closest(point)
        if nearer:
            found += sorted(nearer, key=lambda contact: contact.long_id ^ point)
        return found[:count]

    def find_neighbors(
        self, node: Contact, k: int | None = None, exclude: Contact | None = None
    ) -> list[Contact]:
        """Return the closest contacts to a node but itself and who shares `exclude`'s endpoint."""
        found = self.closest(node.long_id, len(self) + 1)
        kept = [c for c in found if c.id != node.id]
        if exclude is not None:
            kept = [c for c in kept if not c.same_home_as(exclude)]
        return kept[: k or self.settings.bucket_size]

    def __len__(self) -> int:
        return sum(len(bucket.nodes) for bucket in self.buckets.values())

    def __iter__(self) -> Iterator[Contact]:
        for index in self.order:
            yield from self.buckets[index].nodes.values()

    def points_to_refresh(self, entropy: bytes) -> Sequence[tuple[int, int]]:
        """Return (bucket, a random point in it) for each bucket from the first one that is short."""
        if not self.order:
            return []
        noise = int.from_bytes(entropy, "big") % (1 << ID_BITS)
        return [
            (index, self.own ^ ((1 << index - 1) | noise & ((1 << index - 1) - 1)))
            for index in range(max(self.order[0], ID_BITS + 1 - REFRESHED_MAX), ID_BITS + 1)
        ]

    def saved(self) -> SavedTable:
        """Return what a shell keeps over a restart."""
        return SavedTable(
            tuple((contact.id, contact.endpoint) for contact in self),
            tuple((contact.id, contact.endpoint) for contact in self.lost.values()),
        )
