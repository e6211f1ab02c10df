"""Scenes of the factory, as one of caretakers. Pure."""

from avm.kit.stage import HERE, Stage


def who_was_granted_a_factory_makes_machines_that_are_apart(stage: Stage) -> None:
    """Each ask makes one, with its environment and nothing else; what becomes of one is its own."""
    maker, targets = stage.party(HERE), (stage.party(), stage.party())
    make = stage.pattern()["make"]
    one, other = (stage.names(maker.asks(make, {"target": each.ear})) for each in targets)
    stage.call(one["access"], "one")
    stage.call(other["access"], "two")
    stage.call(one["revoke"])
    stage.refused(one["access"], "three")
    stage.call(other["access"], "four")
    targets[0].hears("one")
    targets[1].hears("two", "four")


def a_factory_makes_nothing_of_what_is_refused(stage: Stage) -> None:
    """And the next that it makes is as good as the first."""
    make, target = stage.pattern()["make"], stage.party()
    for environment in (None, {"target": "text"}, ()):
        stage.refused(make, environment)
    made = stage.names(stage.call(make, {"target": target.ear}))
    stage.refused(made["revoke"], "now")
    stage.same(stage.call(made["access"], "hello"), "ok", "the answer")
    target.hears("hello")
