"""What a core knows of other hosts: where addresses live, links, and channels on their way. Values.

All of it is in memory only, and found again after a crash; what must survive is in the channels and
the outbox.
"""

from collections import deque

from caps.identity import Identity
from caps.light import dataclass, field

Pair = tuple[bytes, bytes]


@dataclass(slots=True)
class Place:
    """Where an address of another host lives, as far as is known, and who here sends to it.

    `incarnation` is the highest by which it was said to have moved.
    """

    address: bytes
    host: bytes = b""
    incarnation: int = 0
    seeking: bool = False
    tries: int = 0
    again_ms: int = 0
    senders: dict[bytes, None] = field(default_factory=dict)


@dataclass(slots=True)
class Peer:
    """Another host, the link to it (0: none) and the addresses that live there.

    `refused` are machines of it that were not taken up here, each with the incarnation it would have had.
    """

    address: bytes
    link: int = 0
    dialing: bool = False
    tries: int = 0
    again_ms: int = 0
    places: dict[bytes, None] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)


@dataclass(slots=True)
class Outgoing:
    """The sender's end of a channel to another host.

    Batches up to `durable` may leave, up to `room` the receiver takes them, `next` is to be offered
    and `at` of its body's bytes have been. `confirmed` is the last whose verdict is durable here.
    `waited_ms` is how long a receiver that was busy was left alone last, since it took something.
    """

    sender: bytes
    receiver: bytes
    durable: int = 0
    offered: int = 0
    confirmed: int = 0
    link: int = 0
    marked: bool = False
    room: int = 0
    next: int = 0
    at: int = 0
    listed: bool = False
    waited_ms: int = 0


@dataclass(slots=True)
class Partial:
    """A body of which only the first instalments are here."""

    header: bytes
    size: int
    body: bytearray


@dataclass(slots=True)
class Incoming:
    """The receiver's end of a channel, on the link where it is open.

    `base` is the last number of which nothing is kept, `digest` that of the last header received;
    `asked` is the number that was asked for again, once for all that came ahead of it.
    """

    link: int
    incarnation: int
    base: int
    digest: bytes
    partial: Partial | None = None
    asked: int = 0


@dataclass(slots=True)
class Link:
    """An authenticated connection to another host, and what waits to be said on it.

    `told` is the last change of this host's roster that the other knows; None before it asked.
    `hear_ms` goes ahead of the time by what it tells of others.
    `proofs` are of whom it speaks for: what was shown, as a digest, the incarnation, and until when.
    `awaiting` are channels to machines that are leaving: what becomes of those is said when it is known.
    `asked` counts for each machine how often it was asked on this link whether it may come, unanswered.
    `key` is the one by which the other host has proven itself.
    """

    number: int
    peer: bytes
    identity: Identity
    room: int = 0
    since_ms: int = 0
    told: int | None = None
    hear_ms: int = 0
    ready: deque[Outgoing] = field(default_factory=deque)
    incoming: dict[Pair, None] = field(default_factory=dict)
    partial_bytes: int = 0
    proofs: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)
    awaiting: dict[Pair, None] = field(default_factory=dict)
    asked: dict[bytes, int] = field(default_factory=dict)
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Proof:
    """An identity and a certificate in bytes, to be shown again until it has to be renewed."""

    identity: bytes
    certificate: bytes
    until_ms: int
