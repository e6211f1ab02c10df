"""A graph of plain objects as bytes, and back: what a core knows can be kept, copied and sent. Pure.

Beside the journey: the record of a host begins with it, and a simulated world is saved and forked by
it. Everything that can be changed keeps who it is: two that refer to the same list do so afterwards.
The bytes name every class and its fields, so that another version's are told, not misread; they
hold values only, and reading them runs no code but that of the classes that the form was made for.

The bytes: CBOR of `[version, [[class, field, ..] ..], root, [node ..]]`. A value is an atom or an array that
begins with a number of `Inline`; a node, which the others refer to by its place, one of `Node`.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from enum import Enum, IntEnum
from types import NoneType, UnionType
from typing import Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import cbor2

from avm.errors import AvmError
from caps.errors import Malformed
from caps.plain import loads_shape_untrusted

VERSION = 1
GRAPH_BYTES_MAX = 1 << 30
# How deep what cannot be changed may be nested; what can be is a node of its own, and is as deep as it likes.
DEPTH_MAX = 64
INT_END = 1 << 64
LONG_BYTES_MAX = 33
ATOMS = frozenset({NoneType, bool, int, float, str, bytes})


class NotPlain(AvmError):
    """Something in the graph is of a class that its form does not know."""


class BadGraph(AvmError):
    """These bytes are no graph of this form."""


class Inline(IntEnum):
    """What an array that stands for a value begins with."""

    NODE = 0
    TUPLE = 1
    FROZENSET = 2
    MEMBER = 3
    FIXED = 4
    UNSET = 5
    LONG = 6


class Node(IntEnum):
    """What a node begins with; the rest of one are its items, one after the other."""

    LIST = 0
    DICT = 1
    SET = 2
    DEQUE = 3
    ORDERED = 4
    COUNTER = 5
    OBJECT = 6
    MADE = 7


class Made(NamedTuple):
    """How objects of a class are kept that are more than their fields: by what they can be made of.

    `parts` gives a tuple in which nothing can be changed; `make` takes what the reader was `given`, and
    what stands in the tuple. `alike`: two with the same parts are one.
    """

    of: type
    parts: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]
    alike: bool = False


_MAPS: dict[type, Node] = {dict: Node.DICT, OrderedDict: Node.ORDERED, Counter: Node.COUNTER}
_ROWS: dict[type, Node] = {list: Node.LIST, deque: Node.DEQUE, set: Node.SET}
_EMPTY: dict[Node, Callable[[], Any]] = {
    Node.LIST: list,
    Node.DICT: dict,
    Node.SET: set,
    Node.DEQUE: deque,
    Node.ORDERED: OrderedDict,
    Node.COUNTER: Counter,
}
T = TypeVar("T")


class Kind:
    """A class that a form knows: the names of its fields, and what may stand in each."""

    __slots__ = ("cls", "fits", "fixed", "made", "names")

    def __init__(self, cls: type, made: Made | None) -> None:
        self.cls = cls
        self.made = made
        self.names = () if made or issubclass(cls, Enum) else _names(cls)
        self.fixed = issubclass(cls, tuple) or _is_frozen(cls)
        hints = get_type_hints(cls) if self.names and is_dataclass(cls) else {}
        self.fits = [_fitting(hints[name]) for name in self.names] if hints else []

    @property
    def said(self) -> list[str]:
        """How it is named in the bytes."""
        return [f"{self.cls.__module__}.{self.cls.__qualname__}", *self.names]


def _is_frozen(cls: type) -> bool:
    return is_dataclass(cls) and bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def _names(cls: type) -> tuple[str, ...]:
    if is_dataclass(cls):
        return tuple(field.name for field in fields_of(cls))
    if issubclass(cls, tuple):
        return tuple(cls._fields)  # type: ignore[attr-defined]
    slots: list[str] = []
    for one in cls.__mro__[-2::-1]:
        own = one.__dict__.get("__slots__", () if one is Generic else None)  # in C since 3.12
        if own is None:
            raise NotPlain(f"{cls.__qualname__} has no slots: its fields cannot be told")
        slots += [own] if isinstance(own, str) else [name for name in own if name != "__dict__"]
    return tuple(slots)


def _fitting(held: Any) -> tuple[type, ...]:
    """The classes of what a field may hold; (object,) where its annotation does not tell."""
    found: set[type] = set()
    open_hints = [held]
    while open_hints:
        hint = open_hints.pop()
        origin = get_origin(hint) or hint
        if origin in (Union, UnionType):
            open_hints += get_args(hint)
        elif (
            not isinstance(origin, type) or origin is Any or getattr(origin, "_is_protocol", False)
        ):
            return (object,)
        else:
            found |= {float, int} if origin is float else {origin}
    return tuple(found)


class Form:
    """The classes of a graph: those whose objects are their fields, and those that are made anew."""

    def __init__(self, classes: Iterable[type], made: Sequence[Made] = ()) -> None:
        kinds = [Kind(one.of, one) for one in made] + [Kind(cls, None) for cls in classes]
        self._kinds = {kind.cls: kind for kind in kinds}
        self._by_name = {kind.said[0]: kind for kind in kinds}

    def dumps(self, root: object) -> bytes:
        """The bytes of all that can be reached from a root; raises `NotPlain`."""
        return _Writer(self._kinds).whole(root)

    def loads_untrusted(
        self, body: bytes, *, given: object = None, max_bytes: int = GRAPH_BYTES_MAX
    ) -> Any:
        """The root of what these bytes say; raises `BadGraph`. `given` is for what is made anew."""
        try:
            said = loads_shape_untrusted(body, max_bytes=max_bytes, depth=DEPTH_MAX + 4)
            return _Reader(self._by_name, given).whole(said)
        except Malformed as error:
            raise BadGraph(str(error)) from None
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            # What a class says to fields that its annotations allow and it does not.
            raise BadGraph(f"what it holds does not fit together: {error}") from None


class _Writer:
    """Writes one graph: nodes are numbered as they are met, and written in that order."""

    def __init__(self, kinds: dict[type, Kind]) -> None:
        self._kinds = kinds
        self._places: dict[Any, int] = {}
        self._met: list[object] = []
        self._said: list[list[str]] = []
        self._numbers: dict[type, int] = {}

    def whole(self, root: object) -> bytes:
        written = self._value(root, DEPTH_MAX)
        nodes: list[list[Any]] = []
        while len(nodes) < len(self._met):
            nodes.append(self._node(self._met[len(nodes)]))
        return cbor2.dumps([VERSION, self._said, written, nodes])

    def _value(self, value: Any, room: int) -> Any:
        cls = type(value)
        if cls in ATOMS:
            if cls is int and not -INT_END <= value < INT_END:
                return self._long(value)
            return value
        if cls is tuple or cls is frozenset or (kind := self._kinds.get(cls)) is None:
            return self._plain(value, cls, room)
        if issubclass(cls, Enum):
            return [Inline.MEMBER, self._number(kind), self._value(value.value, room - 1)]
        if not kind.fixed or kind.made is not None:
            return [Inline.NODE, self._place(value, kind.made)]
        if room == 0:
            raise NotPlain("nested too deeply")
        inside = value if issubclass(cls, tuple) else [getattr(value, one) for one in kind.names]
        return [
            Inline.FIXED,
            self._number(kind),
            *[self._value(one, room - 1) for one in inside],
        ]

    def _plain(self, value: Any, cls: type, room: int) -> Any:
        if room == 0:
            raise NotPlain("nested too deeply")
        if cls is tuple:
            return [Inline.TUPLE, *[self._value(one, room - 1) for one in value]]
        if cls is frozenset:
            return [Inline.FROZENSET, *self._sorted(value, room)]
        if cls in _MAPS or cls in _ROWS:
            return [Inline.NODE, self._place(value)]
        raise NotPlain(f"a {cls.__module__}.{cls.__qualname__} is not known to this form")

    def _long(self, value: int) -> list[Any]:
        if value.bit_length() > 8 * LONG_BYTES_MAX:
            raise NotPlain(f"an integer of more than {LONG_BYTES_MAX} bytes")
        return [Inline.LONG, value < 0, abs(value).to_bytes(LONG_BYTES_MAX, "big")]

    def _sorted(self, value: Any, room: int) -> list[Any]:
        # Each by what it is alone: nodes are numbered as they are met, and a set has them by hashes.
        items = sorted(value, key=lambda one: _Writer(self._kinds).whole(one))
        return [self._value(one, room - 1) for one in items]

    def _place(self, value: object, made: Made | None = None) -> int:
        key = (made.of, made.parts(value)) if made is not None and made.alike else id(value)
        place = self._places.setdefault(key, len(self._met))
        if place == len(self._met):
            self._met.append(value)
        return place

    def _number(self, kind: Kind) -> int:
        if (number := self._numbers.setdefault(kind.cls, len(self._said))) == len(self._said):
            self._said.append(kind.said)
        return number

    def _node(self, value: Any) -> list[Any]:
        cls = type(value)
        if cls in _MAPS:
            node: list[Any] = [_MAPS[cls]]
            for key, one in value.items():
                node.append(self._value(key, DEPTH_MAX))
                node.append(self._value(one, DEPTH_MAX))
            return node
        if cls is set:
            return [Node.SET, *self._sorted(value, DEPTH_MAX)]
        if cls in _ROWS:
            if cls is deque and value.maxlen is not None:
                raise NotPlain("a deque that drops what is too much")
            return [_ROWS[cls], *[self._value(one, DEPTH_MAX) for one in value]]
        kind = self._kinds[cls]
        if made := kind.made:
            return [Node.MADE, self._number(kind), self._value(made.parts(value), DEPTH_MAX)]
        node = [Node.OBJECT, self._number(kind)]
        for name in kind.names:
            one = getattr(value, name, _UNSET)
            node.append([Inline.UNSET] if one is _UNSET else self._value(one, DEPTH_MAX))
        return node


_UNSET = object()


class _Reader:
    """Reads one graph: first every node as an empty one, then what is in each."""

    def __init__(self, by_name: dict[str, Kind], given: object) -> None:
        self._by_name = by_name
        self._given = given
        self._kinds: list[Kind] = []
        self._nodes: list[Any] = []

    def whole(self, said: object) -> Any:
        match said:
            case [int(version), list(named), root, list(written)]:
                pass
            case _:
                raise BadGraph("it is no graph")
        if version != VERSION:
            raise BadGraph(f"its version is {version}, not {VERSION}")
        self._kinds = [self._kind(one) for one in named]
        # What is made anew refers to no node: while these are made there are none.
        made = [self._empty(one) for one in written]
        self._nodes = made
        for node, one in zip(made, written, strict=True):
            self._fill(node, one)
        return self._value(root)

    def _kind(self, said: Any) -> Kind:
        match said:
            case [str(name), *names] if name in self._by_name:
                kind = self._by_name[name]
                if names != kind.said[1:]:
                    raise BadGraph(f"it is of another version: {name} has other fields there")
                return kind
            case [str(name), *_]:
                raise BadGraph(f"it is of another version: {name} is not known here")
        raise BadGraph("a class without a name")

    def _of(self, number: object) -> Kind:
        if type(number) is not int or not 0 <= number < len(self._kinds):
            raise BadGraph("a class that it does not name")
        return self._kinds[number]

    def _empty(self, written: Any) -> Any:
        match written:
            case [Node.OBJECT, number, *items]:
                kind = self._of(number)
                if kind.fixed or kind.made is not None or len(items) != len(kind.names):
                    raise BadGraph("an object with too much or too little")
                return object.__new__(kind.cls)
            case [Node.MADE, number, parts]:
                made = self._of(number).made
                inside = self._value(parts)
                if made is None or type(inside) is not tuple:
                    raise BadGraph("something made of nothing")
                return made.make(self._given, *inside)
            case [int(node), *_] if node in _EMPTY:
                return _EMPTY[Node(node)]()
        raise BadGraph("a node of no kind")

    def _fill(self, node: Any, written: list[Any]) -> None:
        which = written[0]
        if which == Node.MADE:
            return
        if which == Node.OBJECT:
            self._set(node, self._kinds[written[1]], written[2:])
            return
        inside = [self._value(one) for one in written[1:]]
        if which in (Node.DICT, Node.ORDERED, Node.COUNTER):
            keys, values = inside[::2], inside[1::2]
            for key, value in zip(keys, values, strict=True):
                node[key] = value
            if len(node) != len(keys):
                raise BadGraph("a key that is there twice")
        elif which == Node.SET:
            node.update(inside)
        else:
            node.extend(inside)

    def _set(self, node: object, kind: Kind, items: list[Any]) -> None:
        fits = kind.fits
        for place, (name, one) in enumerate(zip(kind.names, items, strict=True)):
            if type(one) in ATOMS:
                value = one
            elif one == [Inline.UNSET]:
                if fits:
                    raise BadGraph(f"{kind.cls.__qualname__} has no {name}")
                continue
            else:
                value = self._value(one)
            if fits and not isinstance(value, fits[place]):
                raise BadGraph(f"{kind.cls.__qualname__} has a {name} that is none")
            setattr(node, name, value)

    def _value(self, said: Any) -> Any:
        if type(said) is not list:
            if type(said) not in ATOMS:
                raise BadGraph("something that is no value")
            return said
        match said:
            case [Inline.NODE, int(place)] if 0 <= place < len(self._nodes):
                return self._nodes[place]
            case [Inline.LONG, bool(below), bytes(size)] if len(size) == LONG_BYTES_MAX:
                return -int.from_bytes(size, "big") if below else int.from_bytes(size, "big")
            case [Inline.TUPLE, *items]:
                return tuple([self._value(one) for one in items])
            case [Inline.FROZENSET, *items]:
                return frozenset([self._value(one) for one in items])
            case [Inline.MEMBER, number, value]:
                cls = self._of(number).cls
                if not issubclass(cls, Enum):
                    raise BadGraph("a member of what has none")
                return cls(self._value(value))
            case [Inline.FIXED, number, *items]:
                return self._fixed(self._of(number), items)
        raise BadGraph("an array that stands for nothing")

    def _fixed(self, kind: Kind, items: list[Any]) -> Any:
        if not kind.fixed or kind.made is not None or len(items) != len(kind.names):
            raise BadGraph("a value with too much or too little")
        inside = [self._value(one) for one in items]
        if issubclass(kind.cls, tuple):
            return kind.cls(*inside)
        for name, value, fits in zip(kind.names, inside, kind.fits, strict=True):
            if not isinstance(value, fits):
                raise BadGraph(f"{kind.cls.__qualname__} has a {name} that is none")
        value = object.__new__(kind.cls)
        for name, one in zip(kind.names, inside, strict=True):
            object.__setattr__(value, name, one)
        return value
