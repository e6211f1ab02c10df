"""The caveats there are: what their numbers say, which values they have, and what they are judged by.

Steps 1 and 8 of the journey. Whoever narrows a capability makes caveats here, and the host of its
machine reads them here again; one of another number or with a value that does not fit is refused. All but
`ONLY` are judged in the host at the turn, by its recorded time; `ONLY` in the worker, which has the content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, Union

from caps import shape
from caps.errors import Malformed, NotAValue, TooBig
from caps.pattern import check_untrusted
from caps.plain import dumps_plain, loads_plain_untrusted

CAVEATS_MAX = 16
CAVEAT_BYTES_MAX = 256
CAVEAT_DEPTH_MAX = 8
CAVEAT_NUMBER_MAX = shape.U32_MAX
HOLDER_BYTES = 32

UNTIL, USES, ONLY, HOLDER = 1, 2, 3, 4
KNOWN = frozenset((UNTIL, USES, ONLY, HOLDER))
USES_MAX = shape.U32_MAX
NONCE_BYTES_MAX = 64

Plain: TypeAlias = Union[bool, int, bytes, str, tuple["Plain", ...], None]  # noqa: UP007


@dataclass(frozen=True, slots=True)
class Caveat:
    """A condition on the use of a capability: its number says which kind, its value the rest.

    The value is None, bool, int, bytes, str or tuples of them; lists are taken as tuples. Two are
    equal when their bytes are. Raises `NotAValue` for another value, `TooBig` over
    `CAVEAT_BYTES_MAX` encoded bytes.
    """

    number: int = field(compare=False)
    value: Plain = field(compare=False)
    encoded: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if type(self.number) is not int or not 0 <= self.number <= CAVEAT_NUMBER_MAX:
            raise NotAValue("a caveat's number is an integer of 32 bits", ".number")
        object.__setattr__(self, "value", freeze_value(self.value))
        object.__setattr__(self, "encoded", dumps_plain([self.number, thaw_value(self.value)]))
        if len(self.encoded) > CAVEAT_BYTES_MAX:
            raise TooBig(f"a caveat is at most {CAVEAT_BYTES_MAX} bytes", ".value")


def freeze_value(value: object, depth: int = CAVEAT_DEPTH_MAX) -> Plain:
    """Return a caveat's value with its lists as tuples; raises `NotAValue`."""
    if isinstance(value, list | tuple):
        if depth == 0:
            raise NotAValue(f"a caveat is at most {CAVEAT_DEPTH_MAX} deep", ".value")
        return tuple(freeze_value(item, depth - 1) for item in value)
    if type(value) is int and not -(2**64) <= value < 2**64:
        raise NotAValue("an integer in a caveat has at most 64 bits", ".value")
    if value is None or isinstance(value, bool | int | bytes | str):
        return value
    raise NotAValue(f"a caveat cannot hold a {type(value).__name__}", ".value")


def thaw_value(value: Plain) -> object:
    """Return it with its tuples as lists."""
    return [thaw_value(item) for item in value] if isinstance(value, tuple) else value


def until(expires_ms: int) -> Caveat:
    """Good for turns before this time, in milliseconds since 1970."""
    return _made(UNTIL, expires_ms)


def uses(count: int, nonce: bytes, expires_ms: int) -> Caveat:
    """Good for so many messages that are applied, before this time.

    Two narrowed alike with one nonce share their count, which is kept until the time has passed.
    """
    return _made(USES, (count, nonce, expires_ms))


def only(pattern: object) -> Caveat:
    """Good for contents that fit a pattern, as `caps.pattern` has them; lists are taken as tuples."""
    return _made(ONLY, pattern)


def holder(address: bytes) -> Caveat:
    """Good in the hands of one sender: a machine or a client, by its address of 32 bytes."""
    return _made(HOLDER, address)


def _made(number: int, value: object) -> Caveat:
    caveat = Caveat(number, value)  # type: ignore[arg-type]
    try:
        check_caveat_untrusted(caveat)
    except Malformed as error:
        raise NotAValue(str(error)) from None
    return caveat


def parse_caveat_untrusted(encoded: bytes) -> Caveat:
    """Read a caveat of a known number from a stranger's bytes; raises `Malformed` only."""
    plain = loads_plain_untrusted(encoded, max_bytes=CAVEAT_BYTES_MAX, depth=CAVEAT_DEPTH_MAX + 2)
    number, value = shape.array(plain, 2, "caveat")
    known = shape.integer(number, min(KNOWN), max(KNOWN), "caveat: number")
    try:
        caveat = Caveat(known, value)  # type: ignore[arg-type]
    except NotAValue:
        shape.refuse("caveat: value")
    check_caveat_untrusted(caveat)
    return caveat


def check_caveat_untrusted(caveat: Caveat) -> None:
    """Refuse an unknown number, and a value that is none of its number's; raises `Malformed` only."""
    match caveat.number:
        case 1:
            shape.time_ms(caveat.value, "caveat: until")
        case 2:
            count, nonce, expires_ms = shape.array(_row(caveat.value), 3, "caveat: uses")
            shape.integer(count, 1, USES_MAX, "caveat: uses")
            shape.some_octets(nonce, 0, NONCE_BYTES_MAX, "caveat: nonce")
            shape.time_ms(expires_ms, "caveat: until")
        case 3:
            check_untrusted(caveat.value)
        case 4:
            shape.octets(caveat.value, HOLDER_BYTES, "caveat: holder")
        case _:
            shape.refuse("caveat: number")


def _row(value: Plain) -> object:
    return list(value) if isinstance(value, tuple) else value


def patterns_of(caveats: Sequence[Caveat]) -> list[Plain]:
    """The patterns that a content has to fit, every one of them."""
    return [caveat.value for caveat in caveats if caveat.number == ONLY]


__all__ = [
    "CAVEATS_MAX",
    "CAVEAT_BYTES_MAX",
    "CAVEAT_DEPTH_MAX",
    "CAVEAT_NUMBER_MAX",
    "HOLDER",
    "KNOWN",
    "NONCE_BYTES_MAX",
    "ONLY",
    "UNTIL",
    "USES",
    "USES_MAX",
    "Caveat",
    "Plain",
    "check_caveat_untrusted",
    "freeze_value",
    "holder",
    "only",
    "parse_caveat_untrusted",
    "patterns_of",
    "thaw_value",
    "until",
    "uses",
]
