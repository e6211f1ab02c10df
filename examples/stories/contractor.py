"""The plan of a house is shared in three ways, and taken back.

    ned, the neighbour, sees the rooms: kitchen
    ned draws: refused: not through this facet
    carl sees the kitchen: a stove
    carl, let go, sees the plan: refused: revoked
    carl sees the kitchen still: a stove
    dora, in the kitchen: a stove and a bar
    dora, let go, sees the plan: refused: revoked
    dora sees the kitchen: refused: revoked

The neighbour has a facet, which lets him look and no more. Carl has the plan by a caretaker: it was
taken back, and the kitchen that he had taken out of it was not. So the next contractor has it by a
membrane, through which the kitchen goes too: one word takes back all that ever came of the plan.
"""

from collections.abc import Iterator
from pathlib import Path

from avm import Map
from avm.testing import World, cap_in
from caps.patterns import caretaker, facet, membrane
from examples.stories.telling import hears, tell

PLAN = Path(__file__).parents[1] / "plan.py"


def story(world: World) -> Iterator[str]:
    """Ann has a house built."""
    ann, ned, carl, dora = (world.client(name) for name in ("ann", "ned", "carl", "dora"))
    plan = world.machine(PLAN).cap("plan")
    ann.call(plan, {"draw": "kitchen", "with": "a stove"})

    looking = {"facets": {"look": [None]}}
    look = world.machine(facet, grants={"target": plan}, params=looking).cap("look")
    seen = ned.call(look)
    assert isinstance(seen, Map)
    yield f"ned, the neighbour, sees the rooms: {', '.join(seen)}"
    yield f"ned draws: {hears(ned, look, {'draw': 'window', 'with': 'frosted glass'})}"

    care = world.machine(caretaker, grants={"target": plan})
    kitchen = cap_in(carl.call(care.cap("access"), {"take": "kitchen"}))
    yield f"carl sees the kitchen: {hears(carl, kitchen)}"
    ann.call(care.cap("revoke"))
    yield f"carl, let go, sees the plan: {hears(carl, care.cap('access'))}"
    yield f"carl sees the kitchen still: {hears(carl, kitchen)}"

    wall = world.machine(membrane, grants={"target": plan})
    kitchen = cap_in(dora.call(wall.cap("access"), {"take": "kitchen"}))
    dora.call(kitchen, {"with": "a stove and a bar"})
    yield f"dora, in the kitchen: {hears(dora, kitchen)}"
    ann.call(wall.cap("revoke"))
    yield f"dora, let go, sees the plan: {hears(dora, wall.cap('access'))}"
    yield f"dora sees the kitchen: {hears(dora, kitchen)}"


if __name__ == "__main__":
    tell(story)
