"""A firm lends its printer to another, which hands it on; who printed how much is known at any time.

    crane prints: heard page 1
    used by: bolt 1, crane 1
    another firm calls itself bolt too: here it is bolt 2
    bolt is blocked, and prints: refused: blocked
    crane prints on: heard page 3

Each firm has a Horton machine, its desk, and holds others only through it: what bolt hands to crane is from
then on on crane's account. Whom acme calls what stands in its own book of petnames, in which nobody
takes the name of another.
"""

from collections.abc import Iterator

from avm import Capability, Map
from avm.testing import Client, Machine, World, cap_in
from caps.patterns import horton, petnames
from examples.stories.telling import hears, tell


def lend(world: World, giver: Machine, cap: Capability, taker: Machine) -> Capability:
    """Access to what the giver offers and the taker accepts, each at its own desk."""
    clerk = world.client()
    parcel = clerk.call(giver.cap("desk"), {"offer": cap, "to": taker.cap("who")})
    return cap_in(clerk.call(taker.cap("desk"), {"accept": parcel, "from": giver.cap("who")}))


def story(world: World) -> Iterator[str]:
    """Acme owns a printer."""
    acme, bolt, crane = (world.client(name) for name in ("acme", "bolt", "crane"))
    desks = {n: world.machine(horton, n, params={"name": n}) for n in ("acme", "bolt", "crane")}
    printer = lend(world, desks["acme"], acme.cap("printer"), desks["bolt"])
    letters = lend(world, desks["crane"], crane.cap("letters"), desks["bolt"])
    bolt.send(letters, {"print with": printer})
    (letter,) = crane.inbox()
    cranes = cap_in(letter.content, "print with")
    yield f"crane prints: {prints(crane, cranes, 1, acme)}"

    book, desk = world.machine(petnames).cap("book"), desks["acme"].cap("desk")
    uses = acme.call(desk, "log")
    assert isinstance(uses, tuple)
    names = [meets(acme, book, cap_in(one, "who")) for one in uses]
    asks = [one["asks"] for one in uses if isinstance(one, Map)]
    told = ", ".join(f"{name} {n}" for name, n in zip(names, asks, strict=True))
    yield f"used by: {told}"
    other = world.machine(horton, "other", params={"name": "bolt"})
    yield f"another firm calls itself bolt too: here it is {meets(acme, book, other.cap('who'))}"

    acme.call(desk, {"block": acme.call(book, "bolt")})
    yield f"bolt is blocked, and prints: {hears(bolt, printer, 'page 2')}"
    yield f"crane prints on: {prints(crane, cranes, 3, acme)}"


def prints(client: Client, printer: Capability, page: int, owner: Client) -> str:
    """What comes out of the printer."""
    client.send(printer, f"page {page}")
    return ", ".join(f"heard {heard.content}" for heard in owner.inbox())


def meets(owner: Client, book: Capability, who: Capability) -> str:
    """The owner's name for a firm, which is made of what that calls itself."""
    return str(owner.call(book, {"meet": who, "says": owner.call(who)}))


if __name__ == "__main__":
    tell(story)
