"""The bytes of what is packed for each turn or batch, by hand: the codec's, in less time.

`cbor2` asks of each list and integer what it is, which takes longer than writing it. Everything
else is packed by `frames.pack`.
"""

from collections.abc import Iterable

# The integers below 256, and the heads of the byte strings and arrays of so many bytes and items.
UINTS, BYTES, ARRAYS = (
    tuple(bytes((major + n,)) if n < 24 else bytes((major + 24, n)) for n in range(256))
    for major in (0x00, 0x40, 0x80)
)
TRUE, FALSE, NONE = b"\xf5", b"\xf4", b"\xf6"


def uint(number: int) -> bytes:
    """An integer from 0 on."""
    if number < 0x100:
        return UINTS[number]
    if number < 0x10000:
        return b"\x19" + number.to_bytes(2, "big")
    if number < 0x100000000:
        return b"\x1a" + number.to_bytes(4, "big")
    return b"\x1b" + number.to_bytes(8, "big")


def byte_string(body: bytes) -> bytes:
    """A byte string."""
    size = len(body)
    return (BYTES[size] if size < 0x100 else _byte_head(size)) + body


def _byte_head(size: int) -> bytes:
    if size < 0x10000:
        return b"\x59" + size.to_bytes(2, "big")
    return b"\x5a" + size.to_bytes(4, "big")


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
    head = (b"\x85", uint(now_ms), channel, uint(ordinal), flag, array(count))
    return b"".join((*head, *messages))


def array(count: int) -> bytes:
    """The head of an array of so many items."""
    if count < 0x100:
        return ARRAYS[count]
    if count < 0x10000:
        return b"\x99" + count.to_bytes(2, "big")
    return b"\x9a" + count.to_bytes(4, "big")


def plain_message(context: bytes, content: bytes) -> bytes:
    """A message without capabilities, of packed context and content."""
    few, size = len(context), len(content)
    if few < 0x100 and size < 0x100:
        return b"\x82" + BYTES[few] + context + BYTES[size] + content
    return b"\x82" + byte_string(context) + byte_string(content)


def place(machine: int, token: int) -> bytes:
    """Machine and token, as they stand in the TURN frame of a batch and in its answer."""
    return uint(machine) + uint(token)


def turn(place_bytes: bytes, given_bytes: bytes) -> bytes:
    """The TURN frame of a batch."""
    size = len(given_bytes)
    head = BYTES[size] if size < 0x100 else _byte_head(size)
    return b"".join((b"\x85\x04", place_bytes, b"\x00", head, given_bytes))


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
    flag = TRUE if changed else FALSE
    size, rest = len(given_bytes), len(output)
    given_head = BYTES[size] if size < 0x100 else _byte_head(size)
    output_head = BYTES[rest] if rest < 0x100 else _byte_head(rest)
    # The hash before and the address are short.
    head = (form, BYTES[len(before)], before, BYTES[len(sender)], sender, uint(seq), flag)
    return b"".join((*head, given_head, given_bytes, output_head, output, sent))
