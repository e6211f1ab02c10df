"""Differences by path: each path leads to what was there, and nothing that differs is left out."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from avm.past.paths import Change, Kind, changes
from caps.frozen import order_of
from caps.map import Map
from caps.slots import Foreign
from caps.value import Capability, Linear, Record, Value, freeze

ATOMS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "a", "b", b"x"])
KEYS = st.sampled_from(["ann", "bob", 3, True, ("a", 1), b"k"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    ATOMS | st.builds(Foreign, st.integers(0, 2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3).map(freeze),
        st.builds(
            lambda name, fields: Record(name, Map(fields)),
            st.sampled_from(["Account", "Order"]),
            st.dictionaries(st.sampled_from(["owner", "balance"]), inner, max_size=2),
        ),
        st.builds(Linear, ATOMS),
    ),
    max_leaves=12,
)


def name(cap: Capability) -> str:
    assert isinstance(cap, Foreign)
    return f"slot {cap._slot}"


class At:
    """A value that a path is followed in."""

    def __init__(self, value: Value) -> None:
        self.it = value

    def __getattr__(self, field: str) -> "At":
        if isinstance(self.it, Record):
            return At(self.it.fields[field])
        assert field == "value" and isinstance(self.it, Linear)
        return At(self.it.value)

    def __getitem__(self, key: Any) -> "At":
        assert isinstance(self.it, Map | tuple)
        return At(self.it[key])


def found(was: Value, now: Value) -> list[Change]:
    return list(changes(was, now, name))


def at(value: Value, path: str) -> Value:
    got: At = eval(path, {"state": At(value), "__builtins__": {"True": True, "False": False}})
    return got.it


@given(VALUES, VALUES)
@settings(max_examples=80)
def test_x05_a_path_is_python_that_leads_to_what_differs(was: Value, now: Value) -> None:
    for change in found(was, now):
        if change.kind is not Kind.ADDED:
            assert order_of(at(was, change.path)) == order_of(change.was)
        else:
            assert order_of(at(now, change.path)) == order_of(change.now)


@given(VALUES, VALUES)
@settings(max_examples=80)
def test_x05_two_states_are_the_same_when_nothing_differs_and_only_then(
    was: Value, now: Value
) -> None:
    assert bool(found(was, now)) == (order_of(was) != order_of(now))
    assert not found(was, was)


@given(st.integers(1, 400), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=30)
def test_x05_a_queue_that_moves_on_is_what_left_and_what_came(
    items: int, left: int, came: int
) -> None:
    was = tuple(range(items))
    now = (*was[left:], *range(items, items + came))
    told = found(was, now)
    assert {one.was for one in told if one.kind is Kind.REMOVED} <= set(was[:left])
    if left < items:
        assert len(told) == left + came


def test_x05_of_very_many_items_that_differ_each_is_compared_with_the_one_in_its_place() -> None:
    was, now = tuple(range(2_000)), tuple(range(1, 2_001))
    assert len(found(was, now)) == 2_000


def test_x05_each_kind_of_value_has_its_path() -> None:
    state, later = (
        Record("Bank", Map({"accounts": Map({"ann": Record("A", Map({"balance": balance}))})}))
        for balance in (5, 7)
    )
    (change,) = found(state, later)
    assert change == Change('state.accounts["ann"].balance', Kind.CHANGED, 5, 7)
    pairs: tuple[tuple[Any, Any, str], ...] = (
        ({3: 1}, {3: True}, "state[3]"),
        ({("a", 1): 0}, {}, 'state[("a", 1)]'),
        ({Foreign(2): 0}, {}, "state[<slot 2>]"),
        ((1, 2), (1, 3), "state[1]"),
        (Linear(1), Linear(2), "state.value"),
        (1, 1.0, "state"),
        ({"a b": 1}, {}, 'state["a b"]'),
    )
    for was, now, path in pairs:
        assert [one.path for one in found(freeze(was), freeze(now))] == [path]
