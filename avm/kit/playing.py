"""Plays the scenes of the patterns on a bench, and tells what does not hold. Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from avm.kit.scenes import blaming, finding, forwarding, handing, limiting, making, money, sealing
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
        "mint": (
            money.money_moves_and_is_neither_made_nor_lost,
            money.a_purse_of_another_mint_is_no_money,
        ),
        "escrow": (
            money.an_escrow_exchanges_what_two_sides_have_paid,
            money.an_escrow_gives_back_what_only_one_side_has_paid,
        ),
        "matcher": (
            handing.gifts_go_out_when_both_givers_mean_the_same,
            handing.gifts_stay_when_the_givers_mean_two,
            handing.gifts_come_back_when_the_receiver_does_not_take_them,
        ),
        "horton": (
            blaming.it_is_known_who_asks_and_each_is_blocked_alone,
            blaming.a_parcel_is_for_one_party_and_from_one_party,
        ),
        "powerbox": (
            handing.a_powerbox_gives_what_its_user_chooses_and_takes_it_back,
            handing.a_powerbox_gives_nothing_that_was_not_chosen,
        ),
        "petnames": (finding.names_are_ones_own_and_nobody_takes_anothers,),
        "registry": (
            finding.at_least_so_many_that_offer_it_are_found,
            finding.at_least_so_many_are_found_whose_signed_metadata_says_so,
            finding.nobody_is_listed_under_an_identity_that_is_not_its_own,
            finding.who_waits_for_signed_metadata_is_answered_when_it_is_checked,
            finding.what_a_provider_says_of_itself_is_its_own_word,
            finding.nothing_that_may_not_be_copied_or_dropped_is_taken,
            finding.who_waits_is_answered_when_there_are_enough,
            finding.an_offer_ends_when_its_time_is_over,
        ),
        "factory": (
            making.who_was_granted_a_factory_makes_machines_that_are_apart,
            making.a_factory_makes_nothing_of_what_is_refused,
        ),
        "ratelimit": (limiting.so_many_go_through_in_so_much_time,),
        "once": (
            limiting.once_is_once,
            limiting.once_is_not_used_up_by_what_did_not_happen,
        ),
        "logged": (limiting.each_use_is_written_down,),
    }
)


def play(scene: Scene, bench: Bench, pattern: str, props: Mapping[str, str]) -> str:
    """Plays one scene; what does not hold, or nothing."""
    try:
        scene(Stage(bench, pattern, props))
    except (NotHeld, NoAnswer) as error:
        return f"{sentence(scene)}: {error}"
    except KeyError as error:
        return f"{sentence(scene)}: it answers nothing that is named {error}"
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        return f"{sentence(scene)}: an answer is not what it was to be: {error!r}"
    return ""


def sentence(scene: Scene) -> str:
    """The scene's name as a sentence."""
    return scene.__name__.replace("_", " ")
