"""Where the parties and capabilities of a graph stand in a picture: on a circle, alike ones together. Pure.

Beside the journey, for `caps graph`. The same graph gives the same picture: nothing is drawn by lot.
Machines that have to do with each other stand near each other; capabilities that look alike are one line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin

from avm.authority.holding import Graph, Holding, How, Party, What, terms_of

PARTIES_MAX = 400
SPACING = 46.0
RADIUS_MIN = 190.0
# Of the way around, what is left free between two groups of parties, in places.
GAP = 1
BEND = 0.55
APART = 0.13


@dataclass(frozen=True, slots=True)
class Spot:
    """A party in the picture; `angle` is from the centre, in radians, clockwise from the right."""

    party: Party
    x: float
    y: float
    angle: float


@dataclass(frozen=True, slots=True)
class Line:
    """Capabilities that are drawn as one: from a holder to a party, bent towards `at`.

    `how` is the way they are held, `dead` why they do nothing any more, where they do not.
    """

    start: Spot
    end: Spot
    at: tuple[float, float]
    kind: str
    generation: int
    how: How
    dead: str
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture: how far it goes from its centre to each side, and what stands in it."""

    radius: float
    spots: tuple[Spot, ...]
    lines: tuple[Line, ...]


def laid_out(graph: Graph, parties: Iterable[Party]) -> Layout:
    """The picture of these parties and of what they hold to each other; names are left out of it."""
    groups = _groups(graph, list(parties))
    gap = GAP if len(groups) > 1 else 0
    places = sum(map(len, groups)) + gap * len(groups)
    radius = max(RADIUS_MIN, places * SPACING / (2 * pi))
    spots: dict[bytes, Spot] = {}
    place = 0
    for group in groups:
        for party in group:
            angle = 2 * pi * place / max(places, 1) - pi / 2
            spots[party.address] = Spot(party, radius * cos(angle), radius * sin(angle), angle)
            place += 1
        place += gap
    return Layout(radius, tuple(spots.values()), tuple(_lines(graph, spots)))


def shown(one: Holding) -> bool:
    """Whether the picture has a capability: not the operator's names, and none to oneself."""
    return one.how is not How.NAME and one.holder != one.target


def _groups(graph: Graph, parties: list[Party]) -> list[list[Party]]:
    wanted = {one.address for one in parties}
    near: dict[bytes, dict[bytes, int]] = {address: {} for address in wanted}
    for address in wanted:
        for one in graph.held.get(address, ()):
            if one.target in wanted and shown(one):
                near[address][one.target] = near[address].get(one.target, 0) + 1
                near[one.target][address] = near[one.target].get(address, 0) + 1
    found = [[one for one in parties if one.what is what] for what in What]
    return [_in_order(group, near) for group in found if group]


def _in_order(group: list[Party], near: Mapping[bytes, Mapping[bytes, int]]) -> list[Party]:
    """The parties of a group, each next to one that it has the most to do with."""
    left = {one.address: one for one in sorted(group, key=lambda one: (one.label, one.address))}
    ties = {address: 0 for address in left}
    found: list[Party] = []
    while left:
        at = max(left, key=lambda address: (ties[address], sum(near[address].values())))
        found.append(left.pop(at))
        ties = dict.fromkeys(ties, 0) | {one: near[at].get(one, 0) for one in left}
    return found


def _lines(graph: Graph, spots: Mapping[bytes, Spot]) -> Iterable[Line]:
    for start in spots.values():
        alike: dict[tuple[bytes, str, int, How, str], list[Holding]] = {}
        for one in graph.held.get(start.party.address, ()):
            if one.target in spots and shown(one) and graph.counts(one):
                terms = terms_of(one.cap)
                key = (one.target, terms.kind, terms.generation, one.how, graph.dead(one))
                alike.setdefault(key, []).append(one)
        beside: dict[bytes, int] = {}
        for key in sorted(alike, key=lambda key: (*key[:3], key[3].value, key[4])):
            target, kind, generation, how, dead = key
            beside[target] = place = beside.get(target, 0) + 1
            end = spots[target]
            at = _bend(start, end, place)
            yield Line(start, end, at, kind, generation, how, dead, tuple(alike[key]))


def _bend(start: Spot, end: Spot, place: int) -> tuple[float, float]:
    """Where a line is drawn towards: inwards, and to its right, so that none lies on another."""
    x, y = (start.x + end.x) / 2 * BEND, (start.y + end.y) / 2 * BEND
    aside = APART * place
    return x - (end.y - start.y) * aside, y + (end.x - start.x) * aside


__all__ = ["PARTIES_MAX", "Layout", "Line", "Spot", "laid_out", "shown"]
