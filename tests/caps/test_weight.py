"""The weight of a value is what its encoding takes, and is not computed twice."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from caps.codec import encode_state
from caps.frozen import TAG_BYTES
from caps.kinds import size_of as weight
from caps.map import Map, freeze
from caps.slots import Me
from tests.caps.strategies import Point, keys, states


def holds(value: object) -> None:
    """A capability that stands in many places is encoded in each as its reference."""
    body, caps = encode_state(value)
    assert len(body) <= weight(value)
    if not caps:
        assert weight(value) == len(body)


@given(states)
def test_the_weight_is_at_least_the_size_of_the_encoding_and_exactly_without_capabilities(
    state: object,
) -> None:
    holds(freeze(state))


SIZES = st.sampled_from((5, 8, 16, 32, 64, 70)).flatmap(lambda bits: st.integers(0, (1 << bits) - 1))


@given(st.lists(SIZES, min_size=9), st.booleans())
def test_many_numbers_weigh_what_each_of_them_does(numbers: list[int], below: bool) -> None:
    holds(tuple(numbers) if not below else (*numbers, -numbers[0] - 1))


@given(st.lists(st.tuples(st.one_of(keys, st.text(max_size=3)), st.integers(), st.booleans())))
def test_the_weight_of_a_map_follows_each_put_and_drop(
    changes: list[tuple[object, int, bool]],
) -> None:
    state: Map[Any, Any] = Map({f"key{i}": i for i in range(100)})
    for key, value, gone in changes:
        try:
            state = state.drop(key) if gone and key in state else state.put(key, value)
        except Exception:  # noqa: BLE001, S112 keys that are one number clash; others stay
            continue
        holds(state)


def test_a_part_that_stands_twice_weighs_twice_and_is_weighed_once() -> None:
    state: Any = Point("x" * 1000, 0)
    for _ in range(40):
        state = Point(state, state)
    assert weight(state) > 1000 * 2**40
    assert weight(replace(state, y=0)) < weight(state)


def test_a_capability_weighs_as_much_as_the_longest_reference() -> None:
    me = Me()
    many = tuple(me(n) for n in range(70_000))
    body, caps = encode_state(many)
    assert len(caps) == 70_000 and len(body) <= weight(many) == 5 + (TAG_BYTES + 5) * 70_000
