"""An assistant is given one tool, for one purpose, so often and no more, and each use is written down.

    at uma's desk: shopping list
    bread: 1
    clear the list: refused: not through this facet
    milk: refused: too often
    the next day, milk: 2
    uses in the log: 4
    on the list: bread, milk
    jam, after the tool is taken back: refused: revoked

The assistant begins with nothing but `ask`, at its user's powerbox. She gives it her list for adding only (a
facet), twice a day (a rate limit), behind a log, each before the other.
"""

from collections.abc import Iterator
from pathlib import Path

from avm import Map, Value
from avm.testing import World
from caps.patterns import facet, logged, powerbox, ratelimit
from examples.stories.telling import hears, tell

EXAMPLES = Path(__file__).parents[1]
DAY_S = 24 * 3_600


def job(said: object) -> dict[str, object]:
    """What the assistant is told to do."""
    return {"with": "shopping list", "say": said}


def every(answer: Value, key: str) -> list[Value]:
    """What stands under a key in each map of a list."""
    assert isinstance(answer, tuple)
    return [one[key] for one in answer if isinstance(one, Map)]


def story(world: World) -> Iterator[str]:
    """Uma has an assistant."""
    uma = world.client("uma")
    box = world.machine(powerbox)
    todo = world.machine(EXAMPLES / "todo.py")
    do = world.machine(EXAMPLES / "assistant.py", grants={"ask": box.cap("ask")}).cap("do")
    asked = uma.ask(do, job({"add": "bread"}), timeout_s=DAY_S)
    world.settle()
    yield f"at uma's desk: {every(uma.call(box.cap('desk')), 'want')[0]}"

    grants = {"target": todo.cap("write")}
    adding = world.machine(facet, grants=grants, params={"facets": {"add": ["add"]}})
    grants = {"target": adding.cap("add")}
    limit = world.machine(ratelimit, grants=grants, params={"calls": 2, "per_s": DAY_S})
    log = world.machine(logged, grants={"target": limit.cap("access")})
    uma.call(box.cap("desk"), {"grant": 1, "cap": log.cap("access")})
    yield f"bread: {asked.answer()}"
    yield f"clear the list: {hears(uma, do, job({'drop': 1}))}"
    yield f"milk: {hears(uma, do, job({'add': 'milk'}))}"
    world.advance(DAY_S)
    yield f"the next day, milk: {hears(uma, do, job({'add': 'milk'}))}"
    yield f"uses in the log: {len(every(uma.call(log.cap('log')), 'number'))}"
    texts = every(uma.call(todo.cap("read")), "text")
    yield f"on the list: {', '.join(map(str, texts))}"
    uma.call(box.cap("desk"), {"revoke": 1})
    yield f"jam, after the tool is taken back: {hears(uma, do, job({'add': 'jam'}))}"


if __name__ == "__main__":
    tell(story)
