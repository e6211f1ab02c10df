"""A vote on what to drink, in which each has one vote.

    ann votes for tea: counted
    ann votes for tea again: refused: used
    ben votes for beer: refused: the choices are tea, coffee
    ben votes for tea: counted
    cleo, with ben's paper: refused: used
    cleo votes for coffee: counted
    tea 2, coffee 1

A paper is the pattern `once` before the ballot box: it lets one message through. What the box
has refused did not happen, so a spoiled paper is still good. A paper can be given away, like one of paper.
"""

from collections.abc import Iterator
from pathlib import Path

from avm import Map
from avm.testing import World
from caps.patterns import once
from examples.stories.telling import hears, tell

BALLOT = Path(__file__).parents[1] / "ballot.py"


def story(world: World) -> Iterator[str]:
    """Three friends vote."""
    box = world.machine(BALLOT, params={"choices": ["tea", "coffee"]})
    friends = {name: world.client(name) for name in ("ann", "ben", "cleo")}
    grants = {"target": box.cap("vote")}
    papers = {name: world.machine(once, grants=grants).cap("access") for name in friends}
    ann, ben, cleo = friends.values()
    yield f"ann votes for tea: {hears(ann, papers['ann'], 'tea')}"
    yield f"ann votes for tea again: {hears(ann, papers['ann'], 'tea')}"
    yield f"ben votes for beer: {hears(ben, papers['ben'], 'beer')}"
    yield f"ben votes for tea: {hears(ben, papers['ben'], 'tea')}"
    yield f"cleo, with ben's paper: {hears(cleo, papers['ben'], 'coffee')}"
    yield f"cleo votes for coffee: {hears(cleo, papers['cleo'], 'coffee')}"
    votes = ann.call(box.cap("count"))
    assert isinstance(votes, Map)
    yield ", ".join(f"{choice} {count}" for choice, count in votes.items())


if __name__ == "__main__":
    tell(story)
