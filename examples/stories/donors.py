"""Two donors give to a shelter, each only if the other does.

    ann gives 50 to the shelter: waiting
    dan gives 50 to his brother: waiting
    the shelter has heard of 0 gifts
    dan gives 50 to the shelter: matched
    the shelter has heard of 2 gifts
    in the shelter's purse: 100
    ann takes hers back: refused: given already

The matcher compares whom the two mean, and gives both gifts in one message or none. A gift is a
purse, of which its giver still knows; so the shelter moves the money into one of its own at once.
"""

from collections.abc import Iterator

from avm.testing import World, cap_in
from caps.patterns import matcher, mint
from examples.stories.telling import hears, tell


def story(world: World) -> Iterator[str]:
    """Ann does not trust that Dan will give."""
    bank, ann, dan = (world.client(name) for name in ("bank", "ann", "dan"))
    shelter, brother = world.client("shelter"), world.client("brother")
    euros, match = world.machine(mint, "euros"), world.machine(matcher)
    anns, dans, empty = (bank.call(euros.cap("issue"), amount) for amount in (50, 50, 1))
    till = cap_in(shelter.call(cap_in(empty), "sprout"))
    gifts = shelter.cap("gifts")

    first, second = match.cap("first"), match.cap("second")
    yield f"ann gives 50 to the shelter: {hears(ann, first, {'give': anns, 'to': gifts})}"
    elsewhere = {"give": dans, "to": brother.cap("pocket")}
    yield f"dan gives 50 to his brother: {hears(dan, second, elsewhere)}"
    yield f"the shelter has heard of {len(shelter.inbox())} gifts"
    yield f"dan gives 50 to the shelter: {hears(dan, second, {'give': dans, 'to': gifts})}"
    (heard,) = shelter.inbox()
    given = [cap_in(heard.content, 0), cap_in(heard.content, 1)]
    yield f"the shelter has heard of {len(given)} gifts"
    for purse in given:
        shelter.call(till, {"amount": 50, "from": purse})
    yield f"in the shelter's purse: {hears(shelter, till)}"
    yield f"ann takes hers back: {hears(ann, first, 'withdraw')}"


if __name__ == "__main__":
    tell(story)
