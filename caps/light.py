"""Dataclasses made in a sixth of the time, frozen instances in half, and what else stands for `typing` here.

A step's file imports the values that are written with these. `dataclasses` and `typing` take longer
to import than all of ours, so neither is imported until it is asked for; checkers of types read the
originals. A running host has more than a hundred such classes, each of which takes `dataclasses` half a
millisecond, and a frozen one a whole one. What `dataclasses` says of a class
(`fields`, `replace`, `is_dataclass`) it says of these; that takes its time when it is first asked.
"""

from __future__ import annotations

import sys
from operator import attrgetter

TYPE_CHECKING = False

if TYPE_CHECKING:
    from dataclasses import dataclass, field
    from typing import Any, cast, overload
else:

    def dataclass(*, frozen=False, slots):
        """Make a class, by its annotations, one of instances with slots, frozen or not."""
        assert slots
        return _frozen if frozen else _plain

    class field:
        """The default of a field: what a function makes anew for each instance."""

        __slots__ = ("make",)

        def __init__(self, *, default_factory):
            self.make = default_factory

    def cast(_kind, value):
        """Return the value, which a checker takes to be of this type."""
        return value

    def overload(function):
        """Return the function, one of a call's forms for a checker."""
        return function


__all__ = ["TYPE_CHECKING", "cast", "dataclass", "field", "later", "overload"]


def later(module: str, name: str) -> Any:
    """Return what a module calls by this name, and import it if nobody has."""
    return getattr(__import__(module, fromlist=(name,)), name)


_Field = field


class _Described:
    """What `dataclasses` notes of a class of its own, taken from a twin when it first asks."""

    def __init__(self, name: str, about: dict[str, Any], frozen: bool) -> None:
        self._name = name
        self._about = about
        self._frozen = frozen
        self._noted: object = None

    def __get__(self, _instance: object, _owner: type) -> Any:
        if self._noted is None:
            given: Any = later("dataclasses", "field")
            about = {
                name: given(default_factory=value.make) if type(value) is _Field else value
                for name, value in self._about.items()
            }
            twin = type("_Twin", (), about)
            made = later("dataclasses", "dataclass")(frozen=self._frozen)(twin)
            self._noted = vars(made)[self._name]
        return self._noted


def _plain(cls: type) -> type:
    """A class of instances that can be changed, and therefore have no hash."""
    return _made(cls, {"__hash__": None}, frozen=False)


def _frozen(cls: type) -> type:
    """A class of instances that cannot."""
    names = tuple(cls.__annotations__)
    made = _made(cls, _fixed(names), frozen=True)

    def refuse_set(self: object, name: str, value: object) -> None:
        if type(self) is made or name in names:
            raise later("dataclasses", "FrozenInstanceError")(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def refuse_delete(self: object, name: str) -> None:
        if type(self) is made or name in names:
            raise later("dataclasses", "FrozenInstanceError")(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    made.__setattr__ = refuse_set  # type: ignore[method-assign, assignment]
    made.__delattr__ = refuse_delete  # type: ignore[method-assign, assignment]
    return made


def _made(cls: type, own: dict[str, Any], *, frozen: bool) -> type:
    given = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    names = tuple(cls.__annotations__)
    defaults = {name: given.pop(name) for name in names if name in given}
    about = {"__annotations__": cls.__annotations__, "__module__": cls.__module__, **defaults}
    noted = ("__dataclass_fields__", "__dataclass_params__")
    body = {**_methods(names), **own, **{n: _Described(n, about, frozen) for n in noted}, **given}
    body |= {"__slots__": names, "__match_args__": names, "__qualname__": cls.__qualname__}
    made = type(cls)(cls.__name__, cls.__bases__, body)
    if "__init__" not in given:
        made.__init__ = _init(made, names, defaults, frozen)  # type: ignore[misc]
    return made


def _init(made: type, names: tuple[str, ...], defaults: dict[str, Any], frozen: bool) -> Any:
    """A constructor. A frozen instance's slots are written by their descriptors, which is what makes it fast."""
    given = {f"_put_{name}": vars(made)[name].__set__ for name in names} if frozen else {}
    given |= {f"_else_{name}": value for name, value in defaults.items()}
    said = [f"{name}=_else_{name}" if name in defaults else name for name in names]
    lines = []
    for name in names:
        default: Any = defaults.get(name)
        value = name
        if type(default) is _Field:
            given[f"_make_{name}"] = default.make
            value = f"_make_{name}() if {name} is _else_{name} else {name}"
        lines.append(f"_put_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    inner = f" def __init__(self, {', '.join(said)}):\n  " + "\n  ".join(lines or ["pass"])
    source = f"def make({', '.join(given)}):\n{inner}\n return __init__"
    scope: dict[str, Any] = {}
    exec(source, vars(sys.modules[made.__module__]), scope)  # noqa: S102 of our own names
    init = scope["make"](**given)
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__annotations__ = {**made.__annotations__, "return": None}
    return init


def _methods(names: tuple[str, ...]) -> dict[str, Any]:
    """What every such class has, as `dataclasses` writes it, where it does not say otherwise."""
    values = _values_of(names)

    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    def show(self: Any) -> str:
        parts = (f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({', '.join(parts)})"

    return {
        "__eq__": equal,
        "__repr__": show,
        "__replace__": lambda self, **changes: later("dataclasses", "replace")(self, **changes),
    }


def _fixed(names: tuple[str, ...]) -> dict[str, Any]:
    """What instances have that cannot be changed: a hash, and a way to be copied and pickled."""
    values = _values_of(names)

    def restore(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {
        "__hash__": lambda self: hash(values(self)),
        "__getstate__": lambda self: list(values(self)),
        "__setstate__": restore,
    }


def _values_of(names: tuple[str, ...]) -> Any:
    """What gives the values of an instance's fields, as a tuple."""
    if not names:
        return lambda _self: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda self: (get(self),)
