"""Keys that Python takes for one: 1, 1.0 and True, of which a map holds at most one."""

from collections.abc import Iterable, Iterator

from caps import tree
from caps.errors import NotAValue
from caps.frozen import NAN, order_of

_NUMBERS = (int, float)


def refuse_clashes(entries: Iterable[tree.Entry]) -> None:
    """Raise NotAValue when two of the keys are the same number in different types."""
    numbers = {
        stored[0]: stored[1]
        for stored, _ in entries
        if type(stored) is tuple and isinstance(stored[1], _NUMBERS)
    }
    for key in numbers.values():
        if type(key) is not int:
            for other in equal_keys(key):
                if order_of(other) in numbers:
                    raise NotAValue(f"keys {other!r} and {key!r} are equal")


def equal_keys(key: object) -> Iterator[int | float]:
    """Yield the keys of other types that Python takes for the same number."""
    match key:
        case bool():
            yield from (int(key), float(key))
        case int():
            if key in (0, 1):
                yield bool(key)
            if key.bit_length() <= 1024 and (rounded := _nearest(key)) == key:
                yield rounded
        case float():
            if key in (0.0, 1.0):
                yield bool(key)
            if key.is_integer():
                yield int(key)


def _nearest(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return NAN
