"""What is a value, what becomes one and what is refused."""

import math
from dataclasses import FrozenInstanceError, dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps.errors import NotAValue, TooBig, TooDeep
from caps.frozen import DEPTH_MAX, NAN, depth_of
from caps.map import Map, freeze
from caps.record import record, restore
from caps.slots import Foreign, Me
from caps.value import Affine, Failed, Linear, Record, Relevant
from tests.caps.strategies import Named, Point, contents, exact, states


@given(states)
def test_freezing_a_frozen_value_gives_the_same_object(value: object) -> None:
    once = freeze(value)
    assert freeze(once) is once


@given(contents)
def test_a_frozen_value_is_hashable_and_equals_itself(value: object) -> None:
    once = freeze(value)
    assert once == freeze(value)
    assert hash(once) == hash(freeze(value))


def measured_depth(value: object) -> int:
    match value:
        case tuple():
            return 1 + max(map(measured_depth, value), default=0)
        case Map():
            return 1 + max(map(measured_depth, value.values()), default=0)
        case Point():
            return 1 + max(measured_depth(value.x), measured_depth(value.y))
        case Named():
            return 1 + max(map(measured_depth, (value.who, value.b, value.aa)))
        case Linear() | Affine() | Relevant():
            return 1 + measured_depth(value.value)
        case Record():
            return measured_depth(value.fields)
        case Me():
            return 1 + max(map(measured_depth, value._within), default=0)
        case Failed():
            return 1
    return 0


@given(states)
def test_the_depth_a_value_remembers_is_its_depth(value: object) -> None:
    frozen = freeze(value)
    assert depth_of(frozen) == measured_depth(frozen)


def test_lists_dicts_and_bytearrays_are_frozen_on_the_way() -> None:
    inner = [1, {"b": bytearray(b"x"), "a": memoryview(b"y")}]
    frozen = freeze({"k": inner})
    inner.append(2)
    assert frozen == Map({"k": (1, Map({"a": b"y", "b": b"x"}))})


def test_there_is_one_zero_and_one_nan() -> None:
    assert math.copysign(1.0, freeze(-0.0)) == 1.0  # type: ignore[arg-type]
    read = float("0")
    assert freeze(read) is read
    assert freeze(-NAN) is NAN
    assert freeze([math.nan]) == freeze([float("nan")])
    assert exact([-0.0]) == exact([0.0])


class Colour(Enum):
    RED = 1


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


@dataclass(slots=True)
class Plain:
    x: int


class Bare:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Colour.RED, "a member of Colour is no value, use its .value"),
        ({"a": [0, Number.ONE]}, "at .a[1]: a member of Number is no value, use its .value"),
        (Word.YES, "a member of Word is no value, use its .value"),
        ({"a b": Text("x")}, "at ['a b']: a Text is no value, make it exactly str"),
        ({1}, "a set is no value, sorted(..) of it is one"),
        (object(), "a object is no value"),
        (date(2020, 1, 1), "a date is no value, its .isoformat() is one"),
        (timedelta(1), "a timedelta is no value, its .total_seconds() is one"),
        (Decimal("1.5"), "a Decimal is no value, its str(..) is one"),
        (range(3), "a range is no value, list(..) of it is one"),
        (Plain(1), "a Plain is no value, a @record is one"),
        (Bare(), "a Bare is no value, a @record is one"),
        (len, "a builtin_function_or_method is no value"),
        (1j, "a complex is no value"),
        (int, "a type is no value"),
        ({"a": "\ud800"}, "at .a: a text with half a surrogate pair is no value"),
        ({"\ud800": 1}, "a text with half a surrogate pair is no value"),
        ({1: ({2: {3}},)}, "at [1][0][2]: a set is no value, sorted(..) of it is one"),
        ({frozenset(): 1}, "a frozenset is no value, sorted(..) of it is one"),
        ({Linear(1): 1}, "a Linear cannot be a key"),
        ({(Map(),): 1}, "a tuple cannot be a key"),
    ],
)
def test_what_is_no_value_is_named_with_its_place(value: object, message: str) -> None:
    with pytest.raises(NotAValue) as caught:
        freeze(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("number", [1 << 4096, -(1 << 4096), 10**2000])
def test_integers_over_4096_bits_are_too_big(number: int) -> None:
    with pytest.raises(TooBig):
        freeze([number])


@pytest.mark.parametrize("number", [(1 << 4096) - 1, 1 - (1 << 4096)])
def test_integers_of_4096_bits_are_values(number: int) -> None:
    assert freeze(number) == number


def nested(levels: int, kind: str) -> object:
    value: object = 0
    for _ in range(levels):
        match kind:
            case "list":
                value = [value]
            case "dict":
                value = {"k": value}
            case "linear":
                value = Linear(value)
            case "record":
                value = Point(value)
    return value


@pytest.mark.parametrize("kind", ["list", "dict", "linear", "record"])
def test_64_containers_are_a_value_and_65_are_too_deep(kind: str) -> None:
    assert depth_of(freeze(nested(DEPTH_MAX, kind))) == DEPTH_MAX
    with pytest.raises(TooDeep):
        freeze(nested(DEPTH_MAX + 1, kind))
    with pytest.raises(TooDeep):
        freeze([nested(DEPTH_MAX, kind)])
    with pytest.raises(TooDeep):
        freeze(nested(3, kind), depth=2)


def test_a_cyclic_list_is_too_deep() -> None:
    cyclic: list[object] = [1]
    cyclic.append(cyclic)
    with pytest.raises(TooDeep):
        freeze(cyclic)
    with pytest.raises(TooDeep):
        freeze({"a": cyclic})


def test_a_record_freezes_its_fields_on_construction() -> None:
    point = Point([1, [2]], {"b": 1, "a": -0.0})
    assert point.x == (1, (2,))
    assert point.y == Map({"a": 0.0, "b": 1})
    assert freeze(point) is point
    assert replace(point, y=[3]) == Point((1, (2,)), (3,))
    with pytest.raises(FrozenInstanceError):
        point.x = 1  # type: ignore[misc]
    with pytest.raises(NotAValue, match=r"^at \.y\[0\]: a set is no value, sorted"):
        Point(1, [{2}])


def test_a_record_matches_by_position_and_by_name() -> None:
    match Point(1, 2):
        case Point(1, y=y):
            assert y == 2
        case _:
            pytest.fail("a record did not match")


def test_a_record_is_known_by_its_class_or_the_name_given() -> None:
    assert Point.__record_name__ == "Point"  # type: ignore[attr-defined]
    assert Named.__record_name__ == "Odd name"  # type: ignore[attr-defined]
    assert Named.__record_fields__ == ("b", "aa", "who")  # type: ignore[attr-defined]


def test_a_record_needs_no_name_and_no_dataclass() -> None:
    @record()
    class Called:
        x: int = 0

    assert Called.__record_name__ == "Called"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="Twice: @record makes a dataclass of it"):

        @record
        @dataclass
        class Twice:
            x: int = 0


@pytest.mark.parametrize("name", ["x", "missing"])
def test_a_record_that_is_changed_says_what_gives_a_changed_one(name: str) -> None:
    point = Point(1, 2)
    said = f"field '{name}': .*replace"
    with pytest.raises(FrozenInstanceError, match=said):
        setattr(point, name, 3)
    with pytest.raises(FrozenInstanceError, match=said):
        delattr(point, name)
    assert point == Point(1, 2)


@record
class Base:
    first: int

    def doubled(self) -> int:
        return self.first * 2


@record
class Derived(Base):
    second: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("negative")


def test_records_inherit_check_themselves_and_take_factories() -> None:
    derived = Derived(4)
    assert derived.second == ()  # type: ignore[comparison-overlap]
    assert derived.doubled() == 8
    assert freeze([derived]) == (derived,)
    with pytest.raises(ValueError, match="negative"):
        Derived(-1)
    assert not hasattr(derived, "__dict__")


def restored(cls: type, held: dict[str, object]) -> object:
    return restore(cls, Map(held))


def test_a_record_is_restored_only_from_fields_that_fit() -> None:
    assert restored(Point, {"x": 1}) == Point(1, 0)
    assert restored(Point, {"x": 1, "y": 2}) == Point(1, 2)
    assert restored(Point, {"y": 1}) is None
    assert restored(Point, {"x": 1, "z": 2}) is None
    assert restored(Derived, {"first": -1}) is not None


def test_wrappers_and_failed_match_and_freeze() -> None:
    match Failed("late", "by 3 s"), Linear([1]):
        case Failed("late", detail), Linear((1,)):
            assert detail == "by 3 s"
        case _:
            pytest.fail("did not match")
    assert exact(Linear(1)) != exact(Affine(1))
    assert Record("R", {"b": [1]}).fields == Map({"b": (1,)})  # type: ignore[arg-type]
    with pytest.raises(NotAValue):
        Failed(1)  # type: ignore[arg-type]
    with pytest.raises(NotAValue):
        Record("R", {1: 1})  # type: ignore[arg-type]


@given(st.integers(0, 5))
def test_capabilities_are_values_as_they_are(slot: int) -> None:
    capability = Foreign(slot)
    assert freeze(capability) is capability
    assert freeze([capability]) == (Foreign(slot),)
