"""Where two answers of a core differ first, for people. Pure.

Bytes that hold CBOR are looked into, so that a difference is named down to a value in a worker's frame
or a row of the store.
"""

from dataclasses import dataclass
from typing import Any

import cbor2

from avm.host.journal import FIELDS as JOURNAL
from avm.host.journal import FORMS
from avm.recording.outputs import CUT, GROUP_FIELDS, RAISED, fields_of

SHOWN_MAX = 120
HEX_MAX = 24
DEPTH_MAX = 60
NOTHING = "nothing"
# A row of the store follows from a turn, and not the other way.
TELLING = ("number", "journal", "snapshots", "rows", "cuts")
ATOMS = (type(None), bool, int, float, str)
NAMED = {None: "null", True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where, what was recorded there, and what came now."""

    where: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.where}: recorded {self.was}, now {self.now}"


def between_outputs(was: list[Any], now: list[Any]) -> Difference:
    """The first difference of two outputs that are not the same."""
    (result, effects, group), (result_now, effects_now, group_now) = was, now
    if result != result_now:
        if RAISED in (_head(result), _head(result_now)):
            return Difference("the call", _called(result), _called(result_now))
        return deep("its result", result, result_now)
    if effects != effects_now:
        return _between_effects(effects, effects_now)
    if group is None or group_now is None:
        return Difference("the commit", _commit(group), _commit(group_now))
    return _between_groups(group, group_now)


def _head(value: Any) -> Any:
    return value[0] if type(value) is list and value else None


def _called(result: Any) -> str:
    return f"{result[1]}: {result[2]}" if _head(result) == RAISED else "no error"


def _commit(group: Any) -> str:
    return NOTHING if group is None else f"commit {group[0]}"


def _between_effects(was: list[Any], now: list[Any]) -> Difference:
    place, old, new = first_apart(was, now)
    where = f"effect {place + 1}"
    if old is None or new is None or old[0] != new[0]:
        names = [NOTHING if one is None else shown(one) for one in (old, new)]
        return Difference(where, *names)
    at, left, right = first_apart(old, new)
    known = fields_of(old[0])
    field = known[at - 1] if 0 < at <= len(known) else str(at)
    return deep(f"{where}, {old[0]} {field}", left, right)


def _between_groups(was: list[Any], now: list[Any]) -> Difference:
    what, left, right = _telling(was, now)
    if what == "number":
        return Difference("the commit's number", shown(left), shown(right))
    place, old, new = first_apart(left, right)
    if old is None or new is None:
        rows = [NOTHING if one is None else shown(one) for one in (old, new)]
        return Difference(f"the commit's {what}, {place + 1}", *rows)
    if what == "rows" and old[0] == new[0]:
        key = " ".join(shown(one) for one in old[0])
        return deep(f"the commit's row {key}", old[1], new[1])
    if what == "journal" and old[:2] == new[:2]:
        return _between_rows(old, new)
    if what == "snapshots" and old[:2] == new[:2]:
        return deep(f"the commit's snapshot of machine {old[0]}, entry {old[1]}", old[2], new[2])
    return deep(f"the commit's {what}, {place + 1}", old, new)


def _telling(was: list[Any], now: list[Any]) -> tuple[str, Any, Any]:
    """The part of two commits that tells most of what is apart in them."""
    parts = dict(zip(GROUP_FIELDS, zip(was, now, strict=True), strict=True))
    what = next(one for one in TELLING if parts[one][0] != parts[one][1])
    return what, *parts[what]


def _between_rows(was: list[Any], now: list[Any]) -> Difference:
    where = f"machine {was[0]}, entry {was[1]}"
    if was[3] != now[3]:
        return between_entries(where, was[3], now[3])
    if was[4] != now[4]:
        return deep(f"{where}, what it printed", was[4], now[4])
    return deep(f"{where}, the hash of the one before", was[2], now[2])


def between_entries(where: str, was: Any, now: Any) -> Difference:
    """The first difference of two entries of a journal, without the hashes of those before."""
    old, new = _opened(was), _opened(now)
    if old and new and old[0] == new[0] and len(old) == len(new) and old[0] in JOURNAL:
        at, left, right = first_apart(old, new)
        names = ("form", *JOURNAL[old[0]])
        place = f"{where} ({FORMS[old[0]]})" if where else FORMS[old[0]]
        return deep(f"{place}, {names[at]}", left, right)
    if old and new and old[0] in JOURNAL and new[0] in JOURNAL and old[0] != new[0]:
        names = (FORMS[old[0]], FORMS[new[0]])
        return Difference(f"{where}, form" if where else "form", *map(repr, names))
    return deep(where, was, now)


def first_apart(was: list[Any], now: list[Any]) -> tuple[int, Any, Any]:
    """The first place where two lists differ, and what is there; None where one has ended."""
    for at in range(max(len(was), len(now))):
        left = was[at] if at < len(was) else None
        right = now[at] if at < len(now) else None
        if left != right or (at >= min(len(was), len(now))):
            return at, left, right
    raise AssertionError("they are the same")


def deep(where: str, was: Any, now: Any) -> Difference:
    """The first difference of two plain values: looks into lists of one length, maps of the same keys, and
    bytes that hold such.
    """
    for _ in range(DEPTH_MAX):
        if type(was) is bytes and type(now) is bytes:
            old, new = _inside(was), _inside(now)
            if old is None or new is None or old == new:
                was, now = _atoms(was, now)
                break
            was, now = old, new
        elif (
            type(was) is list and type(now) is list and len(was) == len(now) and CUT not in was[:1]
        ):
            at, was, now = first_apart(was, now)
            where = f"{where}[{at}]"
        elif type(was) is dict and type(now) is dict and was.keys() == now.keys():
            key = next(key for key in was if was[key] != now[key])
            was, now, where = was[key], now[key], f"{where}[{_text(key)}]"
        else:
            break
    return Difference(where, shown(was), shown(now))


def _atoms(was: bytes, now: bytes) -> tuple[Any, Any]:
    """Two short bytes that hold a number or text each; else the bytes."""
    found: list[Any] = []
    for body in (was, now):
        try:
            found.append(cbor2.loads(body) if body else None)
        except (cbor2.CBORError, ValueError, RecursionError):
            return was, now
    return (found[0], found[1]) if all(type(one) in ATOMS for one in found) else (was, now)


def _opened(body: Any) -> Any:
    """What bytes hold that are a CBOR array; else None."""
    if type(body) is not bytes or not body or not 0x80 <= body[0] <= 0x9B:
        return None
    try:
        found = cbor2.loads(body, max_depth=DEPTH_MAX)
    except (cbor2.CBORError, ValueError, RecursionError):
        return None
    return found if type(found) is list else None


def _inside(body: bytes) -> Any:
    """The array or the map that bytes hold; else None."""
    opened = _opened(body)
    return _map_in(body) if opened is None else opened


def _map_in(body: bytes) -> dict[Any, Any] | None:
    """What bytes hold that are a CBOR map, to the last byte; else None."""
    if not body or not 0xA0 <= body[0] <= 0xBB:
        return None
    try:
        found = cbor2.loads(body, max_depth=DEPTH_MAX)
        same = cbor2.dumps(found) == body
    except (cbor2.CBORError, ValueError, TypeError, RecursionError):
        return None
    return found if same and type(found) is dict else None


def shown(value: Any) -> str:
    """A plain value in a few words."""
    text = _text(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 4] + " ..."


def _text(value: Any) -> str:
    if type(value) is bytes:
        if len(value) <= 8:
            opened = _opened(value)
            if opened is not None:
                return _text(opened)
        inside = _map_in(value)
        if inside is not None:
            return _text(inside)
        rest = "" if len(value) <= HEX_MAX else f".. ({len(value):,} bytes)"
        return f"h'{value[:HEX_MAX].hex()}'{rest}"
    if type(value) is list:
        if CUT in value[:1]:
            return f"{value[1]:,} bytes of digest {value[2].hex()}"
        return "[" + ", ".join(map(_text, value)) + "]"
    if type(value) is cbor2.CBORTag:
        return f"{value.tag}({_text(value.value)})"
    if type(value) is dict:
        pairs = (f"{_text(key)}: {_text(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    return NAMED[value] if value is None or type(value) is bool else repr(value)
