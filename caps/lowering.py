"""A frozen value as what the CBOR library writes: the first half of the codec.

Capabilities become indices in the order of first occurrence, which the caller finds in `found`.
"""

from collections.abc import Mapping
from math import isfinite, isnan
from struct import Struct
from typing import Any, cast

import cbor2
from cbor2 import CBORTag, EncoderHook

from caps import tree
from caps.errors import NotAValue
from caps.frozen import (
    AFFINE,
    CAPABILITY,
    FAILED,
    LINEAR,
    ME,
    NAN,
    PAIRS,
    RECORD,
    RELEVANT,
    Capability,
)
from caps.map import Map
from caps.record import Typed
from caps.slots import Me
from caps.value import Affine, Failed, Linear, Record, Relevant

SAME = frozenset((type(None), bool, int, str, bytes))
WRAPPERS: Mapping[type[Linear | Affine | Relevant], int] = {
    Linear: LINEAR,
    Affine: AFFINE,
    Relevant: RELEVANT,
}
_WRAPPER_TYPES = (Linear, Affine, Relevant)

_pack_double = Struct(">Bd").pack


def _write_wide(encoder: cbor2.CBOREncoder, number: float) -> None:
    encoder.write(_pack_double(0xFB, NAN if isnan(number) else number))


WIDE: Mapping[type, EncoderHook] = {float: _write_wide}


class Lowering:
    """Turns a frozen value into what the library encodes, in the order of the encoding."""

    __slots__ = ("found", "whole", "wide")

    def __init__(self, whole: bool) -> None:
        """`whole`: a state or context, with its records by name and its Me."""
        self.whole = whole
        self.wide = False
        self.found: dict[Capability, int] = {}

    def lower(self, value: object) -> object:
        """Return what stands for a frozen value; raises NotAValue."""
        kind = type(value)
        if kind in SAME:
            return value
        if kind is float:
            value = cast("float", value)
            self.wide = self.wide or not isfinite(value)
            return value
        if kind is tuple:
            value = cast("tuple[object, ...]", value)
            return [part if type(part) in SAME else self.lower(part) for part in value]
        if isinstance(value, Map):
            return self._lower_map(value)
        if isinstance(value, Capability):
            return CBORTag(CAPABILITY, self.found.setdefault(value, len(self.found)))
        return self._lower_form(value)

    def _lower_map(self, value: Map[Any, object]) -> object:
        if value._root.odd:
            pairs = [[self.lower(key), self.lower(part)] for key, part in value.items()]
            return CBORTag(PAIRS, pairs)
        return {
            key: part if type(part) in SAME else self.lower(part)
            for key, part in tree.entries(value._root)
        }

    def _lower_form(self, value: object) -> object:
        if isinstance(value, Typed):
            fields = {name: self.lower(getattr(value, name)) for name in value.__record_fields__}
            return self._lower_record(value.__record_name__, fields)
        if isinstance(value, Record):
            return self._lower_record(value.name, self._lower_map(value.fields))
        if isinstance(value, Failed):
            return CBORTag(FAILED, tuple(map(self.lower, value._parts())))
        if isinstance(value, _WRAPPER_TYPES):
            return CBORTag(WRAPPERS[type(value)], self.lower(value.value))
        if isinstance(value, Me) and self.whole:
            return CBORTag(ME, self.lower(value._within))
        if isinstance(value, Me):
            raise NotAValue("a Me stays inside its machine")
        raise NotAValue(f"a {type(value).__name__} is no value")

    def _lower_record(self, name: str, fields: object) -> object:
        return CBORTag(RECORD, (name, fields)) if self.whole else fields
