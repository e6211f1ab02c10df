"""A lottery whose winner the players themselves choose, and none of them can steer.

    ann, ben and cleo have put their numbers into boxes
    ann tries to open ben's box: refused: not a box of this pair
    who has won? refused: not drawn yet
    dan, who is late: refused: closed
    the winner is ben

To win, one would choose a number by those of the others. But the numbers are sealed: a box can be handed
to anybody, and only who has the unsealer of the pair sees into it: the lottery, after it is closed. The
baker, who made the pair, has it too, and does not play.
"""

from collections.abc import Iterator
from pathlib import Path

from avm.testing import World, cap_in
from caps.patterns import sealer
from examples.stories.telling import hears, tell

LOTTERY = Path(__file__).parents[1] / "lottery.py"
NUMBERS = {"ann": 7, "ben": 10, "cleo": 5}


def story(world: World) -> Iterator[str]:
    """A cake is to be won."""
    baker = world.client("baker")
    pair = baker.call(world.machine(sealer).cap("make"))
    seal, unseal = cap_in(pair, "seal"), cap_in(pair, "unseal")
    draw = world.machine(LOTTERY, grants={"unseal": unseal})
    players = {name: world.client(name) for name in (*NUMBERS, "dan")}
    boxes = {name: players[name].call(seal, number) for name, number in NUMBERS.items()}
    for name, box in boxes.items():
        players[name].call(draw.cap("play"), {"name": name, "box": box})
    yield "ann, ben and cleo have put their numbers into boxes"

    own = cap_in(players["ann"].call(world.machine(sealer).cap("make")), "unseal")
    yield f"ann tries to open ben's box: {hears(players['ann'], own, boxes['ben'])}"
    yield f"who has won? {hears(baker, draw.cap('winner'))}"
    baker.call(draw.cap("close"))
    late = {"name": "dan", "box": players["dan"].call(seal, 1)}
    yield f"dan, who is late: {hears(players['dan'], draw.cap('play'), late)}"
    world.settle()
    yield f"the winner is {hears(baker, draw.cap('winner'))}"


if __name__ == "__main__":
    tell(story)
