from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps import shape
from caps.errors import Malformed

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.binary(max_size=4) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


def is_bytes(value: object, low: int, high: int) -> bool:
    return isinstance(value, bytes) and low <= len(value) <= high


def is_integer(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


TAKERS: list[tuple[Callable[[object], object], Callable[[object], bool]]] = [
    (lambda v: shape.array(v, 2, "x"), lambda v: isinstance(v, list) and len(v) == 2),
    (lambda v: shape.items(v, 2, "x"), lambda v: isinstance(v, list) and len(v) <= 2),
    (lambda v: shape.integer(v, -1, 2, "x"), lambda v: is_integer(v, -1, 2)),
    (lambda v: shape.time_ms(v, "x"), lambda v: is_integer(v, 0, shape.TIME_MS_MAX)),
    (lambda v: shape.octets(v, 2, "x"), lambda v: is_bytes(v, 2, 2)),
    (lambda v: shape.some_octets(v, 1, 3, "x"), lambda v: is_bytes(v, 1, 3)),
    (lambda v: shape.text_map(v, "x"), is_text_map),
]


@pytest.mark.parametrize(("take", "fits"), TAKERS)
@given(value=plain)
def test_a_field_is_returned_as_it_is_or_is_malformed(
    take: Callable[[object], object], fits: Callable[[object], bool], value: object
) -> None:
    if fits(value):
        assert take(value) is value
    else:
        with pytest.raises(Malformed, match="malformed x"):
            take(value)


def test_a_version_is_the_one_wanted_or_unknown() -> None:
    shape.version(1, 1, "x")
    for other in (True, 0, 2, None, "1"):
        with pytest.raises(Malformed, match="unknown version"):
            shape.version(other, 1, "x")
