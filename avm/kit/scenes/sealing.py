"""Scenes of sealers and unsealers. Pure."""

from avm.kit.stage import HERE, Stage
from caps.map import Map


def a_box_is_opened_by_its_own_unsealer_alone(stage: Stage) -> None:
    """Neither the box nor an unsealer of another pair gives what is in it."""
    made = stage.pattern()
    pair, other = stage.call(made["make"]), stage.call(made["make"])
    assert isinstance(pair, Map) and isinstance(other, Map)
    box = stage.cap(pair["seal"], ("secret", 7))
    stage.same(stage.call(pair["unseal"], box), ("secret", 7), "what is in the box")
    stage.refused(other["unseal"], box)
    stage.refused(pair["unseal"], "box")
    stage.refused(pair["unseal"], pair["seal"])
    stage.refused(box)
    stage.refused(box, "open")


def a_box_carries_a_capability_past_somebody_who_cannot_use_it(stage: Stage) -> None:
    """It is handed on by a party that does not hold the unsealer, to one that does."""
    made = stage.pattern()
    pair = stage.call(made["make"])
    assert isinstance(pair, Map)
    secret, courier = stage.party(), stage.party(HERE)
    courier.answers(stage.cap(pair["seal"], secret.ear))
    box = stage.cap(courier.ear, "bring it")
    courier.is_refused(box, "hello")
    stage.call(stage.cap(pair["unseal"], box), "hello")
    secret.hears("hello")
