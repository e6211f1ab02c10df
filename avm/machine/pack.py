"""The bytes of what is packed for each turn or batch, by hand: the codec's, in less time.

`cbor2` asks of each list and integer what it is, which takes longer than writing it. Everything
else is packed by `frames.pack`.
"""

from collections.abc import Iterable
from typing import Any

import cbor2

ONE = tuple(bytes((number,)) for number in range(256))
SHORT = tuple(bytes((0x40 + size,)) for size in range(24))
TRUE, FALSE, NONE = b"\xf5", b"\xf4", b"\xf6"


def uint(number: int) -> bytes:
    """An integer from 0 on."""
    if number < 24:
        return ONE[number]
    if number < 0x100:
        return b"\x18" + ONE[number]
    if number < 0x10000:
        return b"\x19" + number.to_bytes(2, "big")
    if number < 0x100000000:
        return b"\x1a" + number.to_bytes(4, "big")
    return b"\x1b" + number.to_bytes(8, "big")


def byte_string(body: bytes) -> bytes:
    """A byte string."""
    size = len(body)
    if size < 24:
        return SHORT[size] + body
    if size < 0x100:
        return b"\x58" + ONE[size] + body
    if size < 0x10000:
        return b"\x59" + size.to_bytes(2, "big") + body
    return cbor2.dumps(body)


def given(
    now_ms: int,
    channel: bytes,
    ordinal: int,
    from_host: bool,
    messages: Iterable[bytes],
    count: int,
) -> bytes:
    """The input of a turn; `channel` and the messages are packed already."""
    flag = TRUE if from_host else FALSE
    start = (b"\x85", uint(now_ms), channel, uint(ordinal), flag, array(count))
    return b"".join((*start, *messages))


def array(count: int) -> bytes:
    """The head of an array of so many items."""
    if count < 24:
        return ONE[0x80 + count]
    if count < 0x100:
        return b"\x98" + ONE[count]
    if count < 0x10000:
        return b"\x99" + count.to_bytes(2, "big")
    return b"\x9a" + count.to_bytes(4, "big")


def plain_message(context: bytes, content: bytes) -> bytes:
    """A message without capabilities, of packed context and content."""
    return b"\x82" + byte_string(context) + byte_string(content)


def turn(machine: int, token: int, given_bytes: bytes) -> bytes:
    """The TURN frame of a batch."""
    parts = (b"\x85\x04", uint(machine), uint(token), b"\x00", byte_string(given_bytes))
    return b"".join(parts)


def turn_entry(
    before: bytes,
    sender: bytes,
    seq: int,
    changed: bool,
    given_bytes: bytes,
    output: bytes,
    sent: bytes = b"",
) -> bytes:
    """The journal's entry of a turn; `sent` is packed already, and empty when there is nothing."""
    form = b"\x88\x01" if sent else b"\x87\x01"
    parts: tuple[Any, ...] = (form, byte_string(before), byte_string(sender), uint(seq))
    flag = TRUE if changed else FALSE
    return b"".join((*parts, flag, byte_string(given_bytes), byte_string(output), sent))
