"""Differences of states as lines and as JSON, for the verbs that look into the past."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from avm.cli.log import as_text
from avm.cli.output import say
from avm.past.labels import Lens
from avm.past.paths import Change, Kind
from caps.slots import Foreign
from caps.value import Capability, Value

DIFFERENCES_MAX = 1000
VALUE_CHARS_MAX = 200
Text = Callable[[Capability], str]


def taken(found: Iterable[Change]) -> tuple[list[Change], bool]:
    """The first differences, and whether there are more."""
    first = list(islice(found, DIFFERENCES_MAX + 1))
    return first[:DIFFERENCES_MAX], len(first) > DIFFERENCES_MAX


def change_json(change: Change, lens: Lens, text: Text | None = None) -> dict[str, Any]:
    """A difference as JSON: its path, what was there unless it is new, what is there unless it is gone."""
    shown: dict[str, Any] = {"path": change.path}
    if change.kind is not Kind.ADDED:
        shown["was"] = lens.json(change.was, text)
    if change.kind is not Kind.REMOVED:
        shown["now"] = lens.json(change.now, text)
    return shown


def say_changes(found: Iterable[Change], lens: Lens, more: bool = False) -> None:
    """Prints a line a difference: `PATH: 5 -> 7`, `PATH: added 7`, `PATH: removed 5`."""
    for change in found:
        say(change_line(change, lens))
    if more:
        say(f"and more than these {DIFFERENCES_MAX:,}: `state` prints each of the two whole")


def change_line(change: Change, lens: Lens) -> str:
    """One difference as a line."""
    was, now = _short(change.was, lens), _short(change.now, lens)
    match change.kind:
        case Kind.ADDED:
            return f"{change.path}: added {now}"
        case Kind.REMOVED:
            return f"{change.path}: removed {was}"
        case Kind.CHANGED:
            if was == now:  # capabilities of one name, or values that differ behind the cut
                was, now = was + _slot(change.was), now + _slot(change.now)
            return f"{change.path}: {was} -> {now}"


def _short(value: Value, lens: Lens) -> str:
    text = as_text(lens.json(value))
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + ".."


def _slot(value: Value) -> str:
    return f" (slot {value._slot})" if isinstance(value, Foreign) else ""


__all__ = ["change_json", "change_line", "say_changes", "taken"]
