"""A chamber of doctors: who is admitted to its register is found in it, and nobody else is.

    dentists in bern for 10 years or more: adams
    two of them: refused: 1 of 2 are there
    adams hears: a tooth hurts
    somebody else wants to be adams: refused: another has that name
    ella waits for a second one
    ella has found adams, chen
    adams has gone; ella finds: chen

The chamber gives each doctor a capability to the register, in which what he says stands under the name
that the chamber knows him by. What is found is itself a capability: to that doctor's own door.
"""

from collections.abc import Iterator

from avm import Map, Value
from avm.testing import Client, World, cap_in
from caps.patterns import registry
from examples.stories.telling import hears, tell

EXPERIENCED = {"town": "bern", "years": {"least": 10}}


def offer(doctor: Client, town: str, years: int) -> dict[str, object]:
    """What a dentist says of herself, with a capability to her door."""
    about = {"town": town, "years": years}
    return {"offer": "dentist", "cap": doctor.cap("door"), "about": about}


def names(found: Value) -> str:
    """Whose offers were found."""
    assert isinstance(found, tuple)
    return ", ".join(sorted(str(one["by"]) for one in found if isinstance(one, Map)))


def story(world: World) -> Iterator[str]:
    """Ella looks for a dentist."""
    chamber, ella = world.client("chamber"), world.client("ella")
    register = world.machine(registry)
    admit, find = register.cap("admit"), register.cap("find")
    admitted = {}
    for name, town, years in (("adams", "bern", 12), ("brown", "bern", 1), ("chen", "basel", 20)):
        doctor = world.client(name)
        admitted[name] = cap_in(chamber.call(admit, {"as": name})), doctor
        doctor.call(admitted[name][0], offer(doctor, town, years))

    wanted = {"offer": "dentist", "where": EXPERIENCED}
    found = ella.call(find, wanted)
    yield f"dentists in bern for 10 years or more: {names(found)}"
    yield f"two of them: {hears(ella, find, {**wanted, 'least': 2})}"
    ella.send(cap_in(found, 0, "cap"), "a tooth hurts")
    at_adams, adams = admitted["adams"]
    yield f"adams hears: {adams.inbox()[0].content}"
    yield f"somebody else wants to be adams: {hears(chamber, admit, {'as': 'adams'})}"

    waiting = ella.ask(find, {**wanted, "least": 2, "wait": True}, timeout_s=3_600)
    yield "ella waits for a second one"
    at_chen, chen = admitted["chen"]
    chen.call(at_chen, offer(chen, "bern", 20))  # Chen has moved to Bern.
    yield f"ella has found {names(waiting.answer())}"
    adams.call(at_adams, {"withdraw": "dentist"})
    yield f"adams has gone; ella finds: {names(ella.call(find, wanted))}"


if __name__ == "__main__":
    tell(story)
