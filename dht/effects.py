"""What comes out of a node: datagrams to send, and what its lookups and publications came to."""

from typing import TypeAlias

from caps.identity import Endpoint
from caps.light import dataclass
from dht.lookup import Step
from dht.proofs import Kind, Proved


@dataclass(frozen=True, slots=True)
class Send:
    """A datagram for an endpoint."""

    datagram: bytes
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Found:
    """The first valid record of a lookup, or a newer one than the one told before."""

    lookup: int
    record: Proved


@dataclass(frozen=True, slots=True)
class Ended:
    """A lookup is over; no records is a miss, and `cached` says that nobody was asked again.

    `hops` is how many nodes in a row led to the first record; `took_ms` is the whole time.
    """

    lookup: int
    kind: Kind | None
    key: bytes
    records: tuple[Proved, ...]
    requests: int
    hops: int | None
    took_ms: int
    escalated: bool = False
    cached: bool = False
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """A publication is over: how many nodes keep the record, of how many asked to.

    `order` is the incarnation and the sequence number of the record.
    """

    publication: int
    kind: Kind
    key: bytes
    order: tuple[int, int]
    kept: int
    asked: int
    requests: int
    escalated: bool


@dataclass(frozen=True, slots=True)
class Superseded:
    """What we publish is not the newest: the network holds a record of a later incarnation."""

    kind: Kind
    key: bytes
    standing: Proved


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two records under one incarnation name two hosts or keys; the first is kept."""

    first: Proved
    second: Proved


@dataclass(frozen=True, slots=True)
class Seen:
    """A contact sees us at another endpoint than the last one of its subnet did."""

    observer: Endpoint
    seen: Endpoint


@dataclass(frozen=True, slots=True)
class TableChanged:
    """A contact came or went: the shell may save the table."""


@dataclass(frozen=True, slots=True)
class Alone:
    """No contact is left, and a try to enter again was made: others that are known may be asked too."""


Effect: TypeAlias = (
    Send | Found | Ended | Published | Superseded | Evidence | Seen | TableChanged | Alone
)
