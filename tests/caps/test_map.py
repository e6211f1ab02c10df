"""The map: persistent, in canonical order, exact about its keys."""

from collections.abc import Mapping
from copy import copy, deepcopy
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.errors import NotAValue, TooDeep
from caps.frozen import depth_of, order_of
from caps.map import Map, freeze
from caps.slots import NULL, Foreign, Me
from caps.tree import WIDTH, Branch, Leaf, Node, place
from tests.caps.strategies import atoms, capabilities, exact, keys, plain_keys

changes = st.lists(
    st.tuples(st.booleans(), st.one_of(st.integers(0, 40), st.sampled_from("abcdefgh")), atoms),
    max_size=80,
)


def check_tree(node: Node, least: int = 0) -> tuple[int, int, int]:
    """Check one subtree and return its size, depth and number of odd keys."""
    if isinstance(node, Leaf):
        places = [place(stored) for stored in node.entries]
        assert places == sorted(set(places))
        assert least <= len(places) <= WIDTH
        odd = sum(type(stored) is tuple for stored in node.entries)
        found = (len(places), max(map(depth_of, node.entries.values()), default=0), odd)
    else:
        assert isinstance(node, Branch)
        assert max(least, 2) <= len(node.kids) <= WIDTH
        assert len(node.firsts) == len(node.kids) - 1
        parts = [check_tree(kid, WIDTH // 4) for kid in node.kids]
        found = (sum(p[0] for p in parts), max(p[1] for p in parts), sum(p[2] for p in parts))
    assert found == (node.size, node.depth, node.odd)
    return found


def check(held: Map[object, object], model: dict[object, object]) -> None:
    check_tree(held._root)
    assert len(held) == len(model)
    assert dict(held.items()) == model
    assert list(held) == list(held.keys()) == sorted(model, key=order_of)
    assert list(held.values()) == [model[key] for key in held]


@settings(max_examples=60)
@given(changes)
def test_puts_and_drops_are_those_of_a_dict(steps: list[tuple[bool, object, object]]) -> None:
    held: Map[object, object] = Map()
    model: dict[object, object] = {}
    for dropping, key, value in steps:
        before, copied = held, dict(model)
        if dropping and key in model:
            held = held.drop(key)
            del model[key]
        elif dropping:
            with pytest.raises(KeyError):
                held.drop(key)
        else:
            held = held.put(key, value)
            model[key] = freeze(value)
        check(before, copied)
    check(held, model)
    again: Map[object, object] = Map(model)
    assert held == again
    assert hash(held) == hash(again)
    assert exact(held) == exact(again)


def test_a_large_map_stays_a_tree_through_thousands_of_changes() -> None:
    random = Random(1)
    held: Map[object, object] = Map({f"k{n}": n for n in range(3000)})
    model: dict[object, object] = dict(held)
    for turn in range(3000):
        key: object = random.choice([f"k{random.randrange(4000)}", -random.randrange(2, 4000)])
        if key in model and (random.random() < 0.3 or turn > 2000):
            held = held.drop(key)
            del model[key]
        else:
            held = held.put(key, value := random.choice([turn, (turn,), ((turn,),)]))
            model[key] = value
        if turn % 300 == 0:
            check(held, model)
    for key in list(model):
        held = held.drop(key)
        del model[key]
    check(held, {})
    assert held == Map()


def test_a_large_map_forgets_the_depth_of_what_is_gone() -> None:
    flat: Map[object, object] = Map({f"k{n}": n for n in range(2000)})
    deep = flat.put("k77", ((1,),))
    assert (depth_of(flat), depth_of(deep)) == (1, 3)
    assert depth_of(deep.put("k77", (1,))) == 2
    assert depth_of(deep.drop("k77")) == 1
    check_tree(deep.put("k77", 0)._root)


@given(st.lists(plain_keys, max_size=12))
def test_keys_stand_in_the_order_of_their_encodings(some: list[object]) -> None:
    held: Map[object, object] = Map(dict.fromkeys(some))
    places = [order_of(key) for key in held]
    assert places == sorted(places)


@given(st.dictionaries(keys, atoms, max_size=12), keys)
def test_a_lookup_finds_what_was_put_and_nothing_else(
    model: dict[object, object], other: object
) -> None:
    held = Map(model)
    for key, value in model.items():
        assert exact(held[key]) == exact(held.get(key)) == exact(value)
        assert key in held
    if exact(other) not in {exact(key) for key in model}:
        assert other not in held
        assert held.get(other, 7) == 7


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (True, 1.0), (0, False), (2**60, 2.0**60)])
def test_numbers_that_are_equal_are_no_two_keys(pair: tuple[object, object]) -> None:
    for one, other in (pair, pair[::-1]):
        with pytest.raises(NotAValue, match=r"^keys .* and .* are equal$"):
            Map([(one, "a"), (other, "b")])
        held: Map[object, object] = Map({one: "a"})
        with pytest.raises(NotAValue, match=r"^keys .* and .* are equal$"):
            held.put(other, "b")
        with pytest.raises(KeyError):
            held[other]
        assert other not in held
        assert held[one] == "a"
        assert held.drop(one).put(other, "b") == Map({other: "b"})
    with pytest.raises(NotAValue, match=r"^keys 1 and True are equal$"):
        Map({1: 0}).put(True, 0)


def test_the_last_of_two_pairs_with_one_key_counts() -> None:
    assert Map([("a", 1), ("b", 2), ("a", 3)]) == {"a": 3, "b": 2}


def test_a_map_matches_as_a_mapping() -> None:
    match Map({"op": "add", "n": 2, "rest": ()}):
        case {"op": "add", "n": int(n), **rest}:
            assert n == 2
            assert rest == {"rest": ()}
        case _:
            pytest.fail("a map did not match")
    assert isinstance(Map(), Mapping)


def test_what_is_put_is_frozen_and_bounded() -> None:
    held = Map[object, object]().put("a", [1, {"b": []}])
    assert held["a"] == (1, Map({"b": ()}))
    deep: object = 0
    for _ in range(64):
        deep = (deep,)
    with pytest.raises(TooDeep):
        held.put("b", deep)
    with pytest.raises(NotAValue, match=r"^at \.b\[0\]: a set is no value, sorted"):
        held.put("b", [{1}])
    with pytest.raises(NotAValue, match="cannot be a key"):
        held.put(Me(), 1)


def test_changing_a_map_leaves_the_old_one() -> None:
    old = Map({"a": 1, "b": 2})
    assert old.put("a", 9) == {"a": 9, "b": 2}
    assert old.drop("b") == {"a": 1}
    assert old.put("c", 3) == {"a": 1, "b": 2, "c": 3}
    assert old == {"a": 1, "b": 2}
    assert old.put("a", 1) == old
    assert copy(old) is deepcopy(old) is old
    assert repr(old) == "Map({'a': 1, 'b': 2})"


@given(st.lists(capabilities, max_size=6))
def test_capabilities_are_keys_in_the_order_of_their_references(some: list[object]) -> None:
    held: Map[object, object] = Map(dict.fromkeys(some, 1))
    assert set(held) == set(some)
    kinds = [("_Handle", "Own", "Common").index(type(key).__name__) for key in held]
    assert kinds == sorted(kinds)


def test_lookups_of_what_can_be_no_key_find_nothing() -> None:
    held: Map[object, object] = Map({Foreign(1): 1, NULL: 2, (1, "a"): 3})
    assert [] not in held
    assert {} not in held
    assert held[Foreign(1)] == 1
    assert held[(1, "a")] == 3
    assert (True, "a") not in held
    with pytest.raises(KeyError):
        held[{1}]
