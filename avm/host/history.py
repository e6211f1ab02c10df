"""A machine's history on its way to another host: journal, snapshots, failed batches, code. Pure.

Beside the journey. Item by item, each fetched by its kind and number: `pack` reads it out of the old
host's store, `Landing` takes it into the new one's, where every entry is held against the one before.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import cbor2

from avm.host import batch, chain, journal
from avm.host.header import DIGEST_BYTES
from avm.host.moves import Landing
from avm.host.parcel import COUNT_MAX
from avm.host.passage import CODE, FAILED, ITEM_BYTES_MAX, JOURNAL, SNAPSHOT
from avm.host.state import Group
from caps import shape
from caps.codec import loads_shape_untrusted
from caps.errors import Malformed

CHUNK_BYTES = 1024 * 1024
# A context in an entry nests as deep as in a worker's frames.
DEPTH = 150
NOT_OURS = (cbor2.CBORError, ValueError, TypeError, ArithmeticError, AttributeError, RecursionError)
CODE_FORMS = (journal.INIT, journal.CODE)


class Reads(Protocol):
    """What is read of a store."""

    def entries(
        self, machine: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, bytes, str | None]]:
        """Number, entry and what was printed."""

    def snapshot(self, machine: int, at_most: int | None = None) -> tuple[int, bytes] | None:
        """The newest snapshot, not above a number."""

    def rows_of(self, table: str, first: int) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        """Rows of a machine."""

    def get(self, key: Any) -> bytes | None:
        """One row."""


def pack(store: Reads, machine: int, kind: int, n: int, digest: bytes) -> tuple[bytes, int]:
    """An item and the number of the next of its kind, 0 where there is none.

    Of the journal some entries from `n` on, of the snapshots the newest below `n`, of the failed batches
    the first from `n` on; an empty item where there is none.
    """
    if kind == JOURNAL:
        rows: list[list[Any]] = []
        size = 0
        for number, entry, printed in store.entries(machine, n):
            if size >= CHUNK_BYTES:
                return cbor2.dumps(rows), number
            rows.append([number, entry, printed])
            size += len(entry) + len(printed or "")
        return cbor2.dumps(rows), 0
    if kind == SNAPSHOT:
        found = store.snapshot(machine, n - 1) if n else None
        return (cbor2.dumps(list(found)), found[0]) if found is not None else (b"", 0)
    if kind == FAILED:
        for (_machine, number), row in store.rows_of("failed", machine):
            if number >= n:
                return cbor2.dumps([number, row]), number + 1
        return b"", 0
    return store.get(("code", digest)) or b"", 0


def take(group: Group, landing: Landing, following: int) -> tuple[int, int, bytes] | None:
    """Takes an item that has come whole into a commit; the next to fetch, None when all is here.

    Raises `Malformed` for what no host would send.
    """
    body = bytes(landing.body)
    try:
        match landing.kind:
            case 1:
                _take_journal(group, landing, body)
            case 2:
                _take_snapshot(group, landing, body)
            case 3:
                _take_failed(group, landing, body)
            case _:
                _take_code(group, landing, body)
    except (*NOT_OURS, journal.DamagedEntry) as error:
        raise Malformed(f"history: {error}") from None
    return _next(landing, following)


def _next(landing: Landing, following: int) -> tuple[int, int, bytes] | None:
    assert landing.parcel is not None
    kind = landing.kind
    if kind == JOURNAL:
        if following:
            return JOURNAL, _next_is(landing.n, following), b""
        if (landing.n, landing.chain) != (landing.parcel.head, landing.parcel.chain):
            raise Malformed("history: the journal does not end where the machine is")
        return SNAPSHOT, landing.n, b""
    if following and not landing.body:
        raise Malformed("history: nothing, and more after it")
    if kind == SNAPSHOT:
        return (SNAPSHOT, following, b"") if 0 < following < landing.item else (FAILED, 0, b"")
    if kind == FAILED and following:
        return FAILED, _forward(landing.item, following), b""
    wanted = next(iter(landing.codes), None)
    return None if wanted is None else (CODE, 0, wanted)


def _plain(octets: object) -> object:
    """Bytes decoded, in which nothing is that ours never hold: no tags, no circles."""
    if type(octets) is not bytes:
        raise Malformed("history: no bytes")
    return loads_shape_untrusted(octets, max_bytes=ITEM_BYTES_MAX, depth=DEPTH)


def _next_is(n: int, following: int) -> int:
    if following != n:
        raise Malformed("history: entries left out")
    return following


def _forward(item: int, following: int) -> int:
    if following <= item:
        raise Malformed("history: it goes back")
    return following


def _take_journal(group: Group, landing: Landing, body: bytes) -> None:
    rows = _plain(body)
    assert landing.parcel is not None
    head = landing.parcel.head
    if type(rows) is not list or not rows:
        raise Malformed("history: no entries")
    for number, octets, printed in rows:
        expected = landing.n if landing.n >= 0 else number
        if type(number) is not int or not 0 <= number < head or number != expected:
            raise Malformed("history: an entry out of order")
        if type(octets) is not bytes or not isinstance(printed, str | None):
            raise Malformed("history: no entry")
        _plain(octets)
        entry = journal.decode(number, octets)
        for part in ("input", "output"):
            if entry.fields.get(part):
                _plain(entry[part])
        why = chain.shape_fault(entry)
        if why or (landing.chain is not None and entry.before != landing.chain):
            raise Malformed(f"history: entry {number}: {why or 'it follows another'}")
        group.journal.append((landing.number, number, octets, printed))
        landing.n, landing.chain = number + 1, entry.hash
        if entry.form in CODE_FORMS:
            landing.codes[entry["code"]] = None
        if entry.form in chain.STATES:
            landing.snapshot = (number, entry["digest"])


def _take_snapshot(group: Group, landing: Landing, body: bytes) -> None:
    first = landing.item == landing.n
    if not body:
        if first:
            raise Malformed("history: there is no snapshot")
        return
    n, row = shape.array(_plain(body), 2, "snapshot")
    number = shape.integer(n, 0, landing.item - 1, "snapshot: number")
    octets = shape.some_octets(row, 1, ITEM_BYTES_MAX, "snapshot: row")
    body_code, body_state, refs, next_slot, digest = shape.array(_plain(octets), 5, "snapshot")
    code = shape.octets(body_code, DIGEST_BYTES, "snapshot: code")
    state = shape.some_octets(body_state, 0, ITEM_BYTES_MAX, "snapshot: state")
    references = shape.items(refs, ITEM_BYTES_MAX, "snapshot: references")
    shape.integer(next_slot, 0, COUNT_MAX, "snapshot: slot")
    if digest != journal.digest_of(state, references):
        raise Malformed("history: a snapshot that is not what its digest says")
    if first and landing.snapshot != (number, digest):
        raise Malformed("history: not the snapshot that the journal ends with")
    landing.codes[code] = None
    group.snapshots.append((landing.number, number, octets))


def _take_failed(group: Group, landing: Landing, body: bytes) -> None:
    if not body:
        return
    n, row = shape.array(_plain(body), 2, "failed batch")
    number = shape.integer(n, landing.item, landing.n - 1, "failed batch: number")
    _sender, reason, index, detail, now_ms, said = shape.array(_plain(row), 6, "failed batch")
    if not (type(reason) is type(detail) is str and type(index) is type(now_ms) is int):
        raise Malformed("history: no failed batch")
    octets = shape.some_octets(said, 1, ITEM_BYTES_MAX, "failed batch: messages")
    _plain(octets)
    if not batch.is_sealed(batch.from_bytes(b"", landing.address, 0, octets)):
        raise Malformed("history: a failed batch with a capability that is not sealed")
    group.dirty[("failed", landing.number, number)] = row


def _take_code(group: Group, landing: Landing, body: bytes) -> None:
    """The code of a turn long ago may be gone; that of now may not."""
    assert landing.parcel is not None
    wanted = landing.hash
    landing.codes.pop(wanted, None)
    if body:
        if journal.hash_of_code(body) != wanted:
            raise Malformed("history: code that is not what its hash says")
        group.dirty[("code", wanted)] = body
    elif wanted == landing.parcel.code:
        raise Malformed("history: its code is missing")
