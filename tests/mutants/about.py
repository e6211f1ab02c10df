"""Seeded faults of what identities say, and of finding machines by it."""

from tests.mutants.faults import Fault

SAID = "tests/avm/test_about.py"
LISTED = "tests/caps/test_registry.py"
SCENE = "tests/caps/test_patterns.py::test_x03_a_pattern_keeps_what_its_scene_says"
SIGNED = "registry-at_least_so_many_are_found_whose_signed_metadata_says_so"
OF_A_KIND = "registry-nothing_that_may_not_be_copied_or_dropped_is_taken"
NOBODY = "registry-nobody_is_listed_under_an_identity_that_is_not_its_own"

FAULTS = [
    Fault(
        "an identity is not held against the address",
        "caps/identity.py",
        "if len(body) > IDENTITY_BYTES_MAX or address_of(body) != address:",
        "if len(body) > IDENTITY_BYTES_MAX:",
        f"{SCENE}[{NOBODY}]",
    ),
    Fault(
        "what came with a machine is told as its identity, whatever it hashes to",
        "caps/identity.py",
        "if len(body) > IDENTITY_BYTES_MAX or address_of(body) != address:",
        "if len(body) > IDENTITY_BYTES_MAX or not address:",
        f"{SAID}::test_t05_a_machine_that_came_with_anothers_identity_is_told_nothing_of",
    ),
    Fault(
        "what the query wants of signed metadata is not looked at",
        "caps/patterns/registry.py",
        "_fits(_read(signed.get(k), v), v) for k, v in query.signed.items()",
        "True for k, v in query.signed.items()",
        f"{SCENE}[{SIGNED}]",
    ),
    Fault(
        "what is said counts as signed",
        "caps/patterns/registry.py",
        "said, signed = offer.about, offer.signed or Map()",
        "said, signed = offer.about, offer.signed or offer.about",
        f"{SCENE}[{SIGNED}]",
    ),
    Fault(
        "an offer is listed before its identity is checked",
        "caps/patterns/registry.py",
        "    return sends, replace(state, checks=state.checks.put(message.id, check))\n",
        "    found, state = _listed(message.now, name, what, offer, state)\n"
        "    return [*sends, *found], replace(state, checks=state.checks.put(message.id, check))\n",
        f"{LISTED}::test_t05_an_offer_is_not_listed_before_its_identity_is_checked",
    ),
    Fault(
        "an offer whose identity does not fit is listed as it would be without one",
        "caps/patterns/registry.py",
        '        case Failed("refused", word):\n',
        '        case Failed("refused", word):\n'
        "            _, state = _listed(now, check.provider, check.what, check.offer, state)\n",
        f"{SCENE}[{NOBODY}]",
    ),
    Fault(
        "the answer to an older offer undoes a newer one",
        "caps/patterns/registry.py",
        "        if check.provider == name and check.what == what:\n",
        "        if check.provider == name and check.what == what and not name:\n",
        f"{LISTED}::test_t05_the_last_word_of_a_provider_counts_and_each_is_answered_once",
    ),
    Fault(
        "signed numbers are compared as texts",
        "caps/patterns/registry.py",
        '    return float(text) if "." in text else int(text)\n',
        "    return text\n",
        f"{LISTED}::test_t05_signed_text_that_is_a_decimal_number_is_compared_as_one",
    ),
    Fault(
        "what is being checked takes no place in the registry",
        "caps/patterns/registry.py",
        "    return sum(map(len, state.offers.values())) + len(state.checks)\n",
        "    return sum(map(len, state.offers.values()))\n",
        f"{LISTED}::test_t05_so_many_are_checked_at_a_time_and_no_more_are_listed_than_may_be",
    ),
    Fault(
        "something linear is offered, and fails all who look for the like",
        "caps/patterns/registry.py",
        "    _refuse_kinds(message, state.me)\n    said = message.content\n",
        "    said = message.content\n",
        f"{LISTED}::test_t05_a_provider_of_something_linear_is_refused_and_others_are_found_still",
    ),
    Fault(
        "what an offer says of itself may be linear",
        "caps/patterns/registry.py",
        "        me.within((message.content, message.reply))\n",
        "        me.within(tuple(message.content.get(one) for one in ('cap', 'where')))\n",
        f"{SCENE}[{OF_A_KIND}]",
    ),
    Fault(
        "who waits may seek something linear, and fails whoever offers it the like",
        "caps/patterns/registry.py",
        "Registry]:\n    _refuse_kinds(message, state.me)\n    found = _found(",
        "Registry]:\n    found = _found(",
        f"{LISTED}::test_t05_who_waits_for_something_linear_is_refused_and_keeps_nobody_else_waiting",
    ),
    Fault(
        "a linear capability is lost with the refusal of its identity",
        "avm/host/commons.py",
        "        kept = may_not_drop(said)\n",
        "        kept = False\n",
        f"{SAID}::test_t05_a_linear_capability_comes_back_with_the_answer_and_with_the_refusal",
    ),
    Fault(
        "an operator says another name and type than the host would",
        "avm/host/about.py",
        "    for word in (NAME, TYPE):\n",
        "    for word in ():\n",
        f"{SAID}::test_t05_what_cannot_be_said_is_refused_and_nothing_is_changed",
    ),
    Fault(
        "what is said of a machine is not in its recording",
        "avm/recording/inputs.py",
        '        Param("entropy", BYTES),\n        Param("about", ABOUT, NOTHING, late=True),\n    ),\n'
        '    _method("upgrade",',
        '        Param("entropy", BYTES),\n    ),\n    _method("upgrade",',
        f"{SAID}::test_t05_a_machine_that_is_created_anew_of_a_recording_says_the_same",
    ),
    Fault(
        "a factory makes machines that say nothing",
        "avm/host/making.py",
        "_free_name(host, stem, batch.seq), code, entropy, about)",
        "_free_name(host, stem, batch.seq), code, entropy)",
        "tests/sim/test_making.py::test_t05_what_a_factory_makes_says_what_its_operator_had_it_say",
    ),
]
