"""Values as bytes: deterministic CBOR (RFC 8949, section 4.2.1) under one strict profile.

One value has one encoding and every other one is refused: a stranger's bytes are decoded within bounds,
encoded again and compared. Floats take 8 bytes always, -0.0 does not exist, there is one NaN. In a body
a capability is an index into the list beside it, in the order of first occurrence. `plain` has the
profile without capabilities and tags, for our own wire structures.
"""

from collections.abc import Mapping, Sequence

import cbor2

from caps.errors import Malformed, TooBig
from caps.frozen import DEPTH_MAX, KEY_DEPTH_MAX, Capability
from caps.lifting import SURE, Lifting
from caps.lowering import SAME, WIDE, Lowering
from caps.map import settle
from caps.plain import (
    BUILT_IN_TAGS,
    BUILT_IN_TAGS_FAR,
    dumps_plain,
    loads_plain_untrusted,
    loads_shape_untrusted,
    refuse_tag,
)
from caps.slots import Me
from caps.value import Value

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
_REFUSED = dict.fromkeys((*BUILT_IN_TAGS, *BUILT_IN_TAGS_FAR), refuse_tag)


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
    if type(frozen) in SAME:
        body = cbor2.dumps(frozen)
    else:
        lowering = Lowering(whole)
        lowered = lowering.lower(frozen)
        body = cbor2.dumps(lowered, encoders=WIDE) if lowering.wide else cbor2.dumps(lowered)
        found = tuple(lowering.found)
    if len(body) > max_bytes:
        raise TooBig(f"{len(body):,} bytes, more than {max_bytes:,}")
    return body, found


def decode_content_untrusted(
    body: bytes,
    capabilities: Sequence[Capability],
    *,
    max_bytes: int = CONTENT_BYTES_MAX,
    depth: int = DEPTH_MAX,
) -> Value:
    """Return the frozen value a stranger's bytes stand for; raises Malformed only, in linear time."""
    if body[:1] == b"\x78" and not capabilities and len(body) <= max_bytes:
        text = _short_text(body)
        if text is not None:
            return text
    raw, narrow = _load(body, max_bytes, depth)
    if type(raw) in SURE and not capabilities:
        return raw
    lifting = Lifting(capabilities, narrow, None, None)
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
    lifting = Lifting(capabilities, narrow, records or {}, me or Me())
    value = lifting.lift(raw, depth)
    lifting.finish()
    return value


def _short_text(body: bytes) -> str | None:
    """Return the text of 24 to 255 bytes that this is, as most contents are, None where it is none.

    It takes a tenth of what the library takes, which also encodes it again to compare.
    """
    if len(body) < 2 + 24 or body[1] != len(body) - 2:
        return None
    try:
        return body[2:].decode()
    except UnicodeDecodeError:
        return None


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
        if not narrow and cbor2.dumps(raw, encoders=WIDE) != body:
            raise Malformed("not the one encoding of what it says")
    except cbor2.CBORError as error:
        raise Malformed(f"not CBOR of our kind: {error}") from None
    return raw, narrow
