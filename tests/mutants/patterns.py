"""The seeded faults of the patterns: what each leaves undone is seen by one of its scenes, in memory."""

from tests.mutants.faults import Fault

TESTS = "tests/caps/test_patterns.py"
SCENE = f"{TESTS}::test_x03_a_pattern_keeps_what_its_scene_says"

FAULTS = [
    Fault(
        "a facet lets a map through of which one key is its own",
        "caps/patterns/facet.py",
        "len(content) > 0 and all(isinstance(k, str) and k in allowed for k in content)",
        "any(k in allowed for k in content)",
        f"{SCENE}[facet-a_facet_lets_its_own_words_through_and_no_others]",
    ),
    Fault(
        "the one in between does not say what its target said",
        "caps/patterns/passing.py",
        "    return [Send(reply, outcome)]",
        "    return []",
        f"{SCENE}[facet-a_facet_hands_on_what_its_target_says]",
    ),
    Fault(
        "a caretaker keeps its target when it is revoked",
        "caps/patterns/caretaker.py",
        "replace(state, target=None)",
        "replace(state, target=state.target)",
        f"{SCENE}[caretaker-a_caretaker_gives_access_until_it_is_revoked]",
    ),
    Fault(
        "revocation of a membrane forgets what leads outwards",
        "caps/patterns/membrane.py",
        "Membrane(state.me, revoked=True)",
        "replace(state, revoked=True)",
        f"{TESTS}::test_x03_no_capability_crosses_a_membrane_and_what_comes_home_is_what_went",
    ),
    Fault(
        "what comes home through a membrane stays wrapped",
        "caps/patterns/membrane.py",
        "(state.originals[number] if comes_home else cap), state",
        "cap, state",
        f"{SCENE}[membrane-a_membrane_wraps_what_crosses_it_either_way]",
    ),
    Fault(
        "a box is opened by any unsealer",
        "caps/patterns/sealer.py",
        "if of == pair",
        "if of >= 0",
        f"{SCENE}[sealer-a_box_is_opened_by_its_own_unsealer_alone]",
    ),
    Fault(
        "money comes out of a purse that has none",
        "caps/patterns/mint.py",
        "    if state.balances[purse.number] < amount:\n",
        "    if state.balances[purse.number] < 0:\n",
        f"{SCENE}[mint-money_moves_and_is_neither_made_nor_lost]",
    ),
    Fault(
        "a payment is taken back after both have paid",
        "caps/patterns/escrow.py",
        "if mine is None or len([vault for vault in vaults.values() if vault]) == 2:",
        "if mine is None:",
        f"{SCENE}[escrow-an_escrow_exchanges_what_two_sides_have_paid]",
    ),
    Fault(
        "gifts go out whomever they are meant for",
        "caps/patterns/matcher.py",
        "if len(state.offers) < 2 or len({offer.to for offer in state.offers.values()}) > 1:",
        "if len(state.offers) < 2:",
        f"{SCENE}[matcher-gifts_stay_when_the_givers_mean_two]",
    ),
    Fault(
        "gifts that were refused are given all the same",
        "caps/patterns/matcher.py",
        "replace(state, given=why not in NOTHING_HAPPENED)",
        "state",
        f"{SCENE}[matcher-gifts_come_back_when_the_receiver_does_not_take_them]",
    ),
    Fault(
        "who is blocked works on",
        "caps/patterns/horton.py",
        "    if who in state.blocked:\n",
        "    if who in state.asks and who in state.blocked:\n",
        f"{SCENE}[horton-it_is_known_who_asks_and_each_is_blocked_alone]",
    ),
    Fault(
        "a parcel is opened that another made",
        "caps/patterns/horton.py",
        '            raise Refused("another made it")\n',
        "            return message.answer(True)\n",
        f"{SCENE}[horton-a_parcel_is_for_one_party_and_from_one_party]",
    ),
    Fault(
        "who was introduced is on the account of who introduced it",
        "caps/patterns/horton.py",
        '            return _given(message, whom, cap, state)\n        case {"say"',
        '            return _given(message, who, cap, state)\n        case {"say"',
        f"{SCENE}[horton-it_is_known_who_asks_and_each_is_blocked_alone]",
    ),
    Fault(
        "what a powerbox granted stays granted",
        "caps/patterns/powerbox.py",
        "replace(state, granted=state.granted.drop(number))",
        "state",
        f"{SCENE}[powerbox-a_powerbox_gives_what_its_user_chooses_and_takes_it_back]",
    ),
    Fault(
        "an application grants itself what it wants",
        "caps/patterns/powerbox.py",
        '        case "desk", {"grant"',
        '        case "desk" | "ask", {"grant"',
        f"{SCENE}[powerbox-a_powerbox_gives_nothing_that_was_not_chosen]",
    ),
    Fault(
        "a second Bob is Bob",
        "caps/patterns/petnames.py",
        "            name = _free(says, state)\n",
        "            name = says.strip()\n",
        f"{SCENE}[petnames-names_are_ones_own_and_nobody_takes_anothers]",
    ),
    Fault(
        "an offer has no end",
        "caps/patterns/registry.py",
        "        if one.until > now and _is_sought(query, one)",
        "        if _is_sought(query, one)",
        f"{SCENE}[registry-an_offer_ends_when_its_time_is_over]",
    ),
    Fault(
        "at least so many is as many as there are",
        "caps/patterns/registry.py",
        '        raise Refused(f"{len(found)} of {query.least} are there")\n',
        "        return message.answer(found), state\n",
        f"{SCENE}[registry-at_least_so_many_that_offer_it_are_found]",
    ),
    Fault(
        "a provider says by itself who it is",
        "caps/patterns/registry.py",
        '    said = {"by": by, "cap"',
        '    said = {"by": one.about.get("by", by), "cap"',
        f"{SCENE}[registry-what_a_provider_says_of_itself_is_its_own_word]",
    ),
    Fault(
        "machines of one factory have one Me",
        "caps/patterns/factory.py",
        "                me = state.me.within(number)\n",
        "                me = state.me.within(0)\n",
        f"{SCENE}[factory-who_was_granted_a_factory_makes_machines_that_are_apart]",
    ),
    Fault(
        "a rate limit fills up at once",
        "caps/patterns/ratelimit.py",
        "passed_s * state.calls / state.per_s",
        "passed_s * state.calls",
        f"{SCENE}[ratelimit-so_many_go_through_in_so_much_time]",
    ),
    Fault(
        "once is any number of times",
        "caps/patterns/once.py",
        "            return sends, replace(state, used=True)\n",
        "            return sends, state\n",
        f"{SCENE}[once-once_is_once]",
    ),
    Fault(
        "a log keeps all that ever was",
        "caps/patterns/logged.py",
        "if number - state.keep in entries:",
        "if number in ():",
        f"{SCENE}[logged-each_use_is_written_down]",
    ),
    Fault(
        "the pattern of the release is taken, not that of the bundle",
        "avm/machine/loader.py",
        "        if self._is_own(absolute):\n",
        "        if within_patterns(absolute):\n"
        "            return __import__(absolute, fromlist=wanted)\n"
        "        if self._is_own(absolute):\n",
        "tests/avm/test_loader.py::test_patterns_are_run_out_of_the_bundle_whatever_the_release_has",
    ),
]
