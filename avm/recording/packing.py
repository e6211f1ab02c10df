"""Plain values as CBOR, quickly: what is written down of each input is packed here. Pure.

Beside the journey. The library takes longer for each small item than for the bytes in it; what comes
out is the same, byte for byte.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

ONE, TWO, FOUR, EIGHT = Struct(">BB"), Struct(">BH"), Struct(">BI"), Struct(">BQ")
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY = 0x00, 0x20, 0x40, 0x60, 0x80
NULL, TRUE, FALSE = b"\xf6", b"\xf5", b"\xf4"
KNOWN = 256


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major | number,))
    if number < 1 << 8:
        return ONE.pack(major | 24, number)
    if number < 1 << 16:
        return TWO.pack(major | 25, number)
    if number < 1 << 32:
        return FOUR.pack(major | 26, number)
    return EIGHT.pack(major | 27, number)


INTS = [_head(UNSIGNED, number) for number in range(KNOWN)]
SIZES = [_head(BYTES, number) for number in range(KNOWN)]
COUNTS = [_head(ARRAY, number) for number in range(KNOWN)]


def _text(text: str) -> bytes:
    body = text.encode()
    return _head(TEXT, len(body)) + body


def of_int(number: int) -> bytes:
    """The bytes of an integer."""
    if 0 <= number < KNOWN:
        return INTS[number]
    return _head(UNSIGNED, number) if number >= 0 else _head(NEGATIVE, -1 - number)


def of_bytes(body: bytes) -> bytes:
    """The bytes of bytes."""
    size = len(body)
    return (SIZES[size] if size < KNOWN else _head(BYTES, size)) + body


def of_array(parts: list[bytes]) -> bytes:
    """The bytes of an array of what is packed already."""
    size = len(parts)
    return (COUNTS[size] if size < KNOWN else _head(ARRAY, size)) + b"".join(parts)


def packed(value: Any) -> bytes:
    """The bytes of None, bool, int of 64 bits, text, bytes, and lists of them."""
    parts: list[bytes] = []
    _pack(value, parts.append)
    return b"".join(parts)


def _pack(value: Any, put: Callable[[bytes], None]) -> None:
    kind = type(value)
    if kind is bytes:
        size = len(value)
        put(SIZES[size] if size < KNOWN else _head(BYTES, size))
        put(value)
    elif kind is int:
        if 0 <= value < KNOWN:
            put(INTS[value])
        else:
            put(_head(UNSIGNED, value) if value >= 0 else _head(NEGATIVE, -1 - value))
    elif kind is list or kind is tuple:
        size = len(value)
        put(COUNTS[size] if size < KNOWN else _head(ARRAY, size))
        for one in value:
            _pack(one, put)
    elif value is None:
        put(NULL)
    elif value is True:
        put(TRUE)
    elif value is False:
        put(FALSE)
    else:
        assert kind is str, f"a {kind.__name__} is not plain"
        put(_text(value))
