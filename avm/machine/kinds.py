"""What may not be dropped or copied, followed through one message of a turn. Pure.

Step 4 of the journey, after the step: what came (state, context, content) is held against what left
(state, sends). Things are the same when they are equal, and are counted wherever they stand, also
inside others and in contexts. What is new is the machine's own making, in any number.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from avm.message import Message, Send
from caps.frozen import ATOMS, Capability, order_of
from caps.kinds import is_kinded
from caps.light import dataclass, field
from caps.map import Map, freeze
from caps.record import Typed
from caps.slots import NULL, Foreign, Narrowed, Own
from caps.tree import leaves
from caps.value import Affine, Failed, Linear, Record, Relevant, Value

SHOWN_MAX = 60
PLACES_MAX = 3
_WRAPPED: dict[type, str] = {Linear: "linear", Affine: "affine", Relevant: "relevant"}


class Dropped(Exception):
    """Something linear or relevant came, and the turn neither kept it nor sent it on."""


class Copied(Exception):
    """Something linear or affine left in more places than it came in."""


@dataclass(slots=True)
class Watch:
    """Whether a machine's turns have to be followed at all; nothing of a kind costs nothing.

    `makes` says whether the code may make such things; `came` is set by a message that brings one, for
    the rest of its turn.
    """

    makes: bool = True
    state: Value = None
    held: bool = False
    came: bool = False

    def begins(self, state: Value) -> bool:
        """Whether a turn from this state is to be followed from its first message on."""
        if state is not self.state:
            self.state, self.held = state, is_kinded(state)
        return self.held


@dataclass(slots=True)
class _Thing:
    """One thing of a kind: where it came, where it left, and how often it was given to `null~`."""

    what: Value
    kind: str
    came: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    gone: int = 0


def follow(message: Message, before: Value, sends: Sequence[Any], after: Value) -> None:
    """Checks one message's turn; raises `Dropped` or `Copied`, naming what and where.

    What the turn left as it was counts on both sides. So the rest is looked at first, and the whole
    state only where that does not say enough: where something is wrong, or is new.
    """
    may_differ = is_kinded(before) or is_kinded(after)
    rest = _things(message, differing(before, after, "state") if may_differ else (), sends)
    if all(one.came and _judged(one) is None for one in rest):
        return
    whole = ((False, "state", before), (True, "state", after))
    for one in _things(message, whole, sends):
        error = _judged(one)
        if error is not None:
            raise error


def _things(
    message: Message, states: Iterable[tuple[bool, str, Value]], sends: Sequence[Any]
) -> list[_Thing]:
    """What came and left, of the parts of the states before and after that are given."""
    things: dict[bytes, _Thing] = {}
    said = (
        (False, "message.context", message.context),
        (False, "message.content", message.content),
    )
    for is_left, path, value in (*states, *said):
        for where, thing in kinded(value, path):
            noted = _noted(things, thing)
            (noted.left if is_left else noted.came).append(where)
    for place, send in enumerate(sends):
        if type(send) is Send:
            _follow_send(things, f"sends[{place}]", send)
    return list(things.values())


def _follow_send(things: dict[bytes, _Thing], path: str, send: Send) -> None:
    parts: list[tuple[str, object]] = [("to", send.to), ("reply", send.reply)]
    if send.to == NULL and send.reply is None:
        for _where, thing in kinded(freeze(send.content), path):
            _noted(things, thing).gone += 1
    else:
        parts.append(("content", freeze(send.content)))
    for name, value in parts:
        for where, thing in kinded(value, f"{path}.{name}"):
            _noted(things, thing).left.append(where)


def _noted(things: dict[bytes, _Thing], what: Value) -> _Thing:
    key = order_of(what)
    found = things.get(key)
    if found is None:
        found = things[key] = _Thing(what, kind_of(what))
    return found


def _judged(one: _Thing) -> Dropped | Copied | None:
    came, left = len(one.came), len(one.left)
    if not came:
        return None
    if one.kind != "relevant" and left > came:
        places = " and ".join(one.left[: max(PLACES_MAX, came + 1)])
        return Copied(f"{_shown(one)} of {one.came[0]} was copied: it is in {places}")
    needed = {"linear": came, "relevant": 1}.get(one.kind, 0)
    if left + one.gone < needed:
        lost = next((where for where in one.came if where not in one.left), one.came[0])
        what = "keep it, send it on, or send it to null~"
        return Dropped(f"{_shown(one)} of {lost} was dropped: {what}")
    return None


def _shown(one: _Thing) -> str:
    if isinstance(one.what, Capability):
        return f"the {one.kind} capability"
    shown = f"{type(one.what).__name__}({one.what.value!r})"  # type: ignore[attr-defined]
    return shown if len(shown) <= SHOWN_MAX else shown[: SHOWN_MAX - 3] + "..."


def kind_of(value: Value) -> str:
    """The kind of a thing itself, "" of one that has none."""
    if isinstance(value, Foreign | Own):
        return value._kind
    return _WRAPPED.get(type(value), "")


def kinded(value: Value, path: str) -> Iterator[tuple[str, Value]]:
    """Everything in a frozen value that has a kind, with its path; parts without any are passed over.

    A capability that was narrowed is still the one that came.
    """
    if isinstance(value, Narrowed):
        value = value._inner
    if isinstance(value, Foreign | Own):
        if value._kind:
            yield path, value
            if isinstance(value, Own):
                yield from kinded(value._context, f"{path}.context")
        return
    if value is None or not is_kinded(value):
        return
    if type(value) in _WRAPPED:
        yield path, value
        yield from kinded(value.value, f"{path}.value")  # type: ignore[attr-defined]
        return
    for where, part in _parts(value):
        yield from kinded(part, path + where)


def _parts(value: Any) -> Iterator[tuple[str, Value]]:
    if type(value) is tuple:
        for place, part in enumerate(value):
            yield f"[{place}]", part
    elif isinstance(value, Map):
        for key, part in value.items():
            where = _index(key)
            yield f"{where} as a key", key
            yield where, part
    elif isinstance(value, Typed):
        for name in value.__record_fields__:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, Record):
        yield from _parts(value.fields)
    elif isinstance(value, Failed):
        yield ".content", value.content


def differing(before: Any, after: Any, path: str) -> Iterator[tuple[bool, str, Value]]:
    """The parts of two states that are not the same object in the same place; atoms have no kind.

    Each with whether it is of the later state, and its path; leaves of a map that both have are passed
    over as a whole.
    """
    if before is after:
        return
    if type(before) is not type(after) or not isinstance(before, tuple | Map | Typed):
        if type(before) not in ATOMS:
            yield False, path, before
        if type(after) not in ATOMS:
            yield True, path, after
        return
    was, now = _unlike(before, after)
    for key in [*was, *(key for key in now if key not in was)]:
        where = path + (key if isinstance(before, Typed) else _index(_key_of(key)))
        if key in was and key in now:
            yield from differing(was[key], now[key], where)
            continue
        is_left = key in now
        yield is_left, where, (now if is_left else was)[key]
        if isinstance(before, Map):
            yield is_left, f"{where} as a key", _key_of(key)


def _unlike(before: Any, after: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The parts of two containers of one class, but for leaves and parts that both have."""
    parts: list[dict[Any, Any]]
    if isinstance(before, Map):
        sides = [{id(one): one for one in leaves(side._root)} for side in (before, after)]
        parts = [
            {
                key: part
                for place, leaf in side.items()
                if place not in other
                for key, part in leaf.items()
            }
            for side, other in (sides, sides[::-1])
        ]
        return parts[0], parts[1]
    if isinstance(before, tuple):
        parts = [dict(enumerate(side)) for side in (before, after)]
    else:
        names = before.__record_fields__
        parts = [{f".{name}": getattr(side, name) for name in names} for side in (before, after)]
    was, now = parts
    for key in [key for key, part in was.items() if key in now and now[key] is part]:
        del was[key], now[key]
    return was, now


def _key_of(stored: Any) -> Any:
    """The key of a map as it is, where the tree stores it with its place."""
    return stored[1] if type(stored) is tuple else stored


def _index(key: Any) -> str:
    return f'["{key}"]' if type(key) is str else f"[{key!r}]"


def slots_of(state: Value) -> list[int]:
    """The slots of capabilities with a kind that a state holds, one for each place."""
    found = (thing for _where, thing in kinded(state, ""))
    return [one._slot for one in found if isinstance(one, Foreign)]


def report(before: Value, after: Value) -> tuple[list[int], list[int]]:
    """The slots of a kind in two states: of what differs, and where those are not the same, of all."""
    rest: tuple[list[int], list[int]] = ([], [])
    for is_left, _where, part in differing(before, after, ""):
        rest[is_left].extend(slots_of(part))
    if sorted(rest[False]) == sorted(rest[True]):
        return rest
    return slots_of(before), slots_of(after)


__all__ = ["Copied", "Dropped", "Watch", "follow", "kind_of", "kinded", "report", "slots_of"]
