"""A recording as text, a line for each thing, that can be edited and turned back. Pure.

Beside the journey. An input is a line, and what came of it the next one:

    segment {..}                              state {..}
    NUMBER TIME [also] NAME {arguments}       = [result, effects, commit]
    machine {..}                              end NUMBER

TIME is what the host's clock said, to be read; it is the inputs `tick` and `hear_clock` that tell it.
`also` stands where effects of inputs before had not been taken yet. In a patch there are inputs
alone, each in the place of that number, and `NUMBER gone` for one that is left out.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from avm.recording.inputs import CLOCKS, INPUTS, Input
from avm.recording.jsontext import from_json, from_text, to_text
from avm.recording.log import (
    BadRecording,
    End,
    Header,
    Item,
    State,
    Stored,
    Told,
    header_untrusted,
    state_untrusted,
    stored_untrusted,
    told_untrusted,
)
from caps import jsonform
from caps.errors import CapsError, Malformed

SEGMENT, STATE, MACHINE, END, GONE, ALSO = "segment", "state", "machine", "end", "gone", "also"
OUTPUT = "="
NUMBER = re.compile(r"[0-9]{1,15}")


class Teller:
    """Items as lines; it keeps what the clock said."""

    def __init__(self) -> None:
        self._now_ms = 0

    def lines(self, item: Item) -> Iterator[str]:
        """The lines of an item."""
        match item:
            case Header():
                self._now_ms = item.started_ms
                yield f"{SEGMENT} {_fields(item)}"
            case State():
                yield f"{STATE} {_fields(item)}"
            case Told():
                yield self._input(item)
                yield f"{OUTPUT} {to_text(item.output)}"
            case Stored():
                yield f"{MACHINE} {_fields(item)}"
            case End():
                yield f"{END} {item.n}"

    def _input(self, told: Told) -> str:
        known = INPUTS.get(told.name)
        params = () if known is None else known.params_of(len(told.arguments))
        if known is None or len(params) != len(told.arguments):
            raise BadRecording(
                f"input {told.n:,}: {told.name[:40]!r} is no input that is known here"
            )
        if told.name in CLOCKS and type(told.arguments[0]) is int:
            self._now_ms = told.arguments[0]
        also = "" if told.fresh else f"{ALSO} "
        pairs = zip(params, told.arguments, strict=True)
        said = ", ".join(f'"{param.name}": {to_text(one)}' for param, one in pairs)
        return f"{told.n} {utc(self._now_ms)} {also}{told.name} {{{said}}}"


def utc(milliseconds: int) -> str:
    """A time of the host's clock, for people."""
    try:
        when = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds}ms"
    return f"{when:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


# What older recordings do not have, and what is not shown where it says nothing.
LATE: dict[type, tuple[str, ...]] = {State: ("identity", "certificate")}


def _fields(item: Header | State | Stored) -> str:
    late = LATE.get(type(item), ())
    kept = [one.name for one in fields(item) if one.name not in late or getattr(item, one.name)]
    row = {name: getattr(item, name) for name in kept}
    plain = {name: _plain(value) for name, value in row.items()}
    return "{" + ", ".join(f'"{name}": {to_text(value)}' for name, value in plain.items()) + "}"


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def items_untrusted(lines: Iterable[str]) -> Iterator[Item]:
    """The items that lines tell; raises BadRecording with the number of the line."""
    waiting: tuple[int, int, str, bool, list[Any]] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        try:
            if (word == OUTPUT) != (waiting is not None):
                raise Malformed("what came of an input stands below it, after =")
            if waiting is not None:
                yield told_untrusted([*waiting[1:], from_text(rest)])
                waiting = None
            elif NUMBER.fullmatch(word):
                waiting = (number, *_input_untrusted(word, rest))
            else:
                yield _other_untrusted(word, rest)
        except CapsError as error:
            raise BadRecording(f"line {number}: {error}") from None
    if waiting is not None:
        raise BadRecording(f"line {waiting[0]}: what came of it is missing below")


def _input_untrusted(word: str, rest: str) -> tuple[int, str, bool, list[Any]]:
    parts = rest.split(" ", 3)
    fresh = len(parts) < 2 or parts[1] != ALSO
    parts = parts[:1] + parts[1 if fresh else 2 :]
    if len(parts) < 3:
        raise Malformed("an input is NUMBER TIME NAME {arguments}")
    name, said = parts[1], " ".join(parts[2:])
    known = INPUTS.get(name)
    if known is None:
        raise Malformed(f"there is no input {name[:40]!r}")
    return int(word), name, fresh, _arguments_untrusted(known, said)


def _arguments_untrusted(known: Input, said: str) -> list[Any]:
    names = [param.name for param in known.params]
    late = tuple(param.name for param in known.params if param.late)
    return list(_object(said, names, known.name, late).values())


def _object(said: str, names: list[str], what: str, late: tuple[str, ...] = ()) -> dict[str, Any]:
    """The plain values in a JSON object that has just these keys, the `late` ones or none of them."""
    outer = jsonform.parse(said)
    if type(outer) is dict and not any(name in outer for name in late):
        names = [name for name in names if name not in late]
    if type(outer) is not dict or sorted(outer) != sorted(names):
        raise Malformed(f"{what} takes {{{', '.join(names)}}}")
    return {name: from_json(outer[name]) for name in names}


ROWS: dict[str, tuple[type, Callable[[list[Any]], Item]]] = {
    SEGMENT: (Header, header_untrusted),
    STATE: (State, state_untrusted),
    MACHINE: (Stored, stored_untrusted),
}


def _other_untrusted(word: str, rest: str) -> Item:
    if word == END and NUMBER.fullmatch(rest):
        return End(int(rest))
    if word not in ROWS:
        raise Malformed(f"a line does not begin with {word[:40]!r}")
    kind, made = ROWS[word]
    names = [one.name for one in fields(kind)]
    found = _object(rest, names, word, LATE.get(kind, ()))
    if kind is Header:
        names = ["version", *(name for name in names if name != "version")]
    return made([found[name] for name in names if name in found])


def patch_untrusted(lines: Iterable[str]) -> dict[int, Told | None]:
    """What is to be told in the place of inputs, by their numbers; None for one that is left out."""
    found: dict[int, Told | None] = {}
    for number, line in enumerate(lines, 1):
        word, _, rest = line.strip().partition(" ")
        if not word or word == OUTPUT or word.startswith("#"):
            continue
        try:
            if not NUMBER.fullmatch(word):
                raise Malformed(
                    "a patch has inputs alone: NUMBER TIME NAME {arguments}, or NUMBER gone"
                )
            if int(word) in found:
                raise Malformed(f"input {word} stands here twice")
            told = None
            if rest.strip() != GONE:
                told = Told(*_input_untrusted(word, rest), [None, [], None])
            found[int(word)] = told
        except CapsError as error:
            raise BadRecording(f"line {number}: {error}") from None
    return found
