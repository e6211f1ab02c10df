"""The shape of a decoded structure: each function takes one field out of it or says it is malformed.

What `loads_plain_untrusted` returns is some plain value; the rooms that read identities, certificates,
capabilities and location records ask here for exactly the type and the range a field must have.
"""

from typing import NoReturn

from caps.errors import Malformed

U32_MAX = 2**32 - 1
TIME_MS_MAX = 2**63 - 1


def refuse(what: str) -> NoReturn:
    """Raise `Malformed` naming the field that does not fit."""
    raise Malformed(f"malformed {what}")


def array(value: object, length: int, what: str) -> list[object]:
    """Return a list of exactly `length` items."""
    if type(value) is not list or len(value) != length:
        refuse(what)
    return value


def items(value: object, length_max: int, what: str) -> list[object]:
    """Return a list of at most `length_max` items."""
    if type(value) is not list or len(value) > length_max:
        refuse(what)
    return value


def integer(value: object, low: int, high: int, what: str) -> int:
    """Return an integer (no bool) between `low` and `high`, both included."""
    if type(value) is not int or not low <= value <= high:
        refuse(what)
    return value


def version(value: object, wanted: int, what: str) -> None:
    """Refuse any version but the one wanted, by name."""
    if type(value) is not int or value != wanted:
        refuse(f"{what}: unknown version")


def time_ms(value: object, what: str) -> int:
    """Return a time in milliseconds since 1970."""
    return integer(value, 0, TIME_MS_MAX, what)


def octets(value: object, length: int, what: str) -> bytes:
    """Return exactly `length` bytes."""
    if type(value) is not bytes or len(value) != length:
        refuse(what)
    return value


def some_octets(value: object, low: int, high: int, what: str) -> bytes:
    """Return between `low` and `high` bytes, both included."""
    if type(value) is not bytes or not low <= len(value) <= high:
        refuse(what)
    return value


def text_map(value: object, what: str) -> dict[str, str]:
    """Return a map from text to text."""
    if type(value) is not dict:
        refuse(what)
    if not all(type(k) is str and type(v) is str for k, v in value.items()):
        refuse(what)
    return value
