"""Plain values of a recording as JSON that people can read and change, and back to the same bytes. Pure.

Bytes are `{"$bytes": base64url}`; where they hold a CBOR array, `{"$cbor": [...]}` with what is in it, and
where they hold a value of a message, `{"$content": value}` as on the command line. Each is used only
where it gives the very bytes back.
"""

import json
from base64 import urlsafe_b64encode
from typing import Any, NoReturn

import cbor2

from caps import jsonform
from caps.codec import decode_content_untrusted, encode_content
from caps.errors import CapsError, Malformed

DEPTH_MAX = 100
CONTENT_BYTES_MAX = 256 * 1024
ATOMS = (type(None), bool, int, str)


def to_text(plain: Any) -> str:
    """A plain value as JSON on one line."""
    return json.dumps(to_json(plain), ensure_ascii=False, allow_nan=False)


def to_json(plain: Any) -> Any:
    """A plain value as what JSON has."""
    if type(plain) is bytes:
        return bytes_to_json(plain)
    if type(plain) is list:
        return [to_json(one) for one in plain]
    return plain


def bytes_to_json(body: bytes) -> dict[str, Any]:
    """Bytes in the most telling of their three forms."""
    array = _array(body)
    if array is not None:
        return {"$cbor": [to_json(one) for one in array]}
    content = _content(body)
    if content is not None:
        return {"$content": content[0]}
    return {"$bytes": urlsafe_b64encode(body).rstrip(b"=").decode()}


def _array(body: bytes) -> list[Any] | None:
    """The items of a CBOR array of plain values; None for bytes that hold none."""
    if not body or not 0x80 <= body[0] <= 0x9B:
        return None
    try:
        found = cbor2.loads(body, max_depth=DEPTH_MAX, allow_indefinite=False)
        is_same = _is_plain(found) and cbor2.dumps(found) == body
    except (cbor2.CBORError, ValueError, RecursionError, UnicodeError):
        return None
    return found if is_same else None


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in ATOMS or type(value) is bytes


def _content(body: bytes) -> tuple[Any] | None:
    """The JSON of a content without capabilities; None for bytes that hold none."""
    if not body or len(body) > CONTENT_BYTES_MAX:
        return None
    try:
        value = decode_content_untrusted(body, ())
        if type(value) is bytes or encode_content(value)[0] != body:
            return None
        shown = jsonform.to_json(value)
        if encode_content(jsonform.from_json(shown, resolve=_no_capability))[0] != body:
            return None
    except (CapsError, UnicodeError):
        return None
    return (shown,)


def from_text(text: str) -> Any:
    """The plain value of a JSON text; raises Malformed."""
    return from_json(jsonform.parse(text))


def from_json(said: Any) -> Any:
    """The plain value of what JSON has; raises Malformed."""
    if type(said) is dict:
        return _bytes_of(said)
    if type(said) is list:
        return [from_json(one) for one in said]
    if type(said) not in ATOMS:
        raise Malformed("a number that is no integer")
    return said


def _bytes_of(said: dict[str, Any]) -> bytes:
    if len(said) == 1:
        ((form, inner),) = said.items()
        if form == "$cbor" and type(inner) is list:
            return cbor2.dumps([from_json(one) for one in inner])
        if form == "$content":
            return encode_content(jsonform.from_json(inner, resolve=_no_capability))[0]
        if form == "$bytes":
            found = jsonform.from_json(said, resolve=_no_capability)
            assert type(found) is bytes
            return found
    raise Malformed(
        "bytes are written as $bytes, $cbor or $content, and there are no other objects"
    )


def _no_capability(text: str) -> NoReturn:
    raise Malformed(f"a capability cannot stand in a content here: {text[:40]!r}; write $bytes")


__all__ = ["from_json", "from_text", "to_json", "to_text"]
