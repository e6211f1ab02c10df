"""Values as bytes: deterministic CBOR (RFC 8949, section 4.2.1) under one strict profile.

One value has one encoding and every other one is refused: a stranger's bytes are decoded within bounds,
encoded again and compared. Floats take 8 bytes always, -0.0 does not exist, there is one NaN. In a body
a capability is an index into the list beside it, in the order of first occurrence. `plain` has the
profile without capabilities and tags, for our own wire structures.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import copysign, isfinite, isnan
from operator import itemgetter
from struct import Struct
from typing import cast

import cbor2
from cbor2 import CBORTag, EncoderHook, frozendict

from caps import tree
from caps.errors import Malformed, NotAValue, TooBig
from caps.frozen import (
    AFFINE,
    ATOMS,
    CAPABILITY,
    DEPTH_MAX,
    FAILED,
    INT_BITS_MAX,
    KEY_DEPTH_MAX,
    LINEAR,
    ME,
    NAN,
    PAIRS,
    RECORD,
    RELEVANT,
    Capability,
    Settled,
    depth_of,
)
from caps.map import K, Map, V_co, refuse_clashes, settle, settle_key, wrap
from caps.plain import (
    BUILT_IN_TAGS,
    BUILT_IN_TAGS_FAR,
    dumps_plain,
    loads_plain_untrusted,
    loads_shape_untrusted,
    refuse_tag,
)
from caps.slots import Me
from caps.value import Affine, Failed, Linear, Record, Relevant, Typed, Value, restore

__all__ = [
    "CONTENT_BYTES_MAX",
    "STATE_BYTES_MAX",
    "decode_content_untrusted",
    "decode_state",
    "dumps_plain",
    "encode_content",
    "encode_state",
    "loads_plain_untrusted",
    "loads_shape_untrusted",
]

CONTENT_BYTES_MAX = 256 * 1024
STATE_BYTES_MAX = 64 * 1024 * 1024

# A record is a tag, an array and a map: three levels on the wire for one of ours.
_WIRE_LEVELS = 3
_SAME = frozenset((type(None), bool, int, str, bytes))
_SURE = frozenset((type(None), bool, str, bytes))
_REFUSED = dict.fromkeys((*BUILT_IN_TAGS, *BUILT_IN_TAGS_FAR), refuse_tag)
_WRAPPERS: Mapping[type[Linear | Affine | Relevant], int] = {
    Linear: LINEAR,
    Affine: AFFINE,
    Relevant: RELEVANT,
}
_WRAPPER_TYPES = (Linear, Affine, Relevant)
_WRAPPED = {tag: wrapper for wrapper, tag in _WRAPPERS.items()}

_pack_double = Struct(">Bd").pack


def _write_wide(encoder: cbor2.CBOREncoder, number: float) -> None:
    encoder.write(_pack_double(0xFB, NAN if isnan(number) else number))


_WIDE: Mapping[type, EncoderHook] = {float: _write_wide}


def encode_content(
    value: Value, *, max_bytes: int = CONTENT_BYTES_MAX, depth: int = DEPTH_MAX
) -> tuple[bytes, tuple[Capability, ...]]:
    """Return the bytes of what goes into a message and the capabilities in it.

    A record travels as the map of its fields; a Me does not travel. Raises NotAValue, TooDeep, TooBig.
    """
    return _encode(value, max_bytes, depth, False)


def encode_state(
    value: Value, *, max_bytes: int = STATE_BYTES_MAX, depth: int = DEPTH_MAX
) -> tuple[bytes, tuple[Capability, ...]]:
    """Return the bytes of a state or context, records by name and Me included, and its capabilities."""
    return _encode(value, max_bytes, depth, True)


def _encode(
    value: Value, max_bytes: int, depth: int, whole: bool
) -> tuple[bytes, tuple[Capability, ...]]:
    frozen, _ = settle(value, depth)
    found: tuple[Capability, ...] = ()
    if type(frozen) in _SAME:
        body = cbor2.dumps(frozen)
    else:
        lowering = _Lowering(whole)
        lowered = lowering.lower(frozen)
        body = cbor2.dumps(lowered, encoders=_WIDE) if lowering.wide else cbor2.dumps(lowered)
        found = tuple(lowering.found)
    if len(body) > max_bytes:
        raise TooBig(f"{len(body):,} bytes, more than {max_bytes:,}")
    return body, found


class _Lowering:
    """Turns a frozen value into what the library encodes, in the order of the encoding."""

    __slots__ = ("found", "whole", "wide")

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.wide = False
        self.found: dict[Capability, int] = {}

    def lower(self, value: object) -> object:
        kind = type(value)
        if kind in _SAME:
            return value
        if kind is float:
            value = cast("float", value)
            self.wide = self.wide or not isfinite(value)
            return value
        if kind is tuple:
            value = cast("tuple[object, ...]", value)
            return [part if type(part) in _SAME else self.lower(part) for part in value]
        if isinstance(value, Map):
            return self.lower_map(value)
        if isinstance(value, Capability):
            return CBORTag(CAPABILITY, self.found.setdefault(value, len(self.found)))
        return self.lower_form(value)

    def lower_map(self, value: Map[K, V_co]) -> object:
        if value._root.odd:
            pairs = [[self.lower(key), self.lower(part)] for key, part in value.items()]
            return CBORTag(PAIRS, pairs)
        return {
            key: part if type(part) in _SAME else self.lower(part)
            for key, part in tree.entries(value._root)
        }

    def lower_form(self, value: object) -> object:
        if isinstance(value, Typed):
            fields = {name: self.lower(getattr(value, name)) for name in value.__record_fields__}
            return self.lower_record(value.__record_name__, fields)
        if isinstance(value, Record):
            return self.lower_record(value.name, self.lower_map(value.fields))
        if isinstance(value, Failed):
            return CBORTag(FAILED, (value.why, value.detail))
        if isinstance(value, _WRAPPER_TYPES):
            return CBORTag(_WRAPPERS[type(value)], self.lower(value.value))
        if isinstance(value, Me) and self.whole:
            return CBORTag(ME, self.lower(value._within))
        if isinstance(value, Me):
            raise NotAValue("a Me stays inside its machine")
        raise NotAValue(f"a {type(value).__name__} is no value")

    def lower_record(self, name: str, fields: object) -> object:
        return CBORTag(RECORD, (name, fields)) if self.whole else fields


def decode_content_untrusted(
    body: bytes,
    capabilities: Sequence[Capability],
    *,
    max_bytes: int = CONTENT_BYTES_MAX,
    depth: int = DEPTH_MAX,
) -> Value:
    """Return the frozen value a stranger's bytes stand for; raises Malformed only, in linear time."""
    raw, narrow = _load(body, max_bytes, depth)
    if type(raw) in _SURE and not capabilities:
        return raw
    lifting = _Lifting(capabilities, narrow, None, None)
    value = lifting.lift(raw, depth)
    lifting.finish()
    return value


def decode_state(
    body: bytes,
    capabilities: Sequence[Capability],
    *,
    records: Mapping[str, type] | None = None,
    me: Me | None = None,
    max_bytes: int = STATE_BYTES_MAX,
    depth: int = DEPTH_MAX,
) -> Value:
    """Return the state or context that bytes stand for; raises Malformed.

    A record becomes an instance of the class of its name where its fields fit, missing ones taking
    their defaults, otherwise a generic `Record`. Each Me takes the generation of `me`.
    """
    raw, narrow = _load(body, max_bytes, depth)
    lifting = _Lifting(capabilities, narrow, records or {}, me or Me())
    value = lifting.lift(raw, depth)
    lifting.finish()
    return value


def _load(body: bytes, max_bytes: int, depth: int) -> tuple[object, bool]:
    """Return what the library decodes, and whether its own encoding of that gives the same bytes.

    It writes infinities and NaN in two bytes, so where it does they must not occur.
    """
    if len(body) > max_bytes:
        raise Malformed(f"longer than {max_bytes:,} bytes")
    try:
        raw: object = cbor2.loads(
            body,
            max_depth=_WIRE_LEVELS * (depth + 1) + KEY_DEPTH_MAX,
            semantic_decoders=_REFUSED,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
        narrow = cbor2.dumps(raw) == body
        if not narrow and cbor2.dumps(raw, encoders=_WIDE) != body:
            raise Malformed("not the one encoding of what it says")
    except cbor2.CBORError as error:
        raise Malformed(f"not CBOR of our kind: {error}") from None
    return raw, narrow


class _Lifting:
    """Turns what the library decoded into a value, refusing what is none or stands out of order."""

    __slots__ = ("capabilities", "me", "narrow", "next", "records")

    def __init__(
        self,
        capabilities: Sequence[Capability],
        narrow: bool,
        records: Mapping[str, type[Typed]] | None,
        me: Me | None,
    ) -> None:
        self.capabilities = capabilities
        self.narrow = narrow
        self.records = records
        self.me = me
        self.next = 0

    def finish(self) -> None:
        if self.next != len(self.capabilities):
            raise Malformed("a capability in the list that nothing refers to")

    def lift(self, raw: object, room: int) -> object:
        kind = type(raw)
        if kind in _SURE:
            return raw
        if kind is int:
            if cast("int", raw).bit_length() > INT_BITS_MAX:
                raise Malformed(f"an integer of more than {INT_BITS_MAX:,} bits")
            return raw
        if kind is float:
            return self.lift_float(cast("float", raw))
        if isinstance(raw, CBORTag):
            if raw.tag == CAPABILITY:
                return self.lift_capability(raw.value)
            return self.lift_form(raw.tag, raw.value, room)
        if room == 0:
            raise Malformed("nested too deeply")
        if kind is list or kind is tuple:
            parts = cast("Sequence[object]", raw)
            return tuple(
                [part if type(part) in _SURE else self.lift(part, room - 1) for part in parts]
            )
        if kind is dict or kind is frozendict:
            return self.lift_map(cast("Mapping[str | bytes, object]", raw), room - 1)
        raise Malformed("something that does not belong here")

    def lift_float(self, number: float) -> float:
        if not isfinite(number):
            if self.narrow:
                raise Malformed("a float that does not take 8 bytes")
            return NAN if isnan(number) else number
        if number == 0.0 and copysign(1.0, number) < 0.0:
            raise Malformed("a negative zero")
        return number

    def lift_map(self, raw: Mapping[str | bytes, object], room: int) -> Map[object, object]:
        _check_order(raw)
        held: dict[tree.Stored, object] = {}
        depth = 0
        for key, part in raw.items():
            if type(part) not in _SURE:
                part = self.lift(part, room)
                if type(part) not in ATOMS:
                    depth = max(depth, depth_of(part))
            held[key] = part
        return wrap(tree.adopt(held, depth))

    def lift_capability(self, index: object) -> Capability:
        if type(index) is not int or not 0 <= index <= self.next or index >= len(self.capabilities):
            raise Malformed("a capability that is not the next in the list")
        if index == self.next:
            self.next += 1
        return self.capabilities[index]

    def lift_form(self, tag: int, raw: object, room: int) -> Settled:
        if room == 0:
            raise Malformed("nested too deeply")
        if tag in _WRAPPED:
            wrapper = _WRAPPED[tag]
            return wrapper(self.lift(raw, room - 1))
        if isinstance(raw, tuple):
            if tag == PAIRS:
                return self.lift_pairs(raw, room - 1)
            if tag == FAILED and [type(part) for part in raw] == [str, str]:
                return Failed(raw[0], raw[1])
            if tag == ME and self.me is not None:
                within = tuple([self.lift(part, room - 1) for part in raw])
                return Me(self.me._generation, within)
            if tag == RECORD and self.records is not None and len(raw) == 2:
                return self.lift_record(self.records, raw[0], raw[1], room - 1)
        raise Malformed("a tag that does not belong here")

    def lift_pairs(self, raw: tuple[object, ...], room: int) -> Map[object, object]:
        placed: list[tuple[bytes, tree.Stored, object]] = []
        last = b""
        for pair in raw:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise Malformed("a map of pairs with something else in it")
            key, stored = self.lift_key(pair[0])
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

    def lift_key(self, raw: object) -> tuple[object, tree.Stored]:
        try:
            return settle_key(self.lift(raw, KEY_DEPTH_MAX))
        except NotAValue as error:
            raise Malformed(error.why) from None

    def lift_record(
        self, records: Mapping[str, type[Typed]], name: object, raw: object, room: int
    ) -> Settled:
        if type(name) is not str or not isinstance(raw, frozendict):
            raise Malformed("a record without name or fields")
        fields = self.lift_map(raw, room)
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
