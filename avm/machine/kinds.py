"""What may not be dropped or copied, followed through one message of a turn. Pure.

Step 4 of the journey, after the step: what came (state, context, content) is held against what left
(state, sends). Things are the same when they are equal, and are counted wherever they stand, also
inside others and in contexts. What is new is the machine's own making, in any number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from avm.message import Message, Send
from caps.frozen import Capability, order_of
from caps.kinds import is_kinded
from caps.map import Map, freeze
from caps.record import Typed
from caps.slots import NULL, Foreign, Narrowed, Own
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


def follow(message: Message, before: Value, sends: Iterable[Any], after: Value) -> None:
    """Checks one message's turn; raises `Dropped` or `Copied`, naming what and where."""
    things: dict[bytes, _Thing] = {}
    came = (("state", before), ("message.context", message.context))
    for path, value in (*came, ("message.content", message.content)):
        for where, thing in kinded(value, path):
            _noted(things, thing).came.append(where)
    if not things:
        return
    for where, thing in kinded(after, "state"):
        _noted(things, thing).left.append(where)
    for place, send in enumerate(sends):
        if type(send) is Send:
            _follow_send(things, f"sends[{place}]", send)
    for one in things.values():
        _judge(one)


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


def _judge(one: _Thing) -> None:
    came, left = len(one.came), len(one.left)
    if not came:
        return
    if one.kind != "relevant" and left > came:
        places = " and ".join(one.left[: max(PLACES_MAX, came + 1)])
        raise Copied(f"{_shown(one)} of {one.came[0]} was copied: it is in {places}")
    needed = {"linear": came, "relevant": 1}.get(one.kind, 0)
    if left + one.gone < needed:
        lost = next((where for where in one.came if where not in one.left), one.came[0])
        what = "keep it, send it on, or send it to null~"
        raise Dropped(f"{_shown(one)} of {lost} was dropped: {what}")


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
            where = f'["{key}"]' if type(key) is str else f"[{key!r}]"
            yield f"{where} as a key", key
            yield where, part
    elif isinstance(value, Typed):
        for name in value.__record_fields__:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, Record):
        yield from _parts(value.fields)
    elif isinstance(value, Failed):
        yield ".content", value.content


def slots_of(state: Value) -> list[int]:
    """The slots of capabilities with a kind that a state holds, one for each place."""
    found = (thing for _where, thing in kinded(state, ""))
    return [one._slot for one in found if isinstance(one, Foreign)]


__all__ = ["Copied", "Dropped", "Watch", "follow", "kind_of", "kinded", "slots_of"]
