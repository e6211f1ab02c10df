"""Capabilities of a kind, by slot, as the host follows them through a turn. Pure.

Step 5 of the journey, in the fold. The worker follows everything of a kind by its place in values; here
its answer is held against what came in with the batch and what its report says the state holds.
"""

from collections import Counter
from typing import Any

from avm.host.capability import kind_of
from avm.host.plan import Unfit
from avm.host.state import Flight
from avm.machine.reference import inner_of
from caps.capability import AFFINE, LINEAR, RELEVANT

WORDS = {LINEAR: "linear", AFFINE: "affine", RELEVANT: "relevant"}


def check(flight: Flight, sends: list[list[list[Any]]]) -> None:
    """Whether a turn kept the kinds of the capabilities that came and that it held; else `Unfit`."""
    before, after = flight.held or ((), ())
    came = Counter(flight.came or {})
    came.update(before)
    left = Counter(after)
    gone: set[int] = set()
    for said in sends:
        for row in said:
            _leave(row, left, gone)
    for place in came | left:
        kind = _kind_at(flight, place)
        if kind in (LINEAR, AFFINE) and left[place] > came[place]:
            raise Unfit(f"the {WORDS[kind]} capability {_name(place)} was copied")
        if kind in (LINEAR, RELEVANT) and not left[place] and place not in gone and came[place]:
            raise Unfit(f"the {WORDS[kind]} capability {_name(place)} was dropped")


def _leave(row: list[Any], left: Counter[int], gone: set[int]) -> None:
    to, *more = row
    if not more:
        return
    inner, reply = (row[2], row[3]) if len(row) > 2 else ([], None)
    if to == "null~" and reply is None:
        gone.update(_places(inner))
    else:
        left.update(_places([to, *inner, *([] if reply is None else [reply])]))


def _places(references: list[Any]) -> list[int]:
    """The numbers in references, those inside contexts too."""
    found: list[int] = []
    for one in references:
        if type(one) is int:
            found.append(one)
        elif type(one) is list:
            found += _places(inner_of(one))
    return found


def _kind_at(flight: Flight, place: int) -> int:
    slots = flight.machine.slots or {}
    if place >= 0:
        return kind_of(slots[place]) if place in slots else 0
    return kind_of(flight.fresh[-place - 1]) if -place <= len(flight.fresh) else 0


def _name(place: int) -> str:
    return f"in slot {place}" if place >= 0 else f"that came as number {-place}"
