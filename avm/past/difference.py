"""Where two outputs of one turn differ: the first message, and the path in it. Pure.

Beside the journey, for replay. Both are decoded with the machine's references as names.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import cbor2

from avm.host.chain import Input
from avm.machine.turn import APPLIED, EXHAUSTED, REFUSED
from avm.past.labels import Lens
from avm.past.paths import Kind, changes
from caps.errors import CapsError
from caps.jsonform import Json

TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference of a re-execution: turn, message, path, recorded and found."""

    turn: int
    message: int | None
    path: str
    was: str
    now: str

    def __str__(self) -> str:
        place = "" if self.message is None else f", message {self.message}"
        return f"turn {self.turn}{place}: {self.path} was {self.was}, now {self.now}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a turn, apart from its sends."""

    verdict: str
    index: int | None = None

    def __str__(self) -> str:
        return self.verdict


def outcome_of(output: list[Any], places: list[int]) -> Outcome:
    """The outcome of a worker's output; an index counts the messages it saw."""
    verdict, index = output[0], output[1]
    if verdict == APPLIED:
        return Outcome("applied")
    place = places[index] if index < len(places) else len(places)
    if verdict == REFUSED:
        return Outcome(f"refused: {output[2]}" if output[2] else "refused", place)
    why = f"exhausted: {output[2]}" if verdict == EXHAUSTED else "rejected"
    return Outcome(why, place)


def between(turn: int, given: Input | None, was: bytes, now: bytes, lens: Lens) -> Difference:
    """The first difference of two applied outputs that are not the same bytes."""
    old, new = cbor2.loads(was), cbor2.loads(now)
    places = given.places if given is not None else [0]
    for index, (before, after) in enumerate(zip_longest(old[2], new[2])):
        message = places[index] if index < len(places) else index
        found = _in_message(before or [], after or [], lens)
        if found is not None:
            return Difference(turn, message, *found)
    if old[1] != new[1]:
        words = {True: "changed", False: "kept as it was"}
        return Difference(turn, None, "the state", words[bool(old[1])], words[bool(new[1])])
    return Difference(turn, None, "the output's bytes", was.hex()[:40], now.hex()[:40])


def between_states(
    was: tuple[bytes, list[Any]], now: tuple[bytes, list[Any]], lens: Lens
) -> tuple[str, str, str]:
    """The first difference of two states that are not the same bytes: path, recorded and found."""
    return next(in_states(was, now, lens), ("state", "other references", "of the same names"))


def in_states(
    was: tuple[bytes, list[Any]], now: tuple[bytes, list[Any]], lens: Lens
) -> Iterator[tuple[str, str, str]]:
    """Where two states differ: each path, recorded and found."""
    try:
        old, new = lens.state(*was), lens.state(*now)
    except CapsError as error:
        yield "state", "readable", str(error)
        return
    found = False
    for one in changes(old, new, lens.label):
        found = True
        before = "absent" if one.kind is Kind.ADDED else text(lens.json(one.was))
        after = "absent" if one.kind is Kind.REMOVED else text(lens.json(one.now))
        yield one.path, before, after
    if not found and was[1] != now[1]:
        yield "state", "other references", "of the same names"


def _in_message(before: list[Any], after: list[Any], lens: Lens) -> tuple[str, str, str] | None:
    return next(in_message(before, after, lens), None)


def in_message(before: list[Any], after: list[Any], lens: Lens) -> Iterator[tuple[str, str, str]]:
    """Where the sends of one message differ: each path, recorded and found."""
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            yield from _in_send(f"sends[{index}]", old, new, lens)
    if len(before) != len(after):
        yield "the number of sends", str(len(before)), str(len(after))


def _in_send(
    path: str, old: list[Any], new: list[Any], lens: Lens
) -> Iterator[tuple[str, str, str]]:
    was, now = shown_send(old, lens), shown_send(new, lens)
    names = sorted(was.keys() | now.keys(), key=list(ORDER).index)
    differing = [name for name in names if was.get(name) != now.get(name)]
    for name in differing:
        yield from _in_json(f"{path}.{name}", was.get(name), now.get(name))
    if not differing:
        contexts = _contexts(path, old, new, lens)
        yield contexts or (path, "its references", "others of the same names")


def _contexts(path: str, old: list[Any], new: list[Any], lens: Lens) -> tuple[str, str, str] | None:
    """The first two capabilities of the machine's own that differ in their contexts alone."""
    for was, now in zip(_references(old), _references(new), strict=False):
        if was != now and type(was) is type(now) is list and was[:4] == now[:4]:
            old_text, new_text = (text(lens.context_json(*one[4:])) for one in (was, now))
            return f"{path}, the context of {lens.reference(now)}", old_text, new_text
    return None


def _references(send: list[Any]) -> list[Any]:
    return [send[0], *(send[2] if len(send) == 7 else []), *(send[3:4] if len(send) == 7 else [])]


ORDER = ("cancel", "to", "content", "reply", "deadline_s", "after_s", "apart")


def shown_send(send: list[Any], lens: Lens) -> dict[str, Json]:
    """A send as JSON; what is not said is left out."""
    to = lens.reference(send[0])
    if len(send) == 1:
        return {"cancel": to}
    if len(send) == 2:
        return {"to": to, "content": lens.content_json(send[1], [])}
    shown: dict[str, Json] = {"to": to, "content": lens.content_json(send[1], send[2])}
    if send[3] is not None:
        shown["reply"] = lens.reference(send[3])
    for name, milliseconds in (("deadline_s", send[4]), ("after_s", send[5])):
        if milliseconds is not None:
            shown[name] = milliseconds / 1000
    if send[6]:
        shown["apart"] = True
    return shown


def _in_json(path: str, was: Json, now: Json) -> Iterator[tuple[str, str, str]]:
    """Each of the deepest paths at which two JSON values differ; at least one."""
    found = list(_parts(path, was, now))
    yield from found or [(path, text(was), text(now))]


def _parts(path: str, was: Json, now: Json) -> Iterator[tuple[str, str, str]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            if key not in was or key not in now:
                yield f"{path}.{key}", cut(was, key), cut(now, key)
            elif was[key] != now[key] or type(was[key]) is not type(now[key]):
                yield from _in_json(f"{path}.{key}", was[key], now[key])
    elif isinstance(was, list) and isinstance(now, list):
        for index, (old, new) in enumerate(zip(was, now, strict=False)):
            if old != new or type(old) is not type(new):
                yield from _in_json(f"{path}[{index}]", old, new)
        if len(was) != len(now):
            yield f"the length of {path}", str(len(was)), str(len(now))
    else:
        yield path, text(was), text(now)


def cut(held: dict[str, Json], key: str) -> str:
    """The value of a key as text, or that there is none."""
    return text(held[key]) if key in held else "absent"


def text(value: Json) -> str:
    """JSON on one line, cut."""
    whole = json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= TEXT_CHARS_MAX else whole[:TEXT_CHARS_MAX] + ".."


__all__ = [
    "Difference",
    "Outcome",
    "between",
    "between_states",
    "in_message",
    "in_states",
    "outcome_of",
    "shown_send",
    "text",
]
