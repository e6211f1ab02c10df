"""A machine that is moved by two commands at once: one of them is told where the other had it go."""

from tests.sim.test_moving import Town

WORDS = ("pouch cannot move: it is about to move to host", "pouch is on its way to host")
STEPS_MAX = 10_000


def refused_after(steps: int) -> str:
    """What the second command hears that comes so many steps after the first; empty where it is too late."""
    town = Town()
    town.trust(town.far, town.here)
    town.give(town.far, 1)
    town.give(town.there, 2)
    town.net.settle()
    first = town.begin(to=town.there)
    for _ in range(steps):
        if not town.net.step() or "pouch" not in town.here.core.host.names:
            return ""
    second = town.begin(to=town.far)
    town.net.settle()
    assert town.here.answers.pop(first).value["host"] == town.there.core.host.address.hex()
    assert town.there.machine("pouch") and "pouch" not in town.far.core.host.names
    said = town.here.answers.pop(second)
    assert town.there.core.host.address.hex()[:12] in said.error
    return str(said.error)


def test_who_moves_a_machine_that_is_moved_already_is_told_where_to() -> None:
    there = Town().there.core.host.address.hex()[:12]
    told: set[str] = set()
    for steps in range(STEPS_MAX):
        said = refused_after(steps)
        if not said:
            break
        told.add(said.partition(f" {there}")[0])
    assert told == set(WORDS)
