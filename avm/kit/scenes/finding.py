"""Scenes of patterns by which something is found: petnames and the registry. Pure."""

from avm import INSPECT
from avm.kit.stage import HERE, THERE, Party, Stage, cap_in
from caps.map import Map
from caps.value import Affine, Capability, Linear, Relevant


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


def at_least_so_many_are_found_whose_signed_metadata_says_so(stage: Stage) -> None:
    """What an identity says counts, not what is said beside it; and each that is found can be asked."""
    made = stage.pattern()
    said = (("north", "10"), ("north", "9.5"), ("south", "100"))
    for number, (region, pages) in enumerate(said):
        printer = stage.party(THERE if number else HERE, region=region, pages=pages)
        offer = {"offer": "print", "cap": printer.ear, "identity": _identity(printer)}
        provider = stage.cap(made["admit"], {"as": f"printer {number}"})
        stage.same(printer.asks(provider, offer), None, "what an offer is answered")
    boaster = stage.cap(made["admit"], {"as": "boaster"})
    stage.call(boaster, {"offer": "print", "cap": made["find"], "about": {"region": "north"}})
    north: dict[str, object] = {"offer": "print", "signed": {"region": "north"}}
    stage.same(_by(stage, made["find"], {**north, "least": 2}), ("printer 0", "printer 1"), "found")
    stage.refused(made["find"], {**north, "least": 3})
    many = {"offer": "print", "signed": {"pages": {"least": 10}}}
    stage.same(_by(stage, made["find"], many), ("printer 0", "printer 2"), "who has 10 and more")
    few = {"offer": "print", "signed": {"pages": {"most": 10}, "region": "north"}}
    stage.same(_by(stage, made["find"], few), ("printer 0", "printer 1"), "who has 10 and fewer")
    stage.refused(made["find"], {"offer": "print", "signed": {"pages": 10}})
    both = {**many, "where": {"region": "north"}}
    stage.refused(made["find"], both)
    (south,) = _found(stage, made["find"], {"offer": "print", "signed": {"region": "south"}})
    stage.same(_signed(south)["pages"], "100", "what is signed of it")
    told = stage.call(INSPECT, {"cap": cap_in(south, "cap"), "identity": south["identity"]})
    assert isinstance(told, Map)
    stage.same(told["about"], south["signed"], "what who found it is told of it by its own host")
    stage.call(cap_in(south, "cap"), "a page")
    printer.hears("a page")


def nobody_is_listed_under_an_identity_that_is_not_its_own(stage: Stage) -> None:
    """An identity stands for the machine whose address it hashes to, whoever shows it."""
    made = stage.pattern()
    one, two = stage.party(region="north"), stage.party(HERE, region="south")
    mallory = stage.cap(made["admit"], {"as": "mallory"})
    offer = {"offer": "print", "cap": two.ear}
    for shown in (_identity(one), _identity(two) + b" ", _identity(two)[:-1], b"", b"x" * 1_000):
        two.is_refused(mallory, {**offer, "identity": shown})
    two.is_refused(mallory, {"offer": "print", "cap": INSPECT, "identity": _identity(two)})
    stage.refused(mallory, {**offer, "identity": "north"})
    stage.refused(made["find"], {"offer": "print"})
    stage.refused(mallory, {"withdraw": "print"})
    two.asks(mallory, {**offer, "identity": _identity(two)})
    two.is_refused(mallory, {**offer, "identity": _identity(one)})
    south = {"offer": "print", "signed": {"region": "south"}}
    stage.same(_by(stage, made["find"], south), ("mallory",), "who is in the south")
    one.asks(mallory, {"offer": "print", "cap": two.ear, "about": {"region": "north"}})
    stage.refused(made["find"], south)
    (found,) = _found(stage, made["find"], {"offer": "print"})
    stage.same(found["signed"], None, "what is signed where no identity was shown")
    one.asks(mallory, {"offer": "scan", "cap": two.ear, "identity": _identity(two)})
    (found,) = _found(stage, made["find"], {"offer": "scan"})
    stage.same(_signed(found)["region"], "south", "what is signed of another's capability")


def who_waits_for_signed_metadata_is_answered_when_it_is_checked(stage: Stage) -> None:
    """Not by what is said beside it, and not by others' identities."""
    made, seeker = stage.pattern(), stage.party()
    one, two = stage.party(HERE, region="north"), stage.party(region="north")
    wanted = {"offer": "print", "least": 2, "signed": {"region": "north"}, "wait": True}
    seeker.asks_and_goes_on(made["find"], wanted)
    for party in (one, two):
        seeker.hears()
        name = "one" if party is one else "two"
        provider = stage.cap(made["admit"], {"as": name})
        offer = {"offer": "print", "cap": party.ear, "about": {"region": "north"}}
        party.asks(provider, offer)
        seeker.hears()
        party.is_refused(provider, {**offer, "identity": _identity(seeker)})
        seeker.hears()
        party.asks(provider, {**offer, "identity": _identity(party)})
    found = seeker.hears_soon()
    assert isinstance(found, tuple)
    stage.same(tuple(one["by"] for one in found), ("one", "two"), "who is found")


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


def nothing_that_may_not_be_copied_or_dropped_is_taken(stage: Stage) -> None:
    """Neither in an offer nor in a query; and it is in nobody's way."""
    made, one, two = stage.pattern(), stage.party(), stage.party(HERE)
    seeker = stage.party()
    good = stage.cap(made["admit"], {"as": "good"})
    odd = stage.cap(made["admit"], {"as": "odd"})
    wanted = {"offer": "print", "least": 2}
    for wrap in (Linear, Affine, Relevant):
        kind = wrap.__name__.lower()
        offer = {"offer": "print", "cap": two.another_ear(kind, kind)}
        two.is_refused(odd, offer)
        two.is_refused(odd, {**offer, "identity": _identity(two)})
        two.is_refused(odd, {"offer": "print", "cap": two.ear, "about": {"pages": wrap(1)}})
        seeker.is_refused(made["find"], {**wanted, "where": {"pages": wrap(1)}, "wait": True})
        one.asks(good, {"offer": "print", "cap": one.ear})
        stage.same(_by(stage, made["find"], {"offer": "print"}), ("good",), "who is found")
        stage.refused(made["find"], wanted)
    two.asks(odd, {"offer": "print", "cap": two.ear})
    stage.same(_by(stage, made["find"], wanted), ("odd", "good"), "who is found then")


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


def _identity(party: Party) -> bytes:
    """The party's own, as the host that it is at tells it."""
    told = party.asks(INSPECT, party.ear)
    assert isinstance(told, Map)
    identity = told["identity"]
    assert isinstance(identity, bytes)
    return identity


def _signed(found: Map[str, object]) -> Map[str, object]:
    signed = found["signed"]
    assert isinstance(signed, Map)
    return signed


def _found(stage: Stage, find: Capability, query: object) -> tuple[Map[str, object], ...]:
    found = stage.call(find, query)
    assert isinstance(found, tuple)
    return found


def _by(stage: Stage, find: Capability, query: object) -> tuple[object, ...]:
    return tuple(one["by"] for one in _found(stage, find, query))
