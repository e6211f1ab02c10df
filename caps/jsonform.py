"""Values as JSON, for people, command lines and gateways; no machine ever sees this form.

What JSON has stands for itself. The rest is an object with one key that begins with `$`:
`$cap`, `$bytes`, `$float`, `$map`, `$record`, `$me`, `$linear`, `$affine`, `$relevant`, `$failed`.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from itertools import pairwise
from math import inf, isfinite, isnan
from typing import Any, NoReturn, TypeAlias

from caps.errors import Malformed, NotAValue
from caps.frozen import INT_BITS_MAX, NAN, Capability
from caps.map import Map, freeze
from caps.record import Typed
from caps.slots import Me
from caps.value import Affine, Failed, Linear, Record, Relevant, Value

Json: TypeAlias = object
NameOf: TypeAlias = Callable[[Capability], str]
Resolve: TypeAlias = Callable[[str], Capability]

_DIGITS_MAX = 1 + len(str(1 << INT_BITS_MAX))
_FLOATS = {"nan": NAN, "inf": inf, "-inf": -inf}
_STRAY = re.compile(r"[^A-Za-z0-9_-]")


def to_json(value: Value, *, name_of: NameOf | None = None) -> Json:
    """Return the JSON object of a value; `name_of` gives the text of each capability.

    Raises NotAValue for what is no value, and for a capability when there is no `name_of`.
    """
    return _to_json(freeze(value), name_of)


def _to_json(value: Value, name_of: NameOf | None) -> Json:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else {"$float": _float_name(value)}
        case bytes():
            return {"$bytes": urlsafe_b64encode(value).rstrip(b"=").decode()}
        case tuple():
            return [_to_json(part, name_of) for part in value]
        case Map():
            return _map_to_json(value, name_of)
        case Capability():
            if name_of is None:
                raise NotAValue("a capability has no text here")
            return {"$cap": name_of(value)}
    return _form_to_json(value, name_of)


def _form_to_json(value: Value, name_of: NameOf | None) -> Json:
    match value:
        case Typed():
            names = value.__record_fields__
            fields: Map[str, Value] = Map({name: getattr(value, name) for name in names})
            return {"$record": [value.__record_name__, _map_to_json(fields, name_of)]}
        case Record():
            return {"$record": [value.name, _map_to_json(value.fields, name_of)]}
        case Me():
            return {"$me": [_to_json(part, name_of) for part in value._within]}
        case Linear():
            return {"$linear": _to_json(value.value, name_of)}
        case Affine():
            return {"$affine": _to_json(value.value, name_of)}
        case Relevant():
            return {"$relevant": _to_json(value.value, name_of)}
        case Failed():
            return {"$failed": [_to_json(part, name_of) for part in value._parts()]}
    raise NotAValue(f"a {type(value).__name__} is no value")


def _map_to_json(value: Map[Any, object], name_of: NameOf | None) -> Json:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {str(key): _to_json(part, name_of) for key, part in value.items()}
    pairs = [[_to_json(key, name_of), _to_json(part, name_of)] for key, part in value.items()]
    return {"$map": pairs}


def _float_name(value: float) -> str:
    return "nan" if isnan(value) else "inf" if value > 0 else "-inf"


def from_json(obj: Json, *, resolve: Resolve) -> Value:
    """Return the frozen value of a JSON object; `resolve` gives the capability of each text.

    Raises Malformed, and whatever `resolve` raises.
    """
    try:
        return freeze(_from_json(obj, resolve))
    except NotAValue as error:
        raise Malformed(str(error)) from None
    except RecursionError:
        raise Malformed("nested too deeply") from None


def _from_json(obj: Json, resolve: Resolve) -> Value:
    match obj:
        case list():
            return [_from_json(part, resolve) for part in obj]
        case dict():
            special = next((key for key in obj if key.startswith("$")), None)
            if special is None:
                return {key: _from_json(part, resolve) for key, part in obj.items()}
            if len(obj) != 1:
                raise Malformed(f"{special!r} stands beside other keys; write the map as $map")
            return _form_from_json(special, obj[special], resolve)
    return obj


def _form_from_json(special: str, inner: Json, resolve: Resolve) -> Value:
    match special, inner:
        case "$cap", str():
            return resolve(inner)
        case "$bytes", str():
            return _bytes(inner)
        case "$float", str() if inner in _FLOATS:
            return _FLOATS[inner]
        case "$map", list():
            return _map_from_json(inner, resolve)
        case "$record", [str(name), dict(fields)]:
            return _record_from_json(name, _from_json(fields, resolve))
        case "$me", list():
            return Me(0, tuple([_from_json(part, resolve) for part in inner]))
        case "$linear", _:
            return Linear(_from_json(inner, resolve))
        case "$affine", _:
            return Affine(_from_json(inner, resolve))
        case "$relevant", _:
            return Relevant(_from_json(inner, resolve))
        case "$failed", [str(why), str(detail)]:
            return Failed(why, detail)
        case "$failed", [str(why), str(detail), content] if content is not None:
            return Failed(why, detail, _from_json(content, resolve))
    if special in _FORMS:
        raise Malformed(f"{special} takes {_FORMS[special]}")
    raise Malformed(f"there is no {special}; a key that begins with $ goes into $map")


_FORMS = {
    "$cap": "the text of a capability",
    "$bytes": "unpadded base64url",
    "$float": '"nan", "inf" or "-inf"',
    "$map": "a list of pairs",
    "$record": "a name and an object of fields",
    "$me": "a list",
    "$failed": "two texts",
}


def _record_from_json(name: str, fields: Value) -> Record:
    frozen = freeze(fields)
    if not isinstance(frozen, Map):
        raise Malformed(f"$record takes {_FORMS['$record']}")
    return Record(name, frozen)


def _map_from_json(pairs: list[Json], resolve: Resolve) -> Map[Value, Value]:
    held: list[tuple[Value, Value]] = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed(f"$map takes {_FORMS['$map']}")
        held.append((freeze(_from_json(pair[0], resolve)), _from_json(pair[1], resolve)))
    made = Map(held)
    if len(made) != len(held):
        raise Malformed("a key comes twice in a $map")
    return made


def _bytes(text: str) -> bytes:
    if _STRAY.search(text) or len(text) % 4 == 1:
        raise Malformed(f"$bytes takes {_FORMS['$bytes']}")
    decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        raise Malformed("$bytes with unused bits that are not zero")
    return decoded


def dumps(value: Value, *, name_of: NameOf | None = None, indent: int | None = None) -> str:
    """Return the JSON text of a value, on one line unless `indent` is given; raises NotAValue."""
    return json.dumps(
        to_json(value, name_of=name_of), ensure_ascii=False, allow_nan=False, indent=indent
    )


def loads(text: str, *, resolve: Resolve) -> Value:
    """Return the frozen value of a JSON text; raises Malformed, and whatever `resolve` raises."""
    return from_json(parse(text), resolve=resolve)


def parse(text: str) -> Json:
    """Return what a JSON text says, strictly: no NaN, no key twice; raises Malformed with the place."""
    try:
        said: Json = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        why = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise Malformed(f"not JSON: {why}") from None
    except RecursionError:
        raise Malformed("not JSON of ours: nested too deeply") from None
    return said


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = sorted(key for key, _ in pairs)
        twice = next(left for left, right in pairwise(names) if left == right)
        raise Malformed(f"the key {twice!r} comes twice")
    return made


def _int(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise Malformed(f"an integer of more than {INT_BITS_MAX:,} bits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise Malformed(f"the number {digits[:40]} is out of range")
    return number


def _constant(name: str) -> NoReturn:
    raise Malformed(f'{name} is not JSON; write {{"$float": ...}}')
