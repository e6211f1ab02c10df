"""The values of machines: what messages, contexts and states are made of.

First-order and immutable. A step writes lists and dicts where it likes, `freeze` makes values of them.
"""

from __future__ import annotations

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
from caps.kinds import MARKS
from caps.light import TYPE_CHECKING, dataclass
from caps.map import Map, freeze, path_part, settle

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = [
    "Affine",
    "Capability",
    "Failed",
    "Linear",
    "Map",
    "Record",
    "Relevant",
    "Value",
    "freeze",
    "order_record",
    "settle_slots",
]

Value: TypeAlias = object
"""None, bool, int, float, str, bytes, tuple, Map, a capability, Linear, Affine, Relevant, Failed; in states
and contexts also Me and records. Records are any number of classes, so no type says it more exactly."""

_SURE = frozenset((type(None), bool, bytes))
_SMALL = 1 << 62
_ROOM = DEPTH_MAX - 1


def settle_slots(whole: Settled, names: tuple[str, ...]) -> None:
    """Freeze what stands in the slots of a value under construction, and note its depth."""
    deepest = 0
    for name in names:
        part: object = getattr(whole, name)
        kind = type(part)
        if kind in _SURE or (kind is int and -_SMALL < part < _SMALL):  # type: ignore[operator]
            continue
        if kind is str and part.isascii():  # type: ignore[attr-defined]
            continue
        try:
            frozen, depth = settle(part, _ROOM)
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
        settle_slots(self, ("value",))


class Linear(_Kinded):
    """A value to be passed on exactly once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(LINEAR, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + MARKS["linear"] + weight_of(self.value)


class Affine(_Kinded):
    """A value to be passed on at most once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(AFFINE, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + MARKS["affine"] + weight_of(self.value)


class Relevant(_Kinded):
    """A value to be passed on at least once."""

    __slots__ = ()

    def _order(self) -> bytes:
        return order_tagged(RELEVANT, self.value)

    def _weigh(self) -> int:
        return TAG_BYTES + MARKS["relevant"] + weight_of(self.value)


@dataclass(frozen=True, slots=True)
class Failed(Settled):
    """The outcome of an ask that got no answer: why, in one word, and what was said about it.

    `content` is what the ask said, where that may not be dropped and nothing happened to it.
    """

    why: str
    detail: str = ""
    content: Value = None

    def __post_init__(self) -> None:
        if type(self.why) is not str or type(self.detail) is not str:
            raise NotAValue("why and detail of Failed are texts")
        settle_slots(self, ("why", "detail", "content"))

    def _order(self) -> bytes:
        return order_tagged(FAILED, self._parts())

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of(self._parts())

    def _parts(self) -> tuple[Value, ...]:
        parts = (self.why, self.detail)
        return parts if self.content is None else (*parts, self.content)


@dataclass(frozen=True, slots=True)
class Record(Settled):
    """A record by name and fields, for which no class fits or is wanted."""

    name: str
    fields: Map[str, Value]

    def __post_init__(self) -> None:
        if type(self.name) is not str:
            raise NotAValue("the name of a record is a text")
        settle_slots(self, ("name", "fields"))
        if not isinstance(self.fields, Map) or not all(type(key) is str for key in self.fields):
            raise NotAValue("the fields of a record are a map of texts")
        object.__setattr__(self, "_depth", self.fields._depth)

    def _order(self) -> bytes:
        return order_record(self.name, self.fields._order())

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of((self.name, self.fields))


def order_record(name: str, encoded_fields: bytes) -> bytes:
    """Return the place of a record in the order."""
    return head(0xC0, RECORD) + b"\x82" + order_text(name) + encoded_fields
