"""The seeded faults of kinds and commons."""

from tests.mutants.faults import Fault

RULES = "tests/avm/test_kinds_rules.py"
KINDS = "tests/avm/test_kinds.py"
COMMONS = "tests/avm/test_commons.py"
BETWEEN = "tests/sim/test_kinds_between.py"

FAULTS = [
    Fault(
        "nobody's reply is none that another host may send",
        "avm/host/capability.py",
        "return type(cap) is Reply or cap == NULL",
        "return type(cap) is Reply",
        "tests/avm/test_testing_authority.py::test_w05_a_reply_that_is_passed_on_may_be_nobodys",
    ),
    Fault(
        "a reply of another host may be any capability",
        "avm/host/header.py",
        "(back is None or may_be_reply(back))",
        "back != INVALID",
        "tests/avm/test_header.py::test_w16_a_reply_of_a_lying_host_is_one_of_an_ask_or_not_valid",
    ),
    Fault(
        "what is affine may be a reply, also where it never expires",
        "avm/host/capability.py",
        "return kind_of_wire(cap.wire) == (AFFINE, True)",
        "return kind_of_wire(cap.wire)[0] == AFFINE",
        "tests/avm/test_header.py::test_w16_a_reply_of_a_lying_host_is_one_of_an_ask_or_not_valid",
    ),
    Fault(
        "what is affine may be copied",
        "avm/machine/kinds.py",
        '    if one.kind != "relevant" and left > came:\n',
        '    if one.kind == "linear" and left > came:\n',
        f"{RULES}::test_w16_a_turn_is_taken_exactly_when_the_model_allows_it",
    ),
    Fault(
        "one of two equal coins may be dropped",
        "avm/machine/kinds.py",
        '    needed = {"linear": came, "relevant": 1}',
        '    needed = {"linear": 1, "relevant": 1}',
        f"{RULES}::test_w16_a_turn_is_taken_exactly_when_the_model_allows_it",
    ),
    Fault(
        "null~ keeps what it is given",
        "avm/machine/kinds.py",
        "            _noted(things, thing).gone += 1\n",
        "            _noted(things, thing).gone += 0\n",
        f"{KINDS}::test_w16_what_is_dropped_or_copied_fails_its_batch_by_its_kind",
    ),
    Fault(
        "the context of an own capability is not looked into",
        "avm/machine/kinds.py",
        '                yield from kinded(value._context, f"{path}.context")\n',
        "                pass\n",
        f"{KINDS}::test_w16_a_coin_goes_into_a_context_and_comes_back_with_it",
    ),
    Fault(
        "what a batch makes itself is not followed",
        "avm/machine/turn.py",
        "                held = is_kinded(taken.state)\n",
        "                held = False\n",
        f"{KINDS}::test_w16_what_a_batch_makes_and_drops_fails_as_it_would_in_two",
    ),
    Fault(
        "a machine that comes back has forgotten kinds",
        "avm/machine/turn.py",
        "return [place, KINDS.index(cap._kind)] if cap._kind else place\n",
        "return place\n",
        f"{KINDS}::test_w16_kinds_hold_after_the_host_and_its_workers_died",
    ),
    Fault(
        "the host trusts its workers with kinds",
        "avm/host/kinds.py",
        "    for place in came | left:\n",
        "    for place in ():\n",
        f"{RULES}::test_w16_the_host_finds_by_slot_what_a_worker_lets_pass",
    ),
    Fault(
        "the fold does not look at kinds",
        "avm/host/fold.py",
        "                kinds.check(flight, answer[2])\n",
        "                pass\n",
        f"{KINDS}::test_w16_the_host_fails_a_batch_of_a_worker_that_does_not_look",
    ),
    Fault(
        "a context gives its capability no kind",
        "caps/slots.py",
        "        kind = joined(kind, kind_in(frozen))\n",
        "",
        f"{RULES}::test_w16_a_capabilitys_kind_is_the_least_that_covers_its_context",
    ),
    Fault(
        "linear and relevant are taken for one another on the wire",
        "caps/capability.py",
        "    return wire[at], wire[at + 1] != _NULL\n",
        "    return wire[at] and 4 - wire[at], wire[at + 1] != _NULL\n",
        f"{RULES}::test_w16_the_kind_is_read_off_the_wire_without_decoding",
    ),
    Fault(
        "linear content does not come back from a neighbour",
        "avm/host/outbox.py",
        "    if back is not None and may_not_drop(back):\n",
        "    if back is not None and back.caps and may_not_drop(back):\n",
        f"{KINDS}::test_w16_linear_content_returns_with_the_outcome_of_an_ask_that_was_not_taken",
    ),
    Fault(
        "linear content does not come back from another host",
        "avm/host/returning.py",
        "    return whole if may_not_drop(whole) else said\n",
        "    return said\n",
        f"{BETWEEN}::test_w16_each_linear_coin_is_in_one_purse_under_crashes_and_cuts",
    ),
    Fault(
        "a deadline takes linear content with the body",
        "avm/host/verdicts.py",
        '        batch.messages, batch.body = own_copy(host, batch), b""\n',
        '        batch.body = b""\n',
        f"{BETWEEN}::test_w16_linear_content_returns_when_the_other_host_is_away_for_long",
    ),
    Fault(
        "a batch with a coin in it is retried",
        "avm/host/failed.py",
        "    if edited is None and any(map(_is_linear, old.messages)):\n",
        "    if edited is None and False:\n",
        f"{KINDS}::test_w16_what_is_linear_in_a_failed_batch_is_not_offered_again",
    ),
    Fault(
        "the same random bytes are drawn again",
        "avm/host/commons.py",
        "    host.entropy = seed.digest()\n",
        "    seed.digest()\n",
        f"{COMMONS}::test_w17_random_bytes_are_drawn_once",
    ),
    Fault(
        "a common answers what is not for it",
        "avm/host/commons.py",
        "            if said.content != _NONE:\n",
        "            if said.content == b'nothing':\n",
        f"{COMMONS}::test_w17_what_a_common_does_not_take_it_refuses",
    ),
    Fault(
        "what is switched off is answered",
        "avm/host/commons.py",
        '    host.off = tuple(name for name in off.split(",") if name)\n',
        "    host.off = ()\n",
        f"{BETWEEN}::test_w17_the_origin_answers_what_is_switched_off_and_none_is_undelivered",
    ),
    Fault(
        "an answer is not kept",
        "avm/host/commons.py",
        "    answer_ask(host, machine, ask, body, caps)\n",
        "    assert body is not None\n",
        f"{BETWEEN}::test_w17_each_answer_comes_once_though_the_host_dies_at_any_moment",
    ),
    Fault(
        "a size runs over into the bits of kinds",
        "caps/frozen.py",
        "SIZE_BITS = 2048\n",
        "SIZE_BITS = 40\n",
        "tests/caps/test_kinds_weight.py::test_no_size_runs_over_into_the_kinds",
    ),
]
