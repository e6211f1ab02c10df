"""Light dataclasses are what `dataclasses` would make of the same class."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from avm import Message, Send
from caps import light
from caps.value import Failed, Linear

SLOW = ("dataclasses", "typing", "inspect", "re", "enum", "functools")


@light.dataclass(frozen=True, slots=True)
class Light:
    a: int
    b: object = "else"

    def __post_init__(self) -> None:
        if self.a == 13:
            raise ValueError("13")

    def sum(self) -> int:
        return self.a + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    a: int
    b: object = "else"

    def __post_init__(self) -> None:
        if self.a == 13:
            raise ValueError("13")


@light.dataclass(frozen=True, slots=True)
class One:
    a: object


@light.dataclass(frozen=True, slots=True)
class Empty:
    """Nothing but itself."""


@light.dataclass(slots=True)
class Open:
    a: int
    b: list[int] = light.field(default_factory=list)
    c: str = "else"


@dataclasses.dataclass(slots=True)
class PlainOpen:
    a: int
    b: list[int] = dataclasses.field(default_factory=list)
    c: str = "else"


@light.dataclass(frozen=True, slots=True)
class Made:
    b: list[int] = light.field(default_factory=list)


def test_one_that_can_be_changed_is_what_a_dataclass_is() -> None:
    one, plain = Open(1, c="c"), PlainOpen(1, c="c")
    assert repr(one) == repr(plain).replace("PlainOpen", "Open")
    one.b.append(2)
    assert one.b == [2] and Open(1).b == [] == Made().b and Open(1, [3]).b == [3]
    one.a = 5
    assert one == Open(5, [2], "c") != Open(5) and not hasattr(one, "__dict__")
    for unhashable in (one, plain):
        with pytest.raises(TypeError, match="unhashable"):
            hash(unhashable)
    with pytest.raises(AttributeError):
        one.d = 1  # type: ignore[attr-defined]
    said = [
        [(f.name, f.type, f.default, f.default_factory) for f in dataclasses.fields(cls)]
        for cls in (Open, PlainOpen)
    ]
    assert said[0] == said[1]
    params: list[Any] = [Open, PlainOpen, Light]
    assert [cls.__dataclass_params__.frozen for cls in params] == [False, False, True]
    assert dataclasses.replace(one, a=6) == Open(6, [2], "c")
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert get_type_hints(Open.__init__) == get_type_hints(PlainOpen.__init__)
    match one:
        case Open(a, b, c):
            assert (a, b, c) == (5, [2], "c")


@pytest.mark.parametrize("args", [(1,), (1, None), (1, float("nan")), (2, (1, "two"))])
def test_it_equals_and_hashes_and_shows_as_a_dataclass_does(args: tuple[Any, ...]) -> None:
    one, plain = Light(*args), Plain(*args)
    other: object = plain
    assert one == Light(*args) and one != Light(7) and one != other
    assert hash(one) == hash(plain)
    assert repr(one) == repr(plain).replace("Plain", "Light")
    assert (one.a, one.b) == (plain.a, plain.b)
    assert hash(One(args)) == hash((args,)) and repr(One(1)) == "One(a=1)"
    assert hash(Empty()) == hash(()) and Empty() == Empty() and repr(Empty()) == "Empty()"


def test_it_is_made_by_position_and_by_name_and_runs_what_comes_after() -> None:
    assert Light(b=2, a=1) == Light(1, 2) and Light(1).sum() == 2
    made: Any = Light
    for given, named in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 2})):
        with pytest.raises(TypeError, match=r"Light\.__init__\(\)"):
            made(*given, **named)
    with pytest.raises(ValueError, match="13"):
        Light(13)
    assert get_type_hints(Light.__init__) == get_type_hints(Plain.__init__)


def test_it_cannot_be_changed() -> None:
    one: Any = Light(1)
    for name in ("a", "b", "c"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(one, name, 2)
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            delattr(one, name)
    assert not hasattr(one, "__dict__") and one == Light(1)


def test_dataclasses_takes_it_for_its_own() -> None:
    for cls in (Light, Message, Send, Failed, Linear):
        assert dataclasses.is_dataclass(cls)
    said = [[(f.name, f.type, f.default) for f in dataclasses.fields(c)] for c in (Light, Plain)]
    assert said[0] == said[1]
    assert dataclasses.replace(Light(1), b=3) == Light(1, 3)
    assert dataclasses.asdict(Light(1)) == {"a": 1, "b": "else"}
    assert dataclasses.replace(Linear(1), value=[2]) == Linear((2,))

    @dataclasses.dataclass(frozen=True)
    class More(Light):
        c: int = 3

    assert More(1) == More(1, "else", 3)


def test_it_matches_and_copies_and_pickles() -> None:
    match Light(1, 2):
        case Light(a, b):
            assert (a, b) == (1, 2)
    assert copy.copy(Light(1, 2)) == copy.deepcopy(Light(1, 2)) == Light(1, 2)
    assert pickle.loads(pickle.dumps(Light(1, 2))) == Light(1, 2)


@pytest.mark.net
def test_the_face_imports_neither_dataclasses_nor_typing() -> None:
    said = f"import sys, avm; print([name for name in {SLOW} if name in sys.modules])"
    root = Path(light.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-S", "-c", said], check=False, capture_output=True, cwd=root
    )
    assert run.stdout == b"[]\n", run.stderr


def test_the_face_gives_all_it_names() -> None:
    import avm

    for name in avm.__all__:
        assert getattr(avm, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = avm.nothing  # type: ignore[attr-defined]
