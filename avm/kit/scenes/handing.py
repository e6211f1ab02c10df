"""Scenes of patterns that hand something over: grant matcher and powerbox. Pure."""

from avm.kit.stage import HERE, Party, Stage
from caps.value import Capability, Value


def gifts_go_out_when_both_givers_mean_the_same(stage: Stage) -> None:
    """Both in one message, once; which is so though each giver has the receiver in its own way."""
    made, here, there, receiver = stage.pattern(), stage.party(HERE), stage.party(), stage.party()
    gifts = {"first": here.another_ear("gift"), "second": there.another_ear("gift")}
    stage.same(_gives(here, made["first"], gifts["first"], receiver), "waiting", "the first hears")
    receiver.hears()
    stage.same(_gives(there, made["second"], gifts["second"], receiver), "matched", "the second")
    (one, other) = _two(receiver.hears_soon())
    stage.call(one, "thanks")
    stage.call(other, "thanks")
    here.hears("thanks")
    there.hears("thanks")
    stage.same(stage.call(made["first"]), "matched", "how it stands")
    for side in made.values():
        stage.refused(side, "withdraw")


def gifts_stay_when_the_givers_mean_two(stage: Stage) -> None:
    """Neither receiver has anything, and each giver may take its own back or think again."""
    made, here, there = stage.pattern(), stage.party(HERE), stage.party()
    receivers = (stage.party(), stage.party())
    _gives(here, made["first"], here.ear, receivers[0])
    said = _gives(there, made["second"], there.ear, receivers[1])
    stage.same(said, "waiting", "the second hears")
    stage.call(stage.cap(made["first"], "withdraw"), "back")
    here.hears("back")
    stage.refused(made["first"], "withdraw")
    for receiver in receivers:
        receiver.hears()


def gifts_come_back_when_the_receiver_does_not_take_them(stage: Stage) -> None:
    """What is refused has not been given."""
    made, here, receiver = stage.pattern(), stage.party(HERE), stage.party()
    receiver.refuses("no")
    for side in ("first", "second"):
        _gives(here, made[side], here.ear, receiver)
    stage.call(stage.cap_soon(made["first"], "withdraw"), "back")
    here.hears("back")


def a_powerbox_gives_what_its_user_chooses_and_takes_it_back(stage: Stage) -> None:
    """The application has what was chosen, and not any more when that is revoked."""
    made, application, chosen = stage.pattern(), stage.party(), stage.party(HERE)
    application.asks_and_goes_on(made["ask"], {"want": "a file to read"})
    listed = [{"number": 1, "want": "a file to read"}]
    stage.same_soon(made["desk"], None, listed, "what the desk lists")
    stage.call(made["desk"], {"grant": 1, "cap": chosen.ear})
    granted = application.hears_soon()
    assert isinstance(granted, Capability)
    application.asks(granted, "hello")
    chosen.hears("hello")
    stage.same(stage.call(made["desk"]), [], "what the desk lists")
    stage.refused(made["desk"], {"grant": 1, "cap": chosen.ear})
    stage.call(made["desk"], {"revoke": 1})
    application.is_refused(granted, "again")
    chosen.hears()


def a_powerbox_gives_nothing_that_was_not_chosen(stage: Stage) -> None:
    """What is denied is refused, and who can ask can do no more than that."""
    made, application = stage.pattern(), stage.party()
    for said in (None, {"grant": 1, "cap": application.ear}, {"revoke": 1}, "want"):
        application.is_refused(made["ask"], said)
    application.asks_and_goes_on(made["ask"], {"want": "everything"})
    listed = [{"number": 1, "want": "everything"}]
    stage.same_soon(made["desk"], None, listed, "what the desk lists")
    application.is_refused(made["ask"], {"grant": 1, "cap": application.ear})
    stage.call(made["desk"], {"deny": 1})
    stage.same(application.hears_soon(), ("refused", "denied"), "what the application hears")


def _gives(giver: Party, side: Capability, gift: Capability, receiver: Party) -> Value:
    return giver.asks(side, {"give": gift, "to": receiver.ear})


def _two(gifts: object) -> tuple[Capability, Capability]:
    assert isinstance(gifts, tuple) and len(gifts) == 2, f"two gifts, not {gifts!r}"
    return gifts
