"""`Map`, the mapping of values to values, and `freeze`, which makes a value of a Python object.

The two need each other: what is put into a map is frozen, and a frozen dict is a map.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from math import copysign, isnan
from operator import itemgetter

from caps import tree
from caps.errors import NotAValue, TooBig, TooDeep, why_no_value
from caps.frozen import (
    DEPTH_MAX,
    INT_BITS_MAX,
    KEY_DEPTH_MAX,
    NAN,
    PAIRS,
    TAG_BYTES,
    Capability,
    Settled,
    head,
    head_size,
    order_of,
    order_tagged,
    order_text,
)
from caps.keys import equal_keys, refuse_clashes
from caps.light import TYPE_CHECKING, cast, overload

if TYPE_CHECKING:
    from typing import TypeAlias, TypeVar

    K = TypeVar("K")
    V_co = TypeVar("V_co", covariant=True)
    A = TypeVar("A")
    B = TypeVar("B")
    D = TypeVar("D")

Placed: TypeAlias = tuple[bytes, tree.Stored, object]

_MISSING = object()
_TEXTS = frozenset((str,))
_PLAIN = frozenset((type(None), bool, bytes))
_NUMBERS = frozenset((int,))
_SMALL = 1 << 62


class Map(Mapping["K", "V_co"], Settled):
    """An immutable mapping in canonical order, of which `put` and `drop` give changed ones.

    Both take logarithmic time and share the rest with the map they start from. A lookup goes by the
    exact type: of 1, 1.0 and True a map holds at most one, and only that one finds its value.
    """

    __slots__ = ("_hash", "_root")
    _hash: int | None
    _root: tree.Node

    @overload
    def __init__(self, source: Mapping[K, V_co], /) -> None: ...
    @overload
    def __init__(self, source: Iterable[tuple[K, V_co]] = (), /) -> None: ...
    def __init__(self, source: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = (), /) -> None:
        self._hash = None
        if isinstance(source, Map):
            self._root = source._root
        else:
            self._root = _settle_mapping(source, DEPTH_MAX - 1)
        self._depth = self._root.depth + 1

    def put(self, key: A, value: B) -> Map[K | A, V_co | B]:
        """Return this map with `key` set to `value`, frozen; raises NotAValue."""
        frozen_key, stored = settle_key(key)
        room = DEPTH_MAX - 1
        frozen = _settled_under(frozen_key, value, room)
        if type(stored) is tuple and tree.find(self._root, stored, _MISSING) is _MISSING:
            self._refuse_clash(frozen_key)
        return wrap(tree.put(self._root, stored, frozen))

    def drop(self, key: object) -> Map[K, V_co]:
        """Return this map without `key`; raises KeyError when it is absent."""
        stored = _stored_or_none(key)
        if stored is None or tree.find(self._root, stored, _MISSING) is _MISSING:
            raise KeyError(key)
        return wrap(tree.drop(self._root, stored))

    @overload
    def get(self, key: object, /) -> V_co | None: ...
    @overload
    def get(self, key: object, default: D, /) -> V_co | D: ...
    def get(self, key: object, default: object = None, /) -> object:
        """Return the value under `key`, or `default`."""
        stored = _stored_or_none(key)
        return default if stored is None else tree.find(self._root, stored, default)

    def __getitem__(self, key: object) -> V_co:
        stored = _stored_or_none(key)
        found = _MISSING if stored is None else tree.find(self._root, stored, _MISSING)
        if found is _MISSING:
            raise KeyError(key)
        return cast("V_co", found)

    def __contains__(self, key: object) -> bool:
        return self.get(key, _MISSING) is not _MISSING

    def __len__(self) -> int:
        return self._root.size

    def __iter__(self) -> Iterator[K]:
        for held in tree.leaves(self._root):
            for stored in held:
                yield cast("K", stored[1] if type(stored) is tuple else stored)

    def keys(self) -> KeysView[K]:
        """Return a view of the keys in canonical order."""
        return KeysView(self)

    def values(self) -> ValuesView[V_co]:
        """Return a view of the values in the order of their keys."""
        return _Values(self)

    def items(self) -> ItemsView[K, V_co]:
        """Return a view of the pairs in the order of their keys."""
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Map):
            return len(self) == len(other) and _all_entries(self) == _all_entries(other)
        if isinstance(other, dict):
            return len(self) == len(other) and all(
                self.get(key, _MISSING) == value for key, value in other.items()
            )
        return NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(_all_entries(self)))
        return self._hash

    def __repr__(self) -> str:
        return f"Map({{{', '.join(f'{key!r}: {value!r}' for key, value in self.items())}}})"

    def _weigh(self) -> int:
        size = self._root.size
        # With keys that are no texts or bytes it is a tagged array of pairs.
        pairs = TAG_BYTES + size if self._root.odd else 0
        return head_size(size) + pairs + tree.weigh(self._root)

    def _order(self) -> bytes:
        held = tree.entries(self._root)
        if self._root.odd:
            return order_tagged(PAIRS, tuple(self.items()))
        parts = (part for stored, value in held for part in (tree.place(stored), order_of(value)))
        return head(0xA0, len(self)) + b"".join(parts)

    def _refuse_clash(self, key: object) -> None:
        for other in equal_keys(key):
            if tree.find(self._root, (order_of(other), other), _MISSING) is not _MISSING:
                raise NotAValue(f"keys {other!r} and {key!r} are equal")


class _Items(ItemsView["K", "V_co"]):
    __slots__ = ()
    _mapping: Map[K, V_co]

    def __iter__(self) -> Iterator[tuple[K, V_co]]:
        for stored, value in tree.entries(self._mapping._root):
            yield cast("tuple[K, V_co]", (stored[1] if type(stored) is tuple else stored, value))


class _Values(ValuesView["V_co"]):
    __slots__ = ()
    _mapping: Map[object, V_co]

    def __iter__(self) -> Iterator[V_co]:
        for held in tree.leaves(self._mapping._root):
            yield from cast("Iterable[V_co]", held.values())


def wrap(root: tree.Node) -> Map[K, V_co]:
    """Return the map over a tree whose entries are frozen and free of clashes."""
    made: Map[K, V_co] = Map.__new__(Map)
    made._root = root
    made._depth = root.depth + 1
    made._hash = None
    return made


def _all_entries(whole: Map[K, V_co]) -> list[tree.Entry]:
    return list(tree.entries(whole._root))


def freeze(value: object, *, depth: int = DEPTH_MAX) -> object:
    """Return the value that a Python object stands for, itself where it is one already.

    Lists and tuples become tuples, dicts maps, any bytes-like `bytes`. At most `depth` containers stand
    inside one another. Raises NotAValue with the path of what is none, TooDeep or TooBig.
    """
    return settle(value, depth)[0]


def settle(value: object, room: int) -> tuple[object, int]:
    """Return the frozen value and its depth, which `room` bounds."""
    kind = type(value)
    if kind in _PLAIN:
        return value, 0
    if kind is str:
        return _settle_text(value), 0  # type: ignore[arg-type]
    if kind is int:
        return _settle_int(value), 0  # type: ignore[arg-type]
    if kind is float:
        return _settle_float(value), 0  # type: ignore[arg-type]
    if isinstance(value, Settled):
        if value._depth > room:
            raise TooDeep("nested too deeply")
        return value, value._depth
    if kind is tuple or kind is list:
        return settle_tuple(value, room)  # type: ignore[arg-type]
    if kind is dict:
        if room == 0:
            raise TooDeep("nested too deeply")
        root = _settle_mapping(cast("dict[object, object]", value), room - 1)
        return wrap(root), root.depth + 1
    if kind is bytearray or kind is memoryview:
        return bytes(cast("bytearray", value)), 0
    raise NotAValue(why_no_value(value))


def _settle_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotAValue("a text with half a surrogate pair is no value") from None
    return text


def _settle_int(number: int) -> int:
    if number.bit_length() > INT_BITS_MAX:
        raise TooBig(f"an integer of more than {INT_BITS_MAX:,} bits")
    return number


def _settle_float(number: float) -> float:
    if isnan(number):
        return NAN
    return number if number or copysign(1.0, number) > 0.0 else 0.0


def settle_tuple(
    value: tuple[object, ...] | list[object], room: int = DEPTH_MAX
) -> tuple[tuple[object, ...], int]:
    """Return the frozen tuple of what stands in a tuple or list, and its depth."""
    if room == 0:
        raise TooDeep("nested too deeply")
    if type(value) is tuple and _is_flat(value):
        return value, 1
    parts: list[object] = []
    same = type(value) is tuple
    deepest = 0
    try:
        for part in value:
            frozen, depth = settle(part, room - 1)
            parts.append(frozen)
            same = same and frozen is part
            if depth > deepest:  # noqa: PLR1730 (a call would double the cost)
                deepest = depth
    except NotAValue as error:
        raise error.within(f"[{len(parts)}]") from None
    return value if same else tuple(parts), deepest + 1  # type: ignore[return-value]


def _is_flat(value: tuple[object, ...]) -> bool:
    """Whether a tuple is seen at a glance to be frozen, with nothing in it that is deep."""
    kinds = set(map(type, value))
    if kinds <= _PLAIN:
        return True
    if kinds == _NUMBERS:
        return -_SMALL < min(value) and max(value) < _SMALL  # type: ignore[type-var, operator]
    if kinds == _TEXTS:
        return all(map(str.isascii, value))  # type: ignore[arg-type]
    if len(kinds) > 1:
        return False
    return issubclass(kinds.pop(), Capability)


def settle_key(key: object) -> tuple[object, tree.Stored]:
    """Return a frozen key and the form the tree stores it in; raises NotAValue."""
    if type(key) is str:
        return _settle_text(key), key
    if type(key) is bytes:
        return key, key
    frozen, _ = settle(key, KEY_DEPTH_MAX)
    if type(frozen) is bytes:
        return frozen, frozen
    if not _is_key(frozen):
        raise NotAValue(f"a {type(frozen).__name__} cannot be a key")
    return frozen, (order_of(frozen), frozen)


def _is_key(frozen: object) -> bool:
    if type(frozen) is tuple:
        return all(map(_is_key, frozen))
    return not isinstance(frozen, Settled) or isinstance(frozen, Capability)


def _stored_or_none(key: object) -> tree.Stored | None:
    if type(key) is str or type(key) is bytes:
        return key
    try:
        return settle_key(key)[1]
    except NotAValue:
        return None


def _settled_under(key: object, value: object, room: int) -> object:
    try:
        return settle(value, room)[0]
    except NotAValue as error:
        raise error.within(path_part(key)) from None


def path_part(key: object) -> str:
    """Return how a path names what stands under a key."""
    return f".{key}" if type(key) is str and key.isidentifier() else f"[{key!r}]"


def _settle_mapping(source: Mapping[K, V_co] | Iterable[tuple[K, V_co]], room: int) -> tree.Node:
    if type(source) is dict and set(map(type, source)) == _TEXTS:
        return _settle_texts(source, room)
    return _settle_pairs(source.items() if isinstance(source, Mapping) else source, room)


def _settle_texts(source: dict[str, object], room: int) -> tree.Node:
    try:
        ordered = sorted(source, key=order_text)
    except UnicodeEncodeError:
        raise NotAValue("a text with half a surrogate pair is no value") from None
    held: dict[tree.Stored, object] = {}
    deepest = 0
    for key in ordered:
        value = source[key]
        if type(value) not in _PLAIN:
            try:
                value, depth = settle(value, room)
            except NotAValue as error:
                raise error.within(path_part(key)) from None
            if depth > deepest:  # noqa: PLR1730 (a call would double the cost)
                deepest = depth
        held[key] = value
    return tree.adopt(held, deepest)


def _settle_pairs(pairs: Iterable[tuple[object, object]], room: int) -> tree.Node:
    placed: list[Placed] = []
    odd = False
    for key, value in pairs:
        frozen_key, stored = settle_key(key)
        odd = odd or type(stored) is tuple
        if type(value) not in _PLAIN:
            value = _settled_under(frozen_key, value, room)
        placed.append((tree.place(stored), stored, value))
    placed.sort(key=itemgetter(0))
    distinct = [
        (stored, value)
        for index, (at, stored, value) in enumerate(placed)
        if index + 1 == len(placed) or placed[index + 1][0] != at
    ]
    if odd:
        refuse_clashes(distinct)
    return tree.build(distinct)
