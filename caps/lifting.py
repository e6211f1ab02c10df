"""What the CBOR library read as a frozen value: the second half of the codec.

What is no value or stands out of order is refused with Malformed: the bytes are a stranger's.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import copysign, isfinite, isnan
from operator import itemgetter
from typing import cast

from cbor2 import CBORTag, frozendict

from caps import tree
from caps.errors import Malformed, NotAValue
from caps.frozen import (
    ATOMS,
    CAPABILITY,
    FAILED,
    INT_BITS_MAX,
    KEY_DEPTH_MAX,
    ME,
    NAN,
    PAIRS,
    RECORD,
    Capability,
    Settled,
    depth_of,
)
from caps.keys import refuse_clashes
from caps.lowering import WRAPPERS
from caps.map import Map, settle_key, wrap
from caps.record import Typed, restore
from caps.slots import Me
from caps.value import Failed, Record

SURE = frozenset((type(None), bool, str, bytes))
_WRAPPED = {tag: wrapper for wrapper, tag in WRAPPERS.items()}


class Lifting:
    """Turns what the library decoded into a value, refusing what is none or stands out of order."""

    __slots__ = ("capabilities", "me", "narrow", "next", "records")

    def __init__(
        self,
        capabilities: Sequence[Capability],
        narrow: bool,
        records: Mapping[str, type[Typed]] | None,
        me: Me | None,
    ) -> None:
        """`narrow`: the library's own encoding gave the same bytes, so an infinity or NaN is too short.

        Records and Me belong to states and contexts, and are refused where these are None.
        """
        self.capabilities = capabilities
        self.narrow = narrow
        self.records = records
        self.me = me
        self.next = 0

    def finish(self) -> None:
        """Raise Malformed when not every capability of the list was referred to."""
        if self.next != len(self.capabilities):
            raise Malformed("a capability in the list that nothing refers to")

    def lift(self, raw: object, room: int) -> object:
        """Return the value; at most `room` containers stand inside one another."""
        kind = type(raw)
        if kind in SURE:
            return raw
        if kind is int:
            if cast("int", raw).bit_length() > INT_BITS_MAX:
                raise Malformed(f"an integer of more than {INT_BITS_MAX:,} bits")
            return raw
        if kind is float:
            return self._lift_float(cast("float", raw))
        if isinstance(raw, CBORTag):
            if raw.tag == CAPABILITY:
                return self._lift_capability(raw.value)
            return self._lift_form(raw.tag, raw.value, room)
        if room == 0:
            raise Malformed("nested too deeply")
        if kind is list or kind is tuple:
            parts = cast("Sequence[object]", raw)
            return tuple(
                [part if type(part) in SURE else self.lift(part, room - 1) for part in parts]
            )
        if kind is dict or kind is frozendict:
            return self._lift_map(cast("Mapping[str | bytes, object]", raw), room - 1)
        raise Malformed("something that does not belong here")

    def _lift_float(self, number: float) -> float:
        if not isfinite(number):
            if self.narrow:
                raise Malformed("a float that does not take 8 bytes")
            return NAN if isnan(number) else number
        if number == 0.0 and copysign(1.0, number) < 0.0:
            raise Malformed("a negative zero")
        return number

    def _lift_map(self, raw: Mapping[str | bytes, object], room: int) -> Map[object, object]:
        _check_order(raw)
        held: dict[tree.Stored, object] = {}
        depth = 0
        for key, part in raw.items():
            if type(part) not in SURE:
                part = self.lift(part, room)
                if type(part) not in ATOMS:
                    depth = max(depth, depth_of(part))
            held[key] = part
        return wrap(tree.adopt(held, depth))

    def _lift_capability(self, index: object) -> Capability:
        if type(index) is not int or not 0 <= index <= self.next or index >= len(self.capabilities):
            raise Malformed("a capability that is not the next in the list")
        if index == self.next:
            self.next += 1
        return self.capabilities[index]

    def _lift_form(self, tag: int, raw: object, room: int) -> Settled:
        if room == 0:
            raise Malformed("nested too deeply")
        if tag in _WRAPPED:
            wrapper = _WRAPPED[tag]
            return wrapper(self.lift(raw, room - 1))
        if isinstance(raw, tuple):
            if tag == PAIRS:
                return self._lift_pairs(raw, room - 1)
            if tag == FAILED and [type(part) for part in raw[:2]] == [str, str]:
                return self._lift_failed(raw, room - 1)
            if tag == ME and self.me is not None:
                within = tuple([self.lift(part, room - 1) for part in raw])
                return Me(self.me._generation, within)
            if tag == RECORD and self.records is not None and len(raw) == 2:
                return self._lift_record(self.records, raw[0], raw[1], room - 1)
        raise Malformed("a tag that does not belong here")

    def _lift_failed(self, raw: tuple[object, ...], room: int) -> Failed:
        why, detail = cast("tuple[str, str]", raw[:2])
        if len(raw) == 2:
            return Failed(why, detail)
        if len(raw) > 3 or raw[2] is None:
            raise Malformed("an outcome of another form")
        return Failed(why, detail, self.lift(raw[2], room))

    def _lift_pairs(self, raw: tuple[object, ...], room: int) -> Map[object, object]:
        placed: list[tuple[bytes, tree.Stored, object]] = []
        last = b""
        for pair in raw:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise Malformed("a map of pairs with something else in it")
            key, stored = self._lift_key(pair[0])
            at = tree.place(stored)
            if not _refers(key):
                # Keys with capabilities follow the sender's order, which we cannot know.
                if at <= last:
                    raise Malformed("a map out of order")
                last = at
            placed.append((at, stored, self.lift(pair[1], room)))
        placed.sort(key=itemgetter(0))
        if any(left[0] == right[0] for left, right in pairwise(placed)):
            raise Malformed("a key that comes twice")
        root = tree.build([(stored, value) for _, stored, value in placed])
        if not root.odd:
            raise Malformed("a map of pairs that needs none")
        _refuse_clashes(root)
        return wrap(root)

    def _lift_key(self, raw: object) -> tuple[object, tree.Stored]:
        try:
            return settle_key(self.lift(raw, KEY_DEPTH_MAX))
        except NotAValue as error:
            raise Malformed(error.why) from None

    def _lift_record(
        self, records: Mapping[str, type[Typed]], name: object, raw: object, room: int
    ) -> Settled:
        if type(name) is not str or not isinstance(raw, frozendict):
            raise Malformed("a record without name or fields")
        fields = self._lift_map(raw, room)
        if any(type(key) is bytes for key in fields):
            raise Malformed("a record with a field that has no name")
        known = records.get(name)
        named = cast("Map[str, object]", fields)
        made = None if known is None else restore(known, named)
        return Record(name, named) if made is None else made


def _check_order(keys: Iterable[str | bytes]) -> None:
    """Raise Malformed unless keys stand in order: bytes before text, the shorter first, no two alike."""
    size, last, texts = -1, b"", False
    for key in keys:
        if type(key) is bytes:
            encoded = key
            if texts:
                raise Malformed("a map out of order")
        else:
            encoded = cast("str", key).encode()
            if not texts:
                size, texts = -1, True
        length = len(encoded)
        if length <= size and (length < size or encoded <= last):
            raise Malformed("a map out of order")
        size, last = length, encoded


def _refers(key: object) -> bool:
    """Return whether a key is or holds a capability."""
    return any(map(_refers, key)) if isinstance(key, tuple) else isinstance(key, Capability)


def _refuse_clashes(root: tree.Node) -> None:
    try:
        refuse_clashes(tree.entries(root))
    except NotAValue as error:
        raise Malformed(error.why) from None
