"""Scenes of patterns that count what goes through them: rate limit, once, log-and-forward. Pure."""

from avm.kit.stage import Stage
from caps.map import Map


def so_many_go_through_in_so_much_time(stage: Stage) -> None:
    """What is too much did not happen; after a while there is room for more."""
    target = stage.party()
    params = {"calls": 2, "per_s": 2 * stage.unit_s}
    access = stage.pattern(params, target=target.ear)["access"]
    target.answers("yes")
    for number in range(2):
        stage.same(stage.call(access, number), "yes", "the answer through the limit")
    stage.refused(access, 2)
    stage.wait(1.2 * stage.unit_s)
    stage.call(access, 3)
    stage.refused(access, 4)
    target.hears(0, 1, 3)


def once_is_once(stage: Stage) -> None:
    """For every holder together."""
    target, holder = stage.party(), stage.party()
    access = stage.pattern(target=target.ear)["access"]
    target.answers("done")
    stage.same(holder.asks(access, 1), "done", "the answer of the one time")
    holder.is_refused(access, 2)
    stage.refused(access, 3)
    target.hears(1)


def once_is_not_used_up_by_what_did_not_happen(stage: Stage) -> None:
    """The target said no, and then yes."""
    target = stage.party()
    access = stage.pattern(target=target.ear)["access"]
    target.refuses("not yet")
    stage.same(stage.refused(access, 1), "not yet", "the target's word")
    target.answers("now")
    stage.same(stage.call(access, 2), "now", "the answer")
    stage.refused(access, 3)
    target.hears(2)


def each_use_is_written_down(stage: Stage) -> None:
    """In order, the last ones of them; and for who holds the log, not for who uses the rest."""
    target = stage.party()
    made = stage.pattern({"keep": 2}, target=target.ear)
    for said in ("one", {"two": 2}, target.ear):
        stage.call(made["access"], said)
    entries = stage.call(made["log"])
    assert isinstance(entries, tuple) and all(isinstance(one, Map) for one in entries)
    stage.same([one["number"] for one in entries], [2, 3], "which are written down")
    stage.same(entries[0]["said"], {"two": 2}, "what was said")
    stage.same(len({one["id"] for one in entries}), 2, "how many ids there are")
    stage.refused(made["log"], "clear")
    target.hears("one", {"two": 2}, ("ear", ""))
