"""`record`, which makes a class whose instances are values from their construction on."""

from collections.abc import Callable
from dataclasses import _FIELD, MISSING, Field, FrozenInstanceError, dataclass, field, fields  # type: ignore[attr-defined]
from typing import NoReturn, TypeVar, cast, dataclass_transform, overload

from caps.frozen import TAG_BYTES, Settled, order_text, weight_of
from caps.map import Map
from caps.value import Value, order_record, settle_slots

T = TypeVar("T")


class Typed(Settled):
    """What every class made by `record` derives from."""

    __slots__ = ()
    __record_name__ = ""
    __record_fields__: tuple[str, ...] = ()
    __record_weight__ = 0

    def _order(self) -> bytes:
        made = Map({name: getattr(self, name) for name in self.__record_fields__})
        return order_record(self.__record_name__, made._order())

    def _weigh(self) -> int:
        weight = self.__record_weight__
        for name in self.__record_fields__:
            weight += weight_of(getattr(self, name))
        return weight


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(*, name: str = "") -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def record(
    cls: type[T] | None = None, /, *, name: str = ""
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a record: a frozen dataclass with slots whose fields are frozen on construction.

    It is known by the name of the class or by `name`, which must be the only one in its bundle.
    """
    if cls is not None:
        return _record(cls, cls.__name__)
    return lambda inner: _record(inner, name or inner.__name__)


def _record(cls: type[T], name: str) -> type[T]:
    if "__dataclass_fields__" in vars(cls):
        raise TypeError(f"{cls.__name__}: @record makes a dataclass of it, leave @dataclass out")
    said = getattr(cls, "__post_init__", None)

    def post_init(self: Typed, *args: object) -> None:
        if said is not None:
            said(self, *args)
        settle_slots(self, self.__record_fields__)

    body = {k: v for k, v in cls.__dict__.items() if k not in ("__dict__", "__weakref__")}
    body["__post_init__"] = post_init
    bases = tuple(base for base in cls.__bases__ if base is not object)
    if not issubclass(cls, Typed):
        bases = (*bases, Typed)
    again: type[Typed] = type(cls)(cls.__name__, bases, body)  # type: ignore[misc]
    made = dataclass(frozen=True, slots=True)(again)
    made.__setattr__, made.__delattr__ = _refuse_set, _refuse_set  # type: ignore[method-assign,assignment]
    if "__init__" not in body and all(map(_is_plain, made.__dataclass_fields__.values())):  # type: ignore[attr-defined]
        made.__init__ = _init(made)  # type: ignore[method-assign]
    names = (inner.name for inner in fields(made))  # type: ignore[arg-type]
    made.__record_name__ = name
    made.__record_fields__ = tuple(sorted(names, key=order_text))
    empty = Map(dict.fromkeys(made.__record_fields__))
    made.__record_weight__ = TAG_BYTES + weight_of((name, empty)) - len(empty)
    return cast("type[T]", made)


def _refuse_set(self: Typed, name: str, *_value: object) -> NoReturn:
    """Stands for `dataclass`'s own, which with slots fails in other words where there is no such field."""
    why = "a record does not change, replace(..) gives another"
    raise FrozenInstanceError(f"cannot assign to field {name!r}: {why}")


def _is_plain(inner: Field[object]) -> bool:
    """Whether a field is one that the constructor takes as it comes."""
    if not inner.init or inner.kw_only or inner.default_factory is not MISSING:
        return False
    return inner._field_type is _FIELD and inner.name != "self"  # type: ignore[attr-defined]


def _init(made: type[Typed]) -> Callable[..., None]:
    """A constructor as `dataclass` makes it, but that it writes each slot by its descriptor.

    That takes half the time, and a step makes a new state with nearly every message.
    """
    inner: dict[str, Field[object]] = made.__dataclass_fields__  # type: ignore[attr-defined]
    given: dict[str, object] = {f"_put_{name}": getattr(made, name).__set__ for name in inner}
    given |= {f"_else_{n}": f.default for n, f in inner.items() if f.default is not MISSING}
    said = [f"{name}=_else_{name}" if f"_else_{name}" in given else name for name in inner]
    given["_weight"] = vars(Settled)["_weight"].__set__
    lines = ["_weight(self, -1)", *(f"_put_{name}(self, {name})" for name in inner)]
    lines.append("self.__post_init__()")
    body = f" def __init__(self, {', '.join(said)}):\n  " + "\n  ".join(lines)
    scope: dict[str, Callable[..., Callable[..., None]]] = {}
    exec(f"def make({', '.join(given)}):\n{body}\n return __init__", {"__builtins__": {}}, scope)  # noqa: S102 of names
    init = scope["make"](**given)
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__annotations__ = made.__init__.__annotations__
    return init


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
    settle_slots(made, tuple(known))
    return made
