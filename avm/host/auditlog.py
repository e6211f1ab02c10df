"""The audit log: who was given what, what was taken back, and how often one was refused. Pure.

Beside the journey. A chain of entries, each an array [version, hash of the one before, time, what,
about] in canonical CBOR, without contents, contexts, capabilities or keys. It is written in the
transaction of the act that it tells of. What comes often and from strangers is counted, by the hour.
The oldest entries make room: the first that is kept names the hash of the last that is not.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.light import dataclass, field

HASH_BYTES = 32
ENTRY_BYTES_MAX = 16 * 1024
# So many are dropped at once, where many more are there than may be.
DROPPED_MAX = 100
# What is counted in an hour apart from the rest, and how long a name of it may be.
COUNTED_MAX = 64
TEXT_BYTES_MAX = 80
REST = "others"
HOUR_MS = 60 * 60 * 1000
NUMBER_MAX = 2**53

_VERSION = 1
About = Mapping[str, object]
Rows = list[tuple[int, bytes | None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its number, when it was, what was done and to whom."""

    n: int
    before: bytes
    at_ms: int
    what: str
    about: dict[str, object]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry at which the chain does not hold, and why."""

    n: int
    why: str


@dataclass(slots=True)
class AuditLog:
    """Where the chain stands: entries from `first` up to, not including, `head`.

    `keys` is how the host's keys stood last: open, or locked. `refused` and `handed` are the counts
    since `since_ms`, 0 where nothing was counted yet.
    """

    first: int = 0
    head: int = 0
    chain: bytes = bytes(HASH_BYTES)
    keys: str = ""
    since_ms: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    handed: dict[str, int] = field(default_factory=dict)

    def append(self, now_ms: int, what: str, about: About, most: int) -> Rows:
        """The rows that make an entry the newest of at most `most`; None deletes one."""
        entry = dumps_plain([_VERSION, self.chain, now_ms, what, dict(about)])
        assert len(entry) <= ENTRY_BYTES_MAX, what
        rows: Rows = [(self.head, entry)]
        self.head, self.chain = self.head + 1, hash_of(entry)
        for _ in range(min(self.head - self.first - most, DROPPED_MAX)):
            rows.append((self.first, None))
            self.first += 1
        return rows

    def count(self, counts: dict[str, int], name: str, now_ms: int) -> bool:
        """Counts one more of an hour's; True for the first."""
        name = cut(name)
        if name not in counts and len(counts) >= COUNTED_MAX:
            name = REST
        counts[name] = counts.get(name, 0) + 1
        is_first = not self.since_ms
        self.since_ms = self.since_ms or max(1, now_ms)
        return is_first

    def hour_over(self, now_ms: int, most: int) -> Rows:
        """The rows of what was counted, and begins anew."""
        rows: Rows = []
        for what, counts in (("refused", self.refused), ("handed-out", self.handed)):
            if counts:
                about = {"since_ms": self.since_ms, "counts": dict(counts)}
                rows += self.append(now_ms, what, about, most)
                counts.clear()
        self.since_ms = 0
        return rows

    def keys_are(self, how: str, act: str, now_ms: int, most: int) -> Rows:
        """The rows of what was done with the host's keys, which now are `how`."""
        self.keys = how
        return self.append(now_ms, "keys", {"act": act, "now": how}, most)


def cut(text: str) -> str:
    """As much of a text as goes into an entry."""
    return text.encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore")


def hash_of(entry: bytes) -> bytes:
    """The link from an entry to the next."""
    return blake2b(entry, digest_size=HASH_BYTES, person=b"avm audit").digest()


def to_bytes(log: AuditLog) -> bytes:
    """The row that says where the chain stands."""
    counts = [dict(log.refused), dict(log.handed)]
    place = [log.first, log.head, log.chain, log.keys, log.since_ms]
    return dumps_plain([_VERSION, *place, *counts])


def from_bytes_untrusted(body: bytes) -> AuditLog:
    """Where a chain stands, out of its row; raises `Malformed`."""
    plain = loads_plain_untrusted(body, max_bytes=ENTRY_BYTES_MAX, depth=3)
    version, first, head, chain, keys, since_ms, *counts = shape.array(plain, 8, "audit log")
    shape.version(version, _VERSION, "audit log")
    log = AuditLog(
        shape.integer(first, 0, NUMBER_MAX, "audit log: first"),
        shape.integer(head, 0, NUMBER_MAX, "audit log: head"),
        shape.octets(chain, HASH_BYTES, "audit log: hash"),
        _text(keys, "audit log: keys"),
        shape.time_ms(since_ms, "audit log: hour"),
    )
    log.refused, log.handed = (_counts(one) for one in counts)
    if log.first > log.head:
        shape.refuse("audit log: first")
    return log


def entry_untrusted(n: int, body: bytes) -> Entry:
    """An entry out of its row; raises `Malformed`."""
    plain = loads_plain_untrusted(body, max_bytes=ENTRY_BYTES_MAX, depth=5)
    version, before, at_ms, what, about = shape.array(plain, 5, "entry")
    shape.version(version, _VERSION, "entry")
    before = shape.octets(before, HASH_BYTES, "entry: hash")
    at_ms = shape.time_ms(at_ms, "entry: time")
    if type(about) is not dict or not all(type(name) is str for name in about):
        shape.refuse("entry: about")
    return Entry(n, before, at_ms, _text(what, "entry: what"), about, hash_of(body))


def walk_untrusted(
    log: AuditLog, rows: Iterable[tuple[int, bytes]], chain: bytes | None = None
) -> Iterator[Entry | Broken]:
    """Each entry in order, up to the first that does not hold, which is told last.

    `chain` is the hash of the entry before the first of them, where it is known.
    """
    wanted = log.first
    for n, body in rows:
        if n != wanted:
            yield Broken(min(n, wanted), "it is missing" if n > wanted else "it was dropped before")
            return
        if n >= log.head:
            yield Broken(n, "the log does not count it")
            return
        try:
            entry = entry_untrusted(n, body)
        except Malformed as error:
            yield Broken(n, f"it cannot be read: {error}")
            return
        first = bytes(HASH_BYTES) if n == 0 else entry.before
        if entry.before != (first if chain is None else chain):
            yield Broken(n, "it does not follow the one before: one of the two was changed")
            return
        yield entry
        wanted, chain = n + 1, entry.hash
    if wanted != log.head:
        yield Broken(wanted, "it is missing")
    elif chain is not None and chain != log.chain:
        yield Broken(log.head - 1, "it is not the one that was written last")


def _text(value: object, what: str) -> str:
    if type(value) is not str:
        shape.refuse(what)
    return value


def _counts(value: object) -> dict[str, int]:
    if type(value) is not dict or len(value) > COUNTED_MAX + 1:
        shape.refuse("audit log: counts")
    return {
        _text(name, "audit log: counts"): shape.integer(count, 1, NUMBER_MAX, "audit log: counts")
        for name, count in value.items()
    }
