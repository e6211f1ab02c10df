"""What is known of every frozen value: how deep it is and where it stands in the one order.

The order is that of deterministic encodings (RFC 8949, section 4.2.1, floats always in 8 bytes), written
here in plain Python because whoever writes a step imports it and must not wait for a codec. For a value
without capabilities these bytes are the ones the codec writes for a state; a capability stands in them
by its reference. They order the keys of maps and compare the literals a machine sealed itself.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import mul
from struct import Struct

from caps.errors import NotAValue

CAPABILITY = 41000
PAIRS = 41001
RECORD = 41002
ME = 41003
LINEAR = 41004
AFFINE = 41005
RELEVANT = 41006
FAILED = 41007

TAG_BYTES = 3
CAPABILITY_BYTES = TAG_BYTES + 5
# Above these bits of a weight stands how much of it has a kind; see `caps.kinds`.
# More than any value can weigh, however often its parts stand in each other: 64 deep, each of 2^26 parts.
SIZE_BITS = 2048
DEPTH_MAX = 64
KEY_DEPTH_MAX = 8
INT_BITS_MAX = 4096
NAN = float("nan")
ATOMS = frozenset((type(None), bool, int, float, str, bytes))

_NUMBERS = frozenset((int,))
# So few parts are weighed sooner one by one.
_FEW = 8
# From these numbers on the head of an integer is so many bytes longer.
_LONGER, _LONGER_BY = (24, 0x100, 0x10000, 0x100000000), (1, 1, 2, 4)
_TEXT_HEADS = tuple(bytes((0x60 + length,)) for length in range(24))
_pack_double = Struct(">Bd").pack


class Settled:
    """A value that is frozen already and knows its depth, so that nobody walks into it again.

    Its weight is noted when it is first asked for.

    A base class and no protocol: whether an object is one is asked for every part of every value.
    """

    __slots__ = ("_depth", "_weight")
    _depth: int
    _weight: int

    def _order(self) -> bytes:
        raise AssertionError(f"{type(self).__name__} has no place among values")

    def _weigh(self) -> int:
        raise AssertionError(f"{type(self).__name__} has no weight among values")

    def __copy__(self) -> Settled:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Settled:
        return self


class Capability(Settled):
    """The right to send to somebody, opaque: it is compared, kept, sent and sent to, nothing else."""

    __slots__ = ()
    _depth = 0
    _weight = CAPABILITY_BYTES

    def __repr__(self) -> str:
        return "<capability>"

    def __reduce__(self) -> str:
        raise TypeError("a capability cannot be turned into bytes")

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a capability cannot be turned into bytes")


def depth_of(value: object) -> int:
    """Return how many containers deep a frozen value is: 0 for an atom, 1 for a tuple of atoms."""
    if type(value) in ATOMS:
        return 0
    if type(value) is tuple:
        return 1 + max(map(depth_of, value), default=0)
    assert isinstance(value, Settled)
    return value._depth


def weight_of(value: object) -> int:
    """Return how many bytes a frozen value takes when it is encoded as a state.

    A capability counts as if its reference were the longest, the rest is exact. What is frozen
    notes its weight, so that after a change only what is new is weighed. Above the size stands how
    much in it has a kind.
    """
    kind = type(value)
    if kind is int:
        return _weight_of_int(value)  # type: ignore[arg-type]
    if isinstance(value, Settled):
        weight: int = getattr(value, "_weight", -1)
        if weight < 0:
            weight = value._weigh()
            object.__setattr__(value, "_weight", weight)
        return weight
    if isinstance(value, str):
        size = len(value) if value.isascii() else len(value.encode())
        return size + head_size(size)
    if isinstance(value, bytes):
        return len(value) + head_size(len(value))
    if value is None or value is True or value is False:
        return 1
    if kind is float:
        return 9
    if isinstance(value, tuple):
        size = len(value)
        if size > _FEW and set(map(type, value)) == _NUMBERS:
            return head_size(size) + _weight_of_ints(sorted(value))
        return head_size(size) + sum(map(weight_of, value))
    raise AssertionError(f"a {kind.__name__} is no frozen value")


def _weight_of_ints(numbers: list[int]) -> int:
    """The weight of numbers in their order, most of which are told apart by where the sizes change."""
    size = len(numbers)
    if numbers[0] < -24 or numbers[-1] >= 1 << 64:
        return sum(map(_weight_of_int, numbers))
    if numbers[-1] < 24:
        return size
    over = (size - bisect_left(numbers, least) for least in _LONGER)
    longer: int = sum(map(mul, over, _LONGER_BY))
    return size + longer


def _weight_of_int(number: int) -> int:
    if -24 <= number < 24:
        return 1
    bits = (number if number >= 0 else ~number).bit_length()
    if bits <= 32:
        return 2 if bits <= 8 else 3 if bits <= 16 else 5
    size = (bits + 7) // 8
    return 9 if bits <= 64 else 1 + head_size(size) + size


def head_size(length: int) -> int:
    """Return how long the head of a text, bytes, array or map of this length is."""
    if length < 24:
        return 1
    if length < 0x100:
        return 2
    return 3 if length < 0x10000 else 5


def head(major: int, length: int) -> bytes:
    """Return the shortest CBOR head with `major` in its upper three bits."""
    if length < 24:
        return bytes((major | length,))
    if length < 0x100:
        return bytes((major | 24, length))
    if length < 0x10000:
        return bytes((major | 25,)) + length.to_bytes(2, "big")
    if length < 0x100000000:
        return bytes((major | 26,)) + length.to_bytes(4, "big")
    return bytes((major | 27,)) + length.to_bytes(8, "big")


def order_text(text: str) -> bytes:
    """Return the place of a text in the order: shorter first, then bytewise."""
    encoded = text.encode()
    length = len(encoded)
    return (_TEXT_HEADS[length] if length < 24 else head(0x60, length)) + encoded


def _order_int(number: int) -> bytes:
    major, magnitude = (0x00, number) if number >= 0 else (0x20, -1 - number)
    if magnitude < 0x10000000000000000:
        return head(major, magnitude)
    digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
    return (b"\xc2" if major == 0 else b"\xc3") + head(0x40, len(digits)) + digits


def order_of(value: object) -> bytes:
    """Return the place of a frozen value in the one order, as bytes to compare."""
    match value:
        case str():
            return order_text(value)
        case bytes():
            return head(0x40, len(value)) + value
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _order_int(value)
        case float():
            return _pack_double(0xFB, value)
        case tuple():
            return head(0x80, len(value)) + b"".join(map(order_of, value))
        case Settled():
            return value._order()
    raise NotAValue(f"a {type(value).__name__} is no value")


def order_tagged(tag: int, value: object) -> bytes:
    """Return the place of one of our own forms: its tag, then what it is made of."""
    return head(0xC0, tag) + order_of(value)
