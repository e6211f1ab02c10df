"""Scenes of the patterns that stand before one capability: facet, caretaker, membrane, and so on. Pure."""

from avm.kit.stage import HERE, Stage, cap_in


def a_facet_lets_its_own_words_through_and_no_others(stage: Stage) -> None:
    """Null, texts and the keys of maps; what is refused does not reach the target."""
    target = stage.party()
    facets = {"reader": (None,), "adder": (None, "list", "add")}
    made = stage.pattern({"facets": facets}, target=target.ear)
    target.answers(7)
    stage.same(stage.call(made["reader"]), 7, "the answer through the reader")
    others: tuple[object, ...] = ("add", "list", {"add": 1}, 5, (None,), {}, True, {None: 1})
    for said in others:
        stage.refused(made["reader"], said)
    stage.call(made["adder"], {"add": 1})
    stage.call(made["adder"], "list")
    others = ("drop", {"add": 1, "drop": 2}, {"drop": 1}, ("add",))
    for said in others:
        stage.refused(made["adder"], said)
    target.hears(None, {"add": 1}, "list")


def a_facet_hands_on_what_its_target_says(stage: Stage) -> None:
    """Who asks hears the target's own refusal."""
    target = stage.party()
    made = stage.pattern({"facets": {"all": (None,)}}, target=target.ear)
    target.refuses("not today")
    stage.same(stage.refused(made["all"]), "not today", "the target's word")


def a_caretaker_gives_access_until_it_is_revoked(stage: Stage) -> None:
    """From the next batch on, for every holder, however it came by it."""
    target, holder = stage.party(), stage.party(HERE)
    made = stage.pattern(target=target.ear)
    target.answers("yes")
    stage.same(holder.asks(made["access"], "one"), "yes", "the answer through the caretaker")
    stage.refused(made["revoke"], "please")
    stage.same(stage.call(made["access"], "two"), "yes", "the answer before it is revoked")
    stage.call(made["revoke"])
    holder.is_refused(made["access"], "three")
    stage.refused(made["access"], "four")
    target.hears("one", "two")


def a_caretaker_does_not_touch_what_it_did_not_make(stage: Stage) -> None:
    """The target goes on for those who hold it itself, and revoking twice is revoking."""
    target = stage.party()
    made, other = stage.pattern(target=target.ear), stage.pattern(target=target.ear)
    for _ in range(2):
        stage.call(made["revoke"])
    stage.refused(made["access"], "one")
    stage.call(other["access"], "two")
    stage.call(target.ear, "three")
    target.hears("two", "three")


def a_membrane_wraps_what_crosses_it_either_way(stage: Stage) -> None:
    """In messages and in answers, inwards and outwards; what comes home is the original."""
    inside, outside = stage.party(), stage.party(HERE)
    made = stage.pattern(target=inside.ear)
    inside.answers({"other": inside.another_ear("other")})
    other = cap_in(outside.asks(made["access"], ("meet", {"me": outside.ear})), "other")
    (met,) = inside.heard()
    wrapped = cap_in(met, 1, "me")
    inside.asks(wrapped, "hello")
    outside.asks(other, "good day")
    outside.hears("hello")
    inside.hears("good day")
    inside.asks(wrapped, (wrapped, inside.ear))
    (came,) = outside.heard()
    strange = cap_in(came, 1)
    stage.same(came, (("ear", ""), strange), "what came home to the outside")
    outside.asks(strange, other)
    inside.hears(("ear", "other"))


def one_revocation_of_a_membrane_cuts_all(stage: Stage) -> None:
    """Both ways, and what was handed out by answers too; what never crossed goes on."""
    inside, outside = stage.party(), stage.party(HERE)
    made = stage.pattern(target=inside.ear)
    inside.answers(inside.another_ear("other"))
    other = outside.asks(made["access"], outside.ear)
    (wrapped,) = inside.heard()
    stage.call(made["revoke"])
    outside.is_refused(made["access"], "in")
    outside.is_refused(cap_in(other), "in")
    inside.is_refused(cap_in(wrapped), "out")
    inside.hears()
    outside.hears()
    inside.asks(outside.ear, "direct")
    outside.hears("direct")


def the_two_sides_of_a_membrane_hold_nothing_of_each_other(stage: Stage) -> None:
    """What is revoked was all there was: one capability that crosses twice is one wrapped one."""
    inside, outside = stage.party(), stage.party(HERE)
    made = stage.pattern(target=inside.ear)
    for _ in range(2):
        outside.asks(made["access"], outside.ear)
    first, second = inside.heard()
    stage.same(first == second and first != ("ear", ""), True, "one and the same wrapped one")
    inside.refuses("no")
    stage.same(outside.is_refused(made["access"]), "no", "the word from inside")
