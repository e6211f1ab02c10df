"""A node as its operator sees it: its contacts by bucket, what it holds for others, what it announces.

Beside the journey. Plain values of one moment, and counters; nothing is decided here.
"""

from collections import Counter

from caps.light import dataclass
from dht.asking import Asker
from dht.contact import Contact
from dht.effects import Effect, Ended, Evidence, Published, Send, Superseded
from dht.proofs import Kind, Proved
from dht.publishing import Own, Publishing
from dht.shelf import Held, Shelf
from dht.upkeep import Heard, Upkeep


@dataclass(frozen=True, slots=True)
class Seat:
    """A contact in its bucket, the bit length of its distance; `heard` None before it answered."""

    bucket: int
    contact: Contact
    heard: Heard | None
    failures: int


@dataclass(frozen=True, slots=True)
class Announced:
    """An own record and about when it is put again, in milliseconds since 1970."""

    own: Own
    next_ms: int


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a node knows, holds and announces; the farthest buckets first.

    `requests` are those it has sent, `hosts` about how many nodes the network has.
    """

    seats: tuple[Seat, ...]
    held: tuple[Held, ...]
    announced: tuple[Announced, ...]
    requests: int
    hosts: float


def portrait(
    now_ms: int, upkeep: Upkeep, asker: Asker, shelf: Shelf, publishing: Publishing
) -> Portrait:
    """Return what there is now; what a node announces itself is not held for others."""
    table = upkeep.table
    seats = [
        Seat(index, contact, upkeep.heard(contact), upkeep.failures(contact))
        for index in reversed(table.order)
        for contact in table.buckets[index].nodes.values()
    ]
    held = [one for one in shelf.held(now_ms) if _place(one.record) not in publishing.own]
    announced = [
        Announced(own, publishing.next_of(kind, key, now_ms))
        for (kind, key), own in publishing.own.items()
    ]
    shown = tuple(seats), tuple(held), tuple(announced)
    return Portrait(*shown, asker.requests, upkeep.network_size())


def _place(record: Proved) -> tuple[Kind, bytes]:
    return record.kind, record.key


def count(counts: Counter[str], effect: Effect) -> None:
    """Count what has come out of a node, by its name."""
    match effect:
        case Send():
            counts["datagrams.sent"] += 1
        case Ended(records=records, cached=cached, escalated=escalated):
            counts["lookups.found" if records else "lookups.missed"] += 1
            counts["lookups.cached"] += cached
            counts["lookups.escalated"] += escalated
        case Published(kept=kept):
            counts["publications.kept" if kept else "publications.unkept"] += 1
        case Superseded():
            counts["publications.superseded"] += 1
        case Evidence():
            counts["evidence"] += 1
        case _:
            pass
