"""A host that was met and is dialed as well, in virtual time: which of its links introduces whom."""

from avm.nat.effects import Way
from tests.nat.worlds import Box, Host, World


def part(one: Host, two: Host) -> None:
    """Ends all links between two hosts."""
    for host, other in ((one, two), (two, one)):
        for line in [line for line in host.lines.values() if line.peer == other.address]:
            host.down(line)


def test_s08_a_host_that_was_met_by_one_that_others_reach_is_introduced_by_it_still() -> None:
    """A host that was killed met a hidden one where that dials it: each link of the hidden host to
    it was taken for a punched one, which introduces nobody, and another one was made for ever."""
    world = World(5)
    known, other = world.public("known"), world.public("other")
    here = world.behind("here", Box("203.0.113.1", random=True), known=(known.route, other.route))
    here.dial(known.address, known.endpoint)
    world.run(8.0)
    part(here, other)
    other.meet(here)
    assert world.run(2.0, lambda: other.ways(here) == [Way.PUNCHED])
    world.run(60.0)
    assert here.ways(other) == other.ways(here) == [Way.PUNCHED, Way.DIRECT]
    assert set(here.announced[-1]) == {known.route, other.route}


def test_s08_a_way_that_was_punched_says_nothing_of_a_link_made_later() -> None:
    """A host was met while a firewall hid it, which is gone: when it is dialed it is reached unasked."""
    world = World(6)
    known = world.public("known")
    there, here = (
        world.behind(name, box, known=(known.route,))
        for name, box in (
            ("there", Box("203.0.52.1", translates=False)),
            ("here", Box("203.0.53.1")),
        )
    )
    for host in (there, here):
        host.dial(known.address, known.endpoint)
    world.run(8.0)
    here.meet(there)
    assert world.run(2.0, lambda: here.ways(there) == [Way.PUNCHED])
    there.box = None
    part(here, there)
    world.run(20.0)
    here.dial(there.address, there.endpoint)
    assert world.run(2.0, lambda: here.ways(there) == there.ways(here) == [Way.DIRECT])
