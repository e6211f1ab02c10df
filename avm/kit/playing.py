"""Plays the scenes of the patterns on a bench, and tells what does not hold. Pure."""

from collections.abc import Callable
from types import MappingProxyType

from avm.kit.scenes import forwarding, sealing
from avm.kit.stage import Bench, NoAnswer, NotHeld, Stage

Scene = Callable[[Stage], None]

SCENES: MappingProxyType[str, tuple[Scene, ...]] = MappingProxyType(
    {
        "facet": (
            forwarding.a_facet_lets_its_own_words_through_and_no_others,
            forwarding.a_facet_hands_on_what_its_target_says,
        ),
        "caretaker": (
            forwarding.a_caretaker_gives_access_until_it_is_revoked,
            forwarding.a_caretaker_does_not_touch_what_it_did_not_make,
        ),
        "membrane": (
            forwarding.a_membrane_wraps_what_crosses_it_either_way,
            forwarding.one_revocation_of_a_membrane_cuts_all,
            forwarding.the_two_sides_of_a_membrane_hold_nothing_of_each_other,
        ),
        "sealer": (
            sealing.a_box_is_opened_by_its_own_unsealer_alone,
            sealing.a_box_carries_a_capability_past_somebody_who_cannot_use_it,
        ),
    }
)


def play(scene: Scene, bench: Bench, pattern: str, puppet: str) -> str:
    """Plays one scene; what does not hold, or nothing."""
    try:
        scene(Stage(bench, pattern, puppet))
    except (NotHeld, NoAnswer, KeyError, AssertionError) as error:
        return f"{sentence(scene)}: {error}" if str(error) else sentence(scene)
    return ""


def sentence(scene: Scene) -> str:
    """The scene's name as a sentence."""
    return scene.__name__.replace("_", " ")
