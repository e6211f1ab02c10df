"""The values of machines: what messages, contexts and states are made of.

First-order and immutable. A step writes lists and dicts where it likes, `freeze` makes values of them;
`@record` makes a class whose instances are values from their construction on.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TypeAlias, TypeVar, cast, dataclass_transform, overload

from caps.errors import NotAValue
from caps.frozen import (
    AFFINE,
    DEPTH_MAX,
    FAILED,
    LINEAR,
    RECORD,
    RELEVANT,
    TAG_BYTES,
    Capability,
    Settled,
    head,
    order_tagged,
    order_text,
    weight_of,
)
from caps.map import Map, freeze, path_part, settle

__all__ = [
    "Affine",
    "Capability",
    "Failed",
    "Linear",
    "Map",
    "Record",
    "Relevant",
    "Typed",
    "Value",
    "freeze",
    "record",
    "restore",
]

Value: TypeAlias = object
"""None, bool, int, float, str, bytes, tuple, Map, a capability, Linear, Affine, Relevant, Failed; in states
and contexts also Me and records. Records are any number of classes, so no type says it more exactly."""

T = TypeVar("T")

_SURE = frozenset((type(None), bool, bytes))
_SMALL = 1 << 62


def _settle_slots(whole: Settled, names: tuple[str, ...]) -> None:
    """Freeze what stands in the slots of a value under construction, and note its depth."""
    deepest = 0
    for name in names:
        part: object = getattr(whole, name)
        kind = type(part)
        if kind in _SURE or (kind is int and -_SMALL < part < _SMALL):  # type: ignore[operator]
            continue
        try:
            frozen, depth = settle(part, DEPTH_MAX - 1)
        except NotAValue as error:
            raise error.within(path_part(name)) from None
        if frozen is not part:
            object.__setattr__(whole, name, frozen)
        if depth > deepest:  # noqa: PLR1730 (a call would double the cost)
            deepest = depth
    object.__setattr__(whole, "_depth", deepest + 1)


@dataclass(frozen=True, slots=True)
class _Kinded(Settled):
    """A value under a discipline; one dataclass for the three, each of which takes time to import."""

    value: Value

    def __post_init__(self) -> None:
        _settle_slots(self, ("value",))


class Linear(_Kinded):
    """A value to be passed on exactly once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(LINEAR, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of(self.value)


class Affine(_Kinded):
    """A value to be passed on at most once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(AFFINE, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of(self.value)


class Relevant(_Kinded):
    """A value to be passed on at least once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(RELEVANT, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of(self.value)


@dataclass(frozen=True, slots=True)
class Failed(Settled):
    """The outcome of an ask that got no answer: why, in one word, and what was said about it."""

    why: str
    detail: str = ""

    def __post_init__(self) -> None:
        if type(self.why) is not str or type(self.detail) is not str:
            raise NotAValue("why and detail of Failed are texts")
        _settle_slots(self, ("why", "detail"))

    def _order(self) -> bytes:
        return order_tagged(FAILED, (self.why, self.detail))

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of((self.why, self.detail))


@dataclass(frozen=True, slots=True)
class Record(Settled):
    """A record by name and fields, for which no class fits or is wanted."""

    name: str
    fields: Map[str, Value]

    def __post_init__(self) -> None:
        if type(self.name) is not str:
            raise NotAValue("the name of a record is a text")
        _settle_slots(self, ("name", "fields"))
        if not isinstance(self.fields, Map) or not all(type(key) is str for key in self.fields):
            raise NotAValue("the fields of a record are a map of texts")
        object.__setattr__(self, "_depth", self.fields._depth)

    def _order(self) -> bytes:
        return _order_record(self.name, self.fields._order())

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of((self.name, self.fields))


def _order_record(name: str, encoded_fields: bytes) -> bytes:
    return head(0xC0, RECORD) + b"\x82" + order_text(name) + encoded_fields


class Typed(Settled):
    """What every class made by `record` derives from."""

    __slots__ = ()
    __record_name__ = ""
    __record_fields__: tuple[str, ...] = ()
    __record_weight__ = 0

    def _order(self) -> bytes:
        made = Map({name: getattr(self, name) for name in self.__record_fields__})
        return _order_record(self.__record_name__, made._order())

    def _weigh(self) -> int:
        weight = self.__record_weight__
        for name in self.__record_fields__:
            weight += weight_of(getattr(self, name))
        return weight


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(*, name: str) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def record(
    cls: type[T] | None = None, /, *, name: str = ""
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a record: a frozen dataclass with slots whose fields are frozen on construction.

    It is known by the name of the class or by `name`, which must be the only one in its bundle.
    """
    if cls is not None:
        return _record(cls, cls.__name__)
    return lambda inner: _record(inner, name)


def _record(cls: type[T], name: str) -> type[T]:
    said = getattr(cls, "__post_init__", None)

    def post_init(self: Typed, *args: object) -> None:
        if said is not None:
            said(self, *args)
        _settle_slots(self, self.__record_fields__)

    body = {k: v for k, v in cls.__dict__.items() if k not in ("__dict__", "__weakref__")}
    body["__post_init__"] = post_init
    bases = tuple(base for base in cls.__bases__ if base is not object)
    if not issubclass(cls, Typed):
        bases = (*bases, Typed)
    again: type[Typed] = type(cls)(cls.__name__, bases, body)  # type: ignore[misc]
    made = dataclass(frozen=True, slots=True)(again)
    names = (inner.name for inner in fields(made))  # type: ignore[arg-type]
    made.__record_name__ = name
    made.__record_fields__ = tuple(sorted(names, key=order_text))
    empty = Map(dict.fromkeys(made.__record_fields__))
    made.__record_weight__ = TAG_BYTES + weight_of((name, empty)) - len(empty)
    return cast("type[T]", made)


def restore(cls: type[Typed], held: Map[str, Value]) -> Typed | None:
    """Return the instance of a record class with these frozen fields, None where they do not fit.

    Missing fields take their defaults. No code of the class runs, its default factories apart.
    """
    made = cls.__new__(cls)
    if tuple(held) == cls.__record_fields__:
        for name, part in held.items():
            object.__setattr__(made, name, part)
        object.__setattr__(made, "_depth", held._depth)
        return made
    known = {inner.name: inner for inner in fields(cls)}  # type: ignore[arg-type]
    if any(name not in known for name in held):
        return None
    for name, inner in known.items():
        if name in held:
            part = held[name]
        elif inner.default is not MISSING:
            part = inner.default
        elif inner.default_factory is not MISSING:
            part = inner.default_factory()
        else:
            return None
        object.__setattr__(made, name, part)
    _settle_slots(made, tuple(known))
    return made
