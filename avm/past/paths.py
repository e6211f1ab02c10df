"""Where two states differ, all of it, by path. Pure.

Beside the journey, for `diff` and `bisect`, and for the place where a replay and its record part. A
path is what one would write in Python to reach the value: `state.accounts["ann"].balance`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from caps.frozen import order_of
from caps.map import Map
from caps.value import Affine, Capability, Linear, Record, Relevant, Value

ROOT = "state"
# Between the items that are the same at both ends so many are aligned, which takes the square of it.
ALIGNED_MAX = 500
WRAPPERS = (Linear, Affine, Relevant)

Name = Callable[[Capability], str]


class Kind(Enum):
    """What became of the value at a path."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference of two states; `was` is None where it was added, `now` where it was removed.

    The path of what was added is that in the later state, every other one that in the earlier.
    """

    path: str
    kind: Kind
    was: Value = None
    now: Value = None


def changes(was: Value, now: Value, name: Name, path: str = ROOT) -> Iterator[Change]:
    """Every difference of two values in the order of their paths; `name` is for keys that are capabilities."""
    if type(was) is type(now):
        match was, now:
            case Record(), Record() if was.name == now.name:
                yield from _fields(was.fields, now.fields, name, path)
                return
            case Map(), Map():
                yield from _keys(was, now, name, path)
                return
            case tuple(), tuple():
                yield from _items(was, now, name, path)
                return
            case ((Linear() | Affine() | Relevant()), (Linear() | Affine() | Relevant())):
                yield from changes(was.value, now.value, name, f"{path}.value")
                return
    if not _same(was, now):
        yield Change(path, Kind.CHANGED, was, now)


def _same(was: Value, now: Value) -> bool:
    return type(was) is type(now) and order_of(was) == order_of(now)


def _fields(was: Map[str, Value], now: Map[str, Value], name: Name, path: str) -> Iterator[Change]:
    for field in [*was, *(field for field in now if field not in was)]:
        there = f"{path}.{field}"
        if field not in now:
            yield Change(there, Kind.REMOVED, was=was[field])
        elif field not in was:
            yield Change(there, Kind.ADDED, now=now[field])
        else:
            yield from changes(was[field], now[field], name, there)


def _keys(
    was: Map[Value, Value], now: Map[Value, Value], name: Name, path: str
) -> Iterator[Change]:
    """By key, in the order of all of them; a key is another if its type is, as 1 and True are."""
    old, new = ({order_of(key): key for key in one} for one in (was, now))
    for place in sorted(old.keys() | new.keys()):
        key = old[place] if place in old else new[place]
        there = f"{path}[{key_text(key, name)}]"
        if place not in new:
            yield Change(there, Kind.REMOVED, was=was[key])
        elif place not in old:
            yield Change(there, Kind.ADDED, now=now[key])
        else:
            yield from changes(was[key], now[new[place]], name, there)


def _items(
    was: tuple[Value, ...], now: tuple[Value, ...], name: Name, path: str
) -> Iterator[Change]:
    """Item by item where they differ, so that a queue that moves on is what left and what came."""
    shorter = min(len(was), len(now))
    start = 0
    while start < shorter and _same(was[start], now[start]):
        start += 1
    end = 0
    while end < shorter - start and _same(was[-1 - end], now[-1 - end]):
        end += 1
    for old, new in _aligned(was, now, start, len(was) - end, len(now) - end):
        both = min(len(old), len(new))
        for index, other in zip(old, new, strict=False):
            yield from changes(was[index], now[other], name, f"{path}[{index}]")
        for index in old[both:]:
            yield Change(f"{path}[{index}]", Kind.REMOVED, was=was[index])
        for index in new[both:]:
            yield Change(f"{path}[{index}]", Kind.ADDED, now=now[index])


def _aligned(
    was: tuple[Value, ...], now: tuple[Value, ...], start: int, old_end: int, new_end: int
) -> Iterator[tuple[range, range]]:
    """The runs of items that differ, in the one and in the other; of very many it is one run."""
    if max(old_end, new_end) - start > ALIGNED_MAX:
        yield range(start, old_end), range(start, new_end)
        return
    old = [order_of(one) for one in was[start:old_end]]
    new = [order_of(one) for one in now[start:new_end]]
    for what, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            yield range(start + i, start + j), range(start + k, start + m)


def key_text(key: Value, name: Name) -> str:
    """A map's key as it is written in Python; a capability in it by its name."""
    match key:
        case str():
            return json.dumps(key, ensure_ascii=False)
        case Capability():
            return f"<{name(key)}>"
        case tuple():
            inner = ", ".join(key_text(part, name) for part in key)
            return f"({inner},)" if len(key) == 1 else f"({inner})"
        case Map():
            inner = ", ".join(f"{key_text(k, name)}: {key_text(v, name)}" for k, v in key.items())
            return f"{{{inner}}}"
        case Record():
            inner = ", ".join(f"{k}={key_text(v, name)}" for k, v in key.fields.items())
            return f"{key.name}({inner})"
    if isinstance(key, WRAPPERS):
        return f"{type(key).__name__}({key_text(key.value, name)})"
    return repr(key)


__all__ = ["Change", "Kind", "changes", "key_text"]
