"""Patterns of contents: what a caveat lets through, written as a plain value of at most 256 bytes.

Step 4 of the journey: a worker judges by them before the step is called. An atom stands for itself, by
its exact type; anything else is a row that begins with its form:

    ["any"]                 any content            ["cap"]             a capability
    ["bool"] ["float"]      one of the type        ["int", low, high]  between, both included; or ["int"]
    ["text", most]          at most so long, in characters; or ["text"]; ["bytes", most] likewise
    ["or", p, ...]          what fits one of them
    ["list", p, most]       a list of at most so many, each of which fits p; or ["list", p]
    ["tuple", p, ...]       a list of exactly these
    ["map", [key, p], ...]  a map of exactly these keys; ["with", [key, p], ...] of these and others

There is no repetition but `list`, so each row is held against a part of the content once at most: the
time is the pattern's size times the content's. As both may be a stranger's, all patterns of a content
have so many looks at it as its size allows; what takes more fits none. Low, high and most may be null.
"""

from collections.abc import Sequence
from typing import Any

from caps import shape
from caps.map import Map
from caps.value import Capability

DEPTH_MAX = 8
# How often a row or an atom may be held against a part of a content, however small that is, and more for
# each of its bytes.
LOOKS, LOOKS_A_BYTE = 100, 4
_ATOMS = frozenset((type(None), bool, int, str, bytes))
_KEYS = frozenset((int, str, bytes))
_TYPES = {"bool": bool, "float": float, "int": int, "text": str, "bytes": bytes}


def check_untrusted(pattern: object, room: int = DEPTH_MAX) -> None:
    """Refuse what is no pattern; raises `Malformed` only."""
    if type(pattern) in _ATOMS:
        return
    if not isinstance(pattern, list | tuple) or not pattern or room == 0:
        shape.refuse("pattern")
    form, *rest = pattern
    match form:
        case "any" | "bool" | "float" | "cap":
            good = not rest
        case "int":
            good = len(rest) in (0, 2) and all(_is_bound(one) for one in rest)
        case "text" | "bytes":
            good = len(rest) <= 1 and all(_is_most(one) for one in rest)
        case "or" | "tuple":
            good = bool(rest) or form == "tuple"
            for one in rest:
                check_untrusted(one, room - 1)
        case "list":
            good = len(rest) in (1, 2) and all(_is_most(one) for one in rest[1:])
            for one in rest[:1]:
                check_untrusted(one, room - 1)
        case "map" | "with":
            good = _are_fields(rest, room)
        case _:
            good = False
    if not good:
        shape.refuse("pattern")


def _is_bound(value: object) -> bool:
    return value is None or type(value) is int


def _is_most(value: object) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _are_fields(rest: Sequence[object], room: int) -> bool:
    keys: list[object] = []
    for one in rest:
        if not isinstance(one, list | tuple) or len(one) != 2 or type(one[0]) not in _KEYS:
            return False
        check_untrusted(one[1], room - 1)
        keys.append(one[0])
    return len(set(keys)) == len(keys)


def unfit(pattern: Any) -> Any:
    """The part of a pattern, which `check_untrusted` let pass, for which nothing fits the whole; else None."""
    if type(pattern) in _ATOMS:
        return None
    form, *rest = pattern
    match form, rest:
        case "int", [int(low), int(high)] if low > high:
            return pattern
        case "or", _:
            parts = [unfit(one) for one in rest]
            return parts[0] if all(part is not None for part in parts) else None
        case "tuple", _:
            within = rest
        case (("map" | "with"), _):
            within = [one for _key, one in rest]
        case _:  # An empty list fits every row that begins with `list`.
            return None
    return next((part for part in map(unfit, within) if part is not None), None)


class _TooManyLooks(Exception):
    """The looks that a content allows are used up."""


def fit(patterns: Sequence[Any], value: object, size: int) -> bool:
    """Whether a frozen content of `size` bytes fits patterns that `check_untrusted` let pass, all of them."""
    looks = _Looks(LOOKS + LOOKS_A_BYTE * size)
    try:
        return all(looks.fits(one, value) for one in patterns)
    except _TooManyLooks:
        return False


class _Looks:
    """Holds patterns against a content, so many looks long."""

    __slots__ = ("left",)

    def __init__(self, most: int) -> None:
        self.left = most

    def fits(self, pattern: Any, value: object) -> bool:
        self.left -= 1
        if self.left < 0:
            raise _TooManyLooks
        if type(pattern) in _ATOMS:
            return type(value) is type(pattern) and value == pattern
        form, *rest = pattern
        match form:
            case "any":
                return True
            case "cap":
                return isinstance(value, Capability)
            case "or":
                return any(self.fits(one, value) for one in rest)
            case "tuple":
                if type(value) is not tuple or len(value) != len(rest):
                    return False
                return all(map(self.fits, rest, value))
            case "list":
                return (
                    type(value) is tuple
                    and _is_within(len(value), rest[1:])
                    and all(self.fits(rest[0], one) for one in value)
                )
            case "map" | "with":
                return isinstance(value, Map) and self._fits_fields(value, rest, form == "map")
        return type(value) is _TYPES[form] and _is_between(form, rest, value)

    def _fits_fields(self, value: "Map[Any, object]", fields: Sequence[Any], exactly: bool) -> bool:
        if exactly and len(value) != len(fields):
            return False
        return all(key in value and self.fits(one, value[key]) for key, one in fields)


def _is_between(form: str, rest: Sequence[int | None], value: Any) -> bool:
    if form == "int":
        low, high = rest or (None, None)
        return (low is None or low <= value) and (high is None or value <= high)
    return form in ("bool", "float") or _is_within(len(value), rest)


def _is_within(size: int, most: Sequence[int | None]) -> bool:
    return not most or most[0] is None or size <= most[0]


__all__ = ["DEPTH_MAX", "LOOKS", "LOOKS_A_BYTE", "check_untrusted", "fit", "unfit"]
