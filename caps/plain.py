"""The plain profile of CBOR: what our own wire structures are made of, and nothing else.

None, bool, integers of 64 bits, text, bytes, lists, and dicts with text or integer keys, in the
deterministic encoding of RFC 8949, section 4.2.1. No tags, no floats, no capabilities.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import cbor2

from caps.errors import Malformed, NotAValue, TooBig, TooDeep
from caps.frozen import order_of

PLAIN_BYTES_MAX = 1 << 20
PLAIN_DEPTH_MAX = 16

_INT_END = 1 << 64
_SIMPLE = frozenset((type(None), bool, bytes, str))
_ARRAYS = (list, tuple)
_CONSTANTS = {0xF4: False, 0xF5: True, 0xF6: None}
BUILT_IN_TAGS = (0, 1, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004)
BUILT_IN_TAGS_FAR = (43000, 55799)


def refuse_tag(*_: object) -> NoReturn:
    """Refuse what the library would decode by itself."""
    raise Malformed("a tag that does not belong here")


_REFUSED = dict.fromkeys((*BUILT_IN_TAGS, 2, 3, *BUILT_IN_TAGS_FAR), refuse_tag)


def dumps_plain(value: object, *, depth: int = PLAIN_DEPTH_MAX) -> bytes:
    """Return the one encoding of a plain value; raises NotAValue."""
    try:
        return cbor2.dumps(_ordered(value, depth))
    except UnicodeEncodeError:
        raise NotAValue("a text with half a surrogate pair is no value") from None


def _ordered(value: object, room: int) -> object:
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if isinstance(value, int) and kind is int:
        if -_INT_END <= value < _INT_END:
            return value
        raise TooBig("an integer of more than 64 bits")
    if room == 0:
        raise TooDeep("nested too deeply")
    if isinstance(value, _ARRAYS):
        return [_ordered(part, room - 1) for part in value]
    if isinstance(value, Mapping):
        if not all(type(key) is str or type(key) is int for key in value):
            raise NotAValue("a plain map has text or integer keys")
        return {_ordered(k, 0): _ordered(value[k], room - 1) for k in sorted(value, key=order_of)}
    raise NotAValue(f"a {kind.__name__} is no plain value")


# How the library reads what a stranger sends.
_STRICT: dict[str, Any] = {
    "semantic_decoders": _REFUSED,
    "allow_indefinite": False,
    "allow_duplicate_keys": False,
    "strict_hashable_types": True,
}


def loads_plain_untrusted(
    body: bytes, *, max_bytes: int = PLAIN_BYTES_MAX, depth: int = PLAIN_DEPTH_MAX
) -> object:
    """Return what a stranger's bytes say: lists, dicts and atoms; raises Malformed, in linear time."""
    if len(body) > max_bytes:
        raise Malformed(f"longer than {max_bytes:,} bytes")
    try:
        plain: object = cbor2.loads(body, max_depth=depth, **_STRICT)
    except (cbor2.CBORError, Malformed):
        # Integer keys end here: the library would accept colliding ones only with all others.
        return _Reader(body, depth).whole()
    if cbor2.dumps(plain) != body:
        raise Malformed("not the one encoding of what it says")
    _check(plain, depth)
    return plain


def loads_shape_untrusted(body: bytes, *, max_bytes: int, depth: int) -> object:
    """Return what a stranger's bytes say, in whichever encoding; raises Malformed, in linear time.

    For structures that their reader holds to their shape, packs again and compares: that takes a
    third of the time of `loads_plain_untrusted`, and refuses the same.
    """
    if len(body) > max_bytes:
        raise Malformed(f"longer than {max_bytes:,} bytes")
    try:
        plain: object = cbor2.loads(body, max_depth=depth, **_STRICT)
    except cbor2.CBORError as error:
        raise Malformed(f"not CBOR of our kind: {error}") from None
    return plain


def _check(plain: object, room: int) -> None:
    kind = type(plain)
    if kind in _SIMPLE or kind is int:
        return
    if room == 0:
        raise Malformed("nested too deeply")
    if isinstance(plain, list):
        for part in plain:
            _check(part, room - 1)
    elif isinstance(plain, dict):
        if not all(type(key) is str for key in plain):
            raise Malformed("a plain map has text or integer keys")
        _check_order([order_of(key) for key in plain])
        for part in plain.values():
            _check(part, room - 1)
    else:
        raise Malformed("something that does not belong here")


def _check_order(places: Sequence[bytes]) -> None:
    if any(left >= right for left, right in pairwise(places)):
        raise Malformed("a map out of order")


class _Reader:
    """Reads plain CBOR byte by byte; the way for maps with integer keys and for finding the fault."""

    __slots__ = ("at", "body", "depth")

    def __init__(self, body: bytes, depth: int) -> None:
        self.body = body
        self.depth = depth
        self.at = 0

    def whole(self) -> object:
        value = self.item(self.depth)
        if self.at != len(self.body):
            raise Malformed("something follows the end")
        return value

    def item(self, room: int) -> object:
        first = self.take(1)[0]
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        length = self.argument(first & 31)
        match first >> 5:
            case 0:
                return length
            case 1:
                return -1 - length
            case 2:
                return self.take(length)
            case 3:
                return self.text(length)
            case 4:
                return list(self.parts(length, room))
            case 5:
                return self.map(length, room)
        raise Malformed("something that does not belong here")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.body):
            raise Malformed("it ends too early")
        taken = self.body[self.at : end]
        self.at = end
        return taken

    def argument(self, low: int) -> int:
        if low < 24:
            return low
        if low > 27:
            raise Malformed("a length that is no length")
        width = 1 << (low - 24)
        number = int.from_bytes(self.take(width), "big")
        if number < (24 if width == 1 else 1 << (width * 4)):
            raise Malformed("a number longer than needed")
        return number

    def text(self, length: int) -> str:
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise Malformed("a text that is not UTF-8") from None

    def parts(self, count: int, room: int) -> Iterator[object]:
        if room == 0:
            raise Malformed("nested too deeply")
        if count > len(self.body) - self.at:
            raise Malformed("it ends too early")
        for _ in range(count):
            yield self.item(room - 1)

    def map(self, count: int, room: int) -> dict[str | int, object]:
        flat = list(self.parts(2 * count, room))
        keys = [key for key in flat[::2] if type(key) is str or type(key) is int]
        if len(keys) != count:
            raise Malformed("a plain map has text or integer keys")
        _check_order([order_of(key) for key in keys])
        return dict(zip(keys, flat[1::2], strict=True))
