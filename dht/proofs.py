"""Records whose signatures hold, remembered by their bytes, so that each is checked once.

Republishing brings the same bytes every hour and from many holders; here they cost a look-up. What
failed is remembered too: a stranger pays for the public-key work of a bad record once.
"""

from enum import IntEnum
from typing import TypeAlias

from caps.identity import Identity
from caps.light import dataclass
from dht.contact import NodeRecord, parse_node_record_untrusted
from dht.errors import InvalidRecord
from dht.provider import ProviderRecord, parse_provider_untrusted
from dht.record import LocationRecord, parse_identity_record_untrusted, parse_location_untrusted


class Kind(IntEnum):
    """What is asked for under a key."""

    IDENTITY = 1
    LOCATION = 2
    PROVIDER = 3


Content: TypeAlias = Identity | LocationRecord | ProviderRecord


@dataclass(frozen=True, slots=True)
class Proved:
    """A record that proved what it says; only its times are still to be checked."""

    kind: Kind
    key: bytes
    body: bytes
    content: Content

    def check_time(self, now_ms: int) -> None:
        """Raise an `InvalidRecord` unless it holds at that time."""
        if not isinstance(self.content, Identity):
            self.content.check_time(now_ms)

    @property
    def expiry_ms(self) -> int | None:
        """When it ends; an identity never does."""
        match self.content:
            case LocationRecord(location, _):
                return location.expiry_ms
            case ProviderRecord(provider, _):
                return provider.expiry_ms
            case _:
                return None

    @property
    def order(self) -> tuple[int, int]:
        """Incarnation and sequence: the greater replaces the lesser."""
        match self.content:
            case LocationRecord(location, _):
                return location.incarnation, location.sequence
            case ProviderRecord(provider, _):
                incarnation = provider.proof.incarnation if provider.certificate else 0
                return incarnation, provider.sequence
            case _:
                return 0, 0

    @property
    def speaker(self) -> bytes:
        """Who says so beside the key: the host of a provider record, else nothing."""
        content = self.content
        return content.provider.host.address if isinstance(content, ProviderRecord) else b""

    def contradicts(self, other: "Proved") -> bool:
        """Tell whether the two are evidence: one incarnation, two hosts or keys of a host's own."""
        mine, theirs = self.content, other.content
        if isinstance(mine, LocationRecord) and isinstance(theirs, LocationRecord):
            return mine.contradicts(theirs)
        return False

    def newer_than(self, other: "Proved") -> bool:
        """Tell whether this one replaces the other: by a later key of the same host, else by its order."""
        mine, theirs = self.content, other.content
        if isinstance(mine, LocationRecord) and isinstance(theirs, LocationRecord):
            return mine.newer_than(theirs)
        return self.order > other.order


class Proofs:
    """The last `entries_max` records that were checked, by their bytes."""

    __slots__ = ("_entries_max", "_nodes", "_records")

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._records: dict[tuple[int, bytes, bytes], Proved | InvalidRecord] = {}
        self._nodes: dict[bytes, NodeRecord | InvalidRecord] = {}

    def record_untrusted(self, kind: Kind, key: bytes, body: bytes, now_ms: int) -> Proved:
        """Return the record when it holds now under that key; raises `InvalidRecord` only."""
        record = self.proved_untrusted(kind, key, body)
        record.check_time(now_ms)
        return record

    def proved_untrusted(self, kind: Kind, key: bytes, body: bytes) -> Proved:
        """Return the record when it proves what it says, at whatever time; raises `InvalidRecord`."""
        place = (kind, key, body)
        known = self._records.get(place)
        if known is None:
            known = _prove(kind, key, body)
            if len(self._records) >= self._entries_max:
                del self._records[next(iter(self._records))]
            self._records[place] = known
        if isinstance(known, InvalidRecord):
            raise InvalidRecord(str(known))
        return known

    def node_untrusted(self, body: bytes, now_ms: int) -> NodeRecord:
        """Return the node record when its key signed it and it holds; raises `InvalidRecord` only."""
        known = self._nodes.get(body)
        if known is None:
            known = _prove_node(body)
            if len(self._nodes) >= self._entries_max:
                del self._nodes[next(iter(self._nodes))]
            self._nodes[body] = known
        if isinstance(known, InvalidRecord):
            raise InvalidRecord(str(known))
        known.check_time(now_ms)
        return known


def _prove(kind: Kind, key: bytes, body: bytes) -> Proved | InvalidRecord:
    try:
        match kind:
            case Kind.IDENTITY:
                return Proved(kind, key, body, parse_identity_record_untrusted(key, body))
            case Kind.LOCATION:
                location = parse_location_untrusted(body)
                _check_key(location.key, key)
                location.check_signed()
                return Proved(kind, key, body, location)
            case Kind.PROVIDER:
                provider = parse_provider_untrusted(body)
                _check_key(provider.key, key)
                provider.check_signed()
                return Proved(kind, key, body, provider)
    except InvalidRecord as error:
        return error


def _prove_node(body: bytes) -> NodeRecord | InvalidRecord:
    try:
        record = parse_node_record_untrusted(body)
        record.check_signed()
    except InvalidRecord as error:
        return error
    return record


def _check_key(named: bytes, key: bytes) -> None:
    if named != key:
        raise InvalidRecord("the record is of another key than the one it is stored under")
