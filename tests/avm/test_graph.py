"""A graph of plain objects as bytes: the same graph comes back, and nothing else is taken."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.graph import BadGraph, Form, Made, NotPlain

T = TypeVar("T")


class Colour(Enum):
    RED = 1
    GREEN = "green"


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class Fixed:
    name: str
    inside: tuple[Any, ...] = ()


@dataclass(slots=True, eq=False)
class Thing:
    name: str
    other: "Thing | None" = None
    many: list[Any] = field(default_factory=list)
    colour: Colour = Colour.RED


class Slotted:
    __slots__ = ("_kept", "_never")

    def __init__(self, kept: Any) -> None:
        self._kept = kept


class Line(Generic[T]):
    __slots__ = ("parts",)

    def __init__(self, *parts: T) -> None:
        self.parts = list(parts)


class Box:
    """Something with a part that cannot be kept."""

    def __init__(self, seed: bytes, known: tuple[int, ...] = ()) -> None:
        self.seed = seed
        self.known = set(known)
        self.secret = lambda: seed


BOX = Made(
    Box, lambda box: (box.seed, tuple(sorted(box.known))), lambda _given, *parts: Box(*parts)
)
FORM = Form([Colour, Pair, Fixed, Thing, Slotted, Line], [BOX])

atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.integers(1 - (1 << 264), (1 << 264) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
keys = st.recursive(
    st.integers() | st.text() | st.binary() | st.sampled_from(Colour),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.builds(Pair, inner, inner),
    max_leaves=4,
).filter(lambda key: not isinstance(key, int) or -(1 << 64) <= key < 1 << 64)
values = st.recursive(
    atoms | st.sampled_from(Colour),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(st.text() | st.binary(), inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict)
        | st.sets(st.text() | st.integers(0, 9), max_size=4)
        | st.frozensets(st.binary(), max_size=4)
        | st.dictionaries(st.text(), st.integers(0, 9), max_size=4).map(Counter)
        | st.builds(Pair, inner, inner)
        | st.builds(Fixed, st.text(), st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=20,
)


@given(values)
def test_p02_what_is_kept_comes_back_and_gives_the_same_bytes(value: Any) -> None:
    body = FORM.dumps(value)
    again = FORM.loads_untrusted(body)
    assert again == value
    assert type(again) is type(value)
    assert FORM.dumps(again) == body


def test_two_that_refer_to_one_thing_do_so_afterwards_and_circles_stay_circles() -> None:
    shared = [1]
    one, other = Thing("one", many=[shared]), Thing("other", many=[shared])
    one.other, other.other = other, one
    again = FORM.loads_untrusted(FORM.dumps({"first": one}))["first"]
    assert again.other.other is again
    assert again.many[0] is again.other.many[0]
    again.many[0].append(2)
    assert shared == [1]


def test_a_slot_that_was_never_set_is_not_set_afterwards() -> None:
    again = FORM.loads_untrusted(FORM.dumps(Slotted(deque([1, 2]))))
    assert again._kept == deque([1, 2])
    assert not hasattr(again, "_never")


def test_what_is_generic_comes_back_under_any_python() -> None:
    again = FORM.loads_untrusted(FORM.dumps(Line(1, 2)))
    assert type(again) is Line and again.parts == [1, 2]


class Alike:
    """Things of one hash: a set has them in the order in which they came."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike) and other.number == self.number


def test_p02_a_set_gives_the_same_bytes_in_whatever_order_it_has_its_members() -> None:
    made = Made(Alike, lambda one: (one.number,), lambda _given, number: Alike(number), alike=True)
    form, numbers = Form([Pair], [made]), (3, 1, 2)
    sets: list[Any] = [{Alike(n) for n in order} for order in (numbers, numbers[::-1])]
    assert [one.number for one in sets[0]] != [one.number for one in sets[1]]
    assert form.dumps(sets[0]) == form.dumps(sets[1])
    fixed: list[Any] = [frozenset((Pair(one, 0), 4) for one in members) for members in sets]
    bodies = [form.dumps(one) for one in fixed]
    assert bodies[0] == bodies[1] == form.dumps(form.loads_untrusted(bodies[0]))


def test_what_is_more_than_its_fields_is_made_anew_and_stays_one() -> None:
    box = Box(b"seed", (3, 1))
    first, second = FORM.loads_untrusted(FORM.dumps([box, box]))
    assert first is second
    assert (first.seed, first.known, first.secret()) == (b"seed", {1, 3}, b"seed")


def test_a_long_chain_is_no_deep_one() -> None:
    thing = None
    for number in range(20_000):
        thing = Thing(str(number), thing)
    again = FORM.loads_untrusted(FORM.dumps(thing))
    assert again.other.other.name == "19997"


@pytest.mark.parametrize(
    "value",
    [object(), len, 1 << 264, -(1 << 264), deque([1], 3), complex(1, 2), bytearray(b"x")],
    ids=lambda value: type(value).__name__,
)
def test_what_the_form_does_not_know_is_not_kept(value: object) -> None:
    with pytest.raises(NotPlain):
        FORM.dumps([value])


def test_what_is_nested_too_deeply_is_not_kept() -> None:
    value: Any = ()
    for _ in range(100):
        value = (value,)
    with pytest.raises(NotPlain, match="deeply"):
        FORM.dumps(value)


def said(root: Any, *nodes: Any, classes: Any = ()) -> bytes:
    return cbor2.dumps([1, list(classes), root, list(nodes)])


THING = ["tests.avm.test_graph.Thing", "name", "other", "many", "colour"]
FIXED = ["tests.avm.test_graph.Fixed", "name", "inside"]
COLOUR = ["tests.avm.test_graph.Colour"]
MADE = ["tests.avm.test_graph.Box"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        cbor2.dumps([1, [], 0]),
        cbor2.dumps([2, [], 0, []]),
        cbor2.dumps([1, [], 0, [], 0]),
        said([0, 0]),
        said([0, -1], [0]),
        said([9]),
        said({}),
        said([]),
        said([0, 0], [8]),
        said([0, 0], 7),
        said([0, 0], [1, "key"]),
        said([0, 0], [1, "key", 1, "key", 2]),
        said([0, 0], [1, [0, 0], 1]),
        said([0, 0], [2, [0, 0]]),
        said([0, 0], [5, 1]),
        said([4, 0, "x", [1]]),
        said([4, 0, "x"], classes=[FIXED]),
        said([4, 0, 5, [1]], classes=[FIXED]),
        said([4, 0, "x", 5], classes=[FIXED]),
        said([3, 0, "blue"], classes=[COLOUR]),
        said([3, 0, [1]], classes=[COLOUR]),
        said([3, 0, 1], classes=[FIXED]),
        said([4, 0], classes=[COLOUR]),
        said([0, 0], [6, 0, "x", None, [0, 1]], [0], classes=[THING]),
        said([0, 0], [6, 0, "x", None, [0, 1], 1], [0], classes=[THING]),
        said([0, 0], [6, 0, "x", [0, 1], [0, 1], [3, 1, 1]], [0], classes=[THING, COLOUR]),
        said([0, 0], [6, 0, [5], None, [0, 1], [3, 1, 1]], [0], classes=[THING, COLOUR]),
        said([0, 0], [6, 0, "x", None], classes=[["tests.avm.test_graph.Thing", "name", "other"]]),
        said([0, 0], [6, 0, "x"], classes=[["os.system", "name"]]),
        said([0, 0], [6, 0], classes=[MADE]),
        said([0, 0], [7, 0, 1], classes=[MADE]),
        said([0, 0], [7, 0, [1]], classes=[MADE]),
        said([0, 0], [7, 0, [1, b"x", [1], 1]], classes=[MADE]),
        said([0, 0], [7, 0, [0, 1]], [0], classes=[MADE]),
        said([0, 0], [7, 0, [1, "x"]], classes=[FIXED]),
    ],
)
def test_p08_bytes_that_are_no_graph_raise_only_the_declared_error(body: bytes) -> None:
    with pytest.raises(BadGraph):
        FORM.loads_untrusted(body)


@given(st.data())
def test_p08_a_changed_byte_raises_only_the_declared_error(data: Any) -> None:
    one = Thing("one", many=[Pair(1, (2,)), Fixed("f", (Colour.GREEN,))])
    body = bytearray(FORM.dumps([one, {"k": deque([1])}, Slotted({3}), Box(b"s")]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    try:
        FORM.loads_untrusted(bytes(body))
    except BadGraph:
        return
