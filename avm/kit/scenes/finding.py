"""Scenes of patterns by which something is found: petnames and the registry. Pure."""

from avm.kit.stage import HERE, Stage, cap_in
from caps.map import Map
from caps.value import Capability


def names_are_ones_own_and_nobody_takes_anothers(stage: Stage) -> None:
    """A second that calls itself Bob is not Bob, whatever it does."""
    book = stage.pattern()["book"]
    bob, mallory = stage.party(), stage.party()
    stage.call(book, {"name": "Bob", "cap": bob.ear})
    shown = stage.call(book, {"meet": mallory.ear, "says": " Bob "})
    stage.same(shown == "Bob", False, "the second is called Bob")
    stage.same(stage.call(book, {"of": mallory.ear}), shown, "its name")
    stage.same(stage.call(book, {"meet": bob.ear, "says": "Mallory"}), "Bob", "the first's name")
    stage.refused(book, {"name": "Bob", "cap": mallory.ear})
    stage.call(stage.cap(book, "Bob"), "hello")
    bob.hears("hello")
    mallory.hears()
    stage.call(book, {"name": "my friend", "cap": bob.ear})
    stage.refused(book, "Bob")
    stage.same(stage.call(book, {"of": bob.ear}), "my friend", "the first's new name")
    stage.call(book, {"forget": "my friend"})
    stage.same(stage.call(book, {"of": bob.ear}), None, "a name that was forgotten")


def at_least_so_many_that_offer_it_are_found(stage: Stage) -> None:
    """Those that fit, and each can be asked; fewer than that are none."""
    made = stage.pattern()
    printers = [stage.party(), stage.party(HERE), stage.party()]
    for number, printer in enumerate(printers):
        provider = stage.cap(made["admit"], {"as": f"printer {number}"})
        about = {"pages": 10 * number, "colour": number == 1}
        printer.asks(provider, {"offer": "print", "cap": printer.ear, "about": about})
    wanted = {"offer": "print", "least": 2, "where": {"pages": {"least": 10}}}
    stage.same(_by(stage, made["find"], wanted), ("printer 1", "printer 2"), "who is found")
    stage.refused(made["find"], {**wanted, "least": 3})
    stage.refused(made["find"], {"offer": "scan"})
    least = {"pages": {"most": 10}, "colour": True}
    (found,) = _found(stage, made["find"], {"offer": "print", "where": least})
    stage.call(cap_in(found, "cap"), "a page")
    printers[1].hears("a page")


def what_a_provider_says_of_itself_is_its_own_word(stage: Stage) -> None:
    """Nobody offers under another's name, has a name that another has, or takes back its offer."""
    made, party = stage.pattern(), stage.party()
    one = stage.cap(made["admit"], {"as": "one"})
    two = stage.cap(made["admit"], {"as": "two"})
    stage.refused(made["admit"], {"as": "one"})
    stage.call(one, {"offer": "print", "cap": party.ear})
    stage.refused(two, {"withdraw": "print"})
    stage.call(two, {"offer": "print", "cap": party.ear, "by": "one", "about": {"by": "one"}})
    stage.same(_by(stage, made["find"], {"offer": "print", "least": 2}), ("one", "two"), "who")
    stage.call(one, {"withdraw": "print"})
    stage.same(_by(stage, made["find"], {"offer": "print"}), ("two",), "who is left")
    for cap in (made["find"], one):
        stage.refused(cap, {"as": "three"})
    stage.refused(made["find"], {"offer": "print", "cap": party.ear, "least": 0})


def who_waits_is_answered_when_there_are_enough(stage: Stage) -> None:
    """Not before, and then with all of them."""
    made, seeker = stage.pattern(), stage.party()
    wanted = {"offer": "print", "least": 2, "wait": True}
    seeker.asks_and_goes_on(made["find"], wanted)
    for name in ("one", "two"):
        seeker.hears()
        stage.call(stage.cap(made["admit"], {"as": name}), {"offer": "print", "cap": seeker.ear})
    found = seeker.hears_soon()
    assert isinstance(found, tuple)
    stage.same(tuple(one["by"] for one in found), ("one", "two"), "who is found")


def an_offer_ends_when_its_time_is_over(stage: Stage) -> None:
    """Unless it is made again before."""
    made, party = stage.pattern(), stage.party()
    for name, for_s in (("short", stage.unit_s), ("long", 100 * stage.unit_s)):
        provider = stage.cap(made["admit"], {"as": name})
        stage.call(provider, {"offer": "print", "cap": party.ear, "for_s": for_s})
    wanted = {"offer": "print"}
    stage.same(_by(stage, made["find"], wanted), ("long", "short"), "who is found at first")
    stage.wait(1.5 * stage.unit_s)
    stage.same(_by(stage, made["find"], wanted), ("long",), "who is found then")


def _found(stage: Stage, find: Capability, query: object) -> tuple[Map[str, object], ...]:
    found = stage.call(find, query)
    assert isinstance(found, tuple)
    return found


def _by(stage: Stage, find: Capability, query: object) -> tuple[object, ...]:
    return tuple(one["by"] for one in _found(stage, find, query))
