"""A machine as it goes to another host: all but its history, in bytes. Pure.

Beside the journey. Capabilities are in wire form: sealed, as they would leave the host in a message.
The journal, its snapshots, failed batches and code follow item by item.
"""

from dataclasses import fields
from typing import Any

from avm.host.channel import verdict_untrusted
from avm.host.header import ADDRESS_BYTES, DIGEST_BYTES, HEADER_BYTES_MAX
from avm.host.passage import ITEM_BYTES_MAX, NAME_BYTES_MAX
from caps import shape
from caps.codec import dumps_plain, loads_shape_untrusted
from caps.errors import Malformed
from caps.identity import IDENTITY_BYTES_MAX
from caps.light import dataclass, field

# From version 2 on there may be what is revoked and what is counted; without these it is of version 1.
_VERSION, _MORE = 1, 3
_DEPTH = 6
COUNT_MAX = 2**56
TEXT_MAX = 64 * 1024
ITEMS_MAX = 10_000_000
PROOF_BYTES = 16
# So many times of grace run at once; the next rotation says that one is to be revoked before.
ENDS_MAX = 16
WIRE_BYTES_MAX = 8 * 1024

# Number in the slot table or name, and the capability.
Slot = tuple[int, bytes]
Name = tuple[str, bytes]
# Number, the own capability the outcome comes to, deadline, receiver, its batch, whether it is closing.
OpenAsk = tuple[int, bytes | None, int, bytes, int, bool]
# Target, content, capabilities, reply, due, how long then, whether apart.
Waiting = tuple[bytes, bytes, list[bytes], bytes | None, int, int, bool]
# Sender, receiver, sent, messages sent, taken, messages taken, digest, epoch, base, verdicts.
Row = tuple[bytes, bytes, int, int, int, int, bytes, int, int, list[tuple[int, list[Any]]]]
# Receiver, seq, ordinal, count, deadline, size, header, body, own replies in their places, hints.
Sent = tuple[bytes, int, int, int, int, int, bytes, bytes, list[bytes | None], list[bytes]]
# Up to which generation, and from when: capabilities that are refused.
Ending = tuple[int, int]
# The proof after a caveat that counts, how many it let through, and until when that is counted.
Used = tuple[bytes, int, int]
# What the old host itself had to tell the machine: target and content, message by message.
Word = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A machine that is between two hosts; `incarnation` and `generation` are those to come."""

    identity: bytes
    incarnation: int
    generation: int
    status: int
    mode: int
    why: str
    code: bytes
    has_signal: bool
    python: str
    version: str
    head: int
    chain: bytes
    now_ms: int
    next_slot: int
    next_ask: int
    snapshot_at: int
    state_bytes: int
    failed: int
    refused: int
    slots: list[Slot]
    names: list[Name]
    asks: list[OpenAsk]
    timers: list[Waiting]
    channels: list[Row]
    outbox: list[Sent]
    words: list[Word]
    revoked: int = -1
    ends: list[Ending] = field(default_factory=list)
    uses: list[Used] = field(default_factory=list)


def to_bytes(parcel: Parcel) -> bytes:
    """The one encoding."""
    row = [getattr(parcel, one.name) for one in fields(Parcel)]
    if parcel.revoked < 0 and not parcel.ends and not parcel.uses:
        return dumps_plain([_VERSION, *row[:-_MORE]])
    return dumps_plain([_VERSION + 1, *row])


def from_bytes_untrusted(body: bytes) -> Parcel:
    """Reads a parcel from another host; raises `Malformed` only."""
    plain = loads_shape_untrusted(body, max_bytes=ITEM_BYTES_MAX, depth=_DEPTH)
    version, *rest = shape.items(plain, 1 + len(fields(Parcel)), "parcel") or [None]
    more: list[object] = [-1, [], []]
    if version == _VERSION + 1:
        rest, more = rest[:-_MORE], rest[-_MORE:]
    else:
        shape.version(version, _VERSION, "parcel")
    rest = shape.array(rest, len(fields(Parcel)) - _MORE, "parcel")
    (identity, incarnation, generation, status, mode, why, code, has_signal) = rest[:8]
    (python, runtime, head, chain, now_ms, next_slot, next_ask, snapshot_at, state_bytes) = rest[
        8:17
    ]
    (failed, refused, slots, names, asks, timers, channels, outbox, words) = rest[17:]
    parcel = Parcel(
        shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "parcel: identity"),
        shape.integer(incarnation, 1, shape.U32_MAX, "parcel: incarnation"),
        shape.integer(generation, 1, shape.U32_MAX, "parcel: generation"),
        shape.integer(status, 1, 2, "parcel: status"),
        shape.integer(mode, 0, 1, "parcel: mode"),
        _text(why, TEXT_MAX),
        shape.octets(code, DIGEST_BYTES, "parcel: code"),
        _truth(has_signal),
        _text(python, NAME_BYTES_MAX),
        _text(runtime, NAME_BYTES_MAX),
        shape.integer(head, 1, 2**39, "parcel: head"),
        shape.octets(chain, DIGEST_BYTES, "parcel: chain"),
        shape.time_ms(now_ms, "parcel: time"),
        _count(next_slot),
        _count(next_ask),
        shape.integer(snapshot_at, 0, 2**39, "parcel: snapshot"),
        _count(state_bytes),
        _count(failed),
        _count(refused),
        [_slot(one) for one in _items(slots)],
        [_name(one) for one in _items(names)],
        [_ask(one) for one in _items(asks)],
        [_timer(one) for one in _items(timers)],
        [_row(one) for one in _items(channels)],
        [_sent(one) for one in _items(outbox)],
        [_word(one) for one in _items(words)],
        shape.integer(more[0], -1, shape.U32_MAX, "parcel: revoked"),
        [_end(one) for one in shape.items(more[1], ENDS_MAX, "parcel: ends")],
        [_used(one) for one in _items(more[2])],
    )
    if to_bytes(parcel) != body:
        raise Malformed("parcel: not the one encoding of what it says")
    return parcel


def _items(value: object) -> list[object]:
    return shape.items(value, ITEMS_MAX, "parcel: items")


def _count(value: object) -> int:
    return shape.integer(value, 0, COUNT_MAX, "parcel: number")


def _truth(value: object) -> bool:
    if type(value) is not bool:
        shape.refuse("parcel: truth")
    return value


def _text(value: object, most: int) -> str:
    if type(value) is not str or len(value.encode()) > most:
        shape.refuse("parcel: text")
    return value


def _wire(value: object) -> bytes:
    return shape.some_octets(value, 1, WIRE_BYTES_MAX, "parcel: capability")


def _wire_or_none(value: object) -> bytes | None:
    return None if value is None else _wire(value)


def _address(value: object) -> bytes:
    return shape.octets(value, ADDRESS_BYTES, "parcel: address")


def _octets(value: object) -> bytes:
    return shape.some_octets(value, 0, ITEM_BYTES_MAX, "parcel: bytes")


def _digest(value: object) -> bytes:
    octets = _octets(value)
    if len(octets) not in (0, DIGEST_BYTES):
        shape.refuse("parcel: digest")
    return octets


def _slot(value: object) -> Slot:
    number, wire = shape.array(value, 2, "parcel: slot")
    return _count(number), _wire(wire)


def _name(value: object) -> Name:
    name, wire = shape.array(value, 2, "parcel: name")
    return _text(name, NAME_BYTES_MAX), _wire(wire)


def _ask(value: object) -> OpenAsk:
    number, to, deadline_ms, receiver, seq, closing = shape.array(value, 6, "parcel: ask")
    where = shape.some_octets(receiver, 0, ADDRESS_BYTES, "parcel: ask")
    until_ms = shape.time_ms(deadline_ms, "parcel: ask")
    return _count(number), _wire_or_none(to), until_ms, where, _count(seq), _truth(closing)


def _timer(value: object) -> Waiting:
    to, content, caps, reply, due_ms, deadline_ms, apart = shape.array(value, 7, "parcel: timer")
    wires = [_wire(one) for one in _items(caps)]
    times = shape.time_ms(due_ms, "parcel: timer"), shape.time_ms(deadline_ms, "parcel: timer")
    return _wire(to), _octets(content), wires, _wire_or_none(reply), *times, _truth(apart)


def _end(value: object) -> Ending:
    generation, from_ms = shape.array(value, 2, "parcel: end")
    number = shape.integer(generation, 0, shape.U32_MAX, "parcel: end")
    return number, shape.time_ms(from_ms, "parcel: end")


def _used(value: object) -> Used:
    proof, count, expires_ms = shape.array(value, 3, "parcel: uses")
    known = shape.octets(proof, PROOF_BYTES, "parcel: uses")
    return known, _count(count), shape.time_ms(expires_ms, "parcel: uses")


def _row(value: object) -> Row:
    sender, receiver, sent, said, taken, heard, digest, epoch, base, told = shape.array(
        value, 10, "parcel: channel"
    )
    verdicts: list[tuple[int, list[Any]]] = []
    for one in _items(told):
        seq, verdict = shape.array(one, 2, "parcel: verdict")
        verdicts.append((_count(seq), verdict_untrusted(verdict)))
    marks = _count(sent), _count(said), _count(taken), _count(heard)
    return (
        _address(sender),
        _address(receiver),
        *marks,
        _digest(digest),
        shape.integer(epoch, 0, shape.U32_MAX, "parcel: epoch"),
        _count(base),
        verdicts,
    )


def _sent(value: object) -> Sent:
    receiver, seq, ordinal, count, deadline_ms, size, header, body, replies, hints = shape.array(
        value, 10, "parcel: batch"
    )
    return (
        _address(receiver),
        _count(seq),
        _count(ordinal),
        _count(count),
        shape.time_ms(deadline_ms, "parcel: deadline"),
        _count(size),
        shape.some_octets(header, 1, HEADER_BYTES_MAX, "parcel: header"),
        _octets(body),
        [_wire_or_none(one) for one in _items(replies)],
        [_address(one) for one in _items(hints)],
    )


def _word(value: object) -> Word:
    said: Word = []
    for one in _items(value):
        wire, content = shape.array(one, 2, "parcel: word")
        said.append((_wire(wire), _octets(content)))
    return said
