"""How a machine comes back into a worker: its snapshot, then the turns since, taken again. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import cbor2

from avm.host import journal
from avm.host.effects import Load
from avm.host.history import Reads
from avm.machine import frames

CHUNK_BYTES = 256 * 1024
KINDS = {journal.INIT: frames.INIT, journal.TURN: frames.MESSAGES, journal.SIGNAL: frames.SIGNAL}


def recovery(
    load: Load,
    bundle: bytes | None,
    snapshot: tuple[int, bytes] | None,
    entries: Iterable[tuple[int, bytes, str | None]],
) -> Iterator[bytes]:
    """The frames that give a machine to a worker; `entries` are those after the snapshot."""
    if load.send_code and bundle is not None:
        yield frames.pack([frames.CODE, load.code, bundle])
    body, references, next_slot = None, [], 0
    if snapshot is not None:
        _code, body, references, next_slot, _digest = cbor2.loads(snapshot[1])
    start = [load.machine, load.code, body, references, next_slot, load.generation]
    yield frames.pack([frames.LOAD, *start])
    for chunk in again(entries):
        yield frames.pack([frames.AGAIN, load.machine, chunk])
    yield frames.pack([frames.LOADED, load.machine, load.token, ""])


def recovered(store: Reads, load: Load) -> Iterator[bytes]:
    """The frames that give a machine to a worker, out of a store."""
    snapshot = store.snapshot(load.machine)
    start = 0 if snapshot is None else snapshot[0] + 1
    bundle = store.get(("code", load.code))
    return recovery(load, bundle, snapshot, store.entries(load.machine, start))


def unrecovered(load: Load, why: str) -> bytes:
    """The frame that ends a recovery which the store cannot go on with."""
    return frames.pack([frames.LOADED, load.machine, load.token, why])


def again(entries: Iterable[tuple[int, bytes, str | None]]) -> Iterator[list[list[Any]]]:
    """The turns that changed the state, and key generations, in chunks; others need not be taken again.

    A key generation follows a snapshot directly: what is loaded from that one has it already.
    """
    chunk: list[list[Any]] = []
    size = 0
    for n, body, _printed in entries:
        row = cbor2.loads(body)
        kind = KINDS.get(row[0])
        if row[0] == journal.GENERATION:
            chunk.append([n, frames.GENERATION, row[3], None])
        if kind is None:
            continue
        fields = dict(zip(journal.FIELDS[row[0]], row[2:], strict=False))
        if not fields.get("changed", True):
            continue
        chunk.append([n, kind, fields["input"], fields["output"]])
        size += len(body)
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
