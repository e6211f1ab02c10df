"""Seeded faults in what a meeting says of links that are made beside it."""

from tests.mutants.faults import Fault

DIALED = "tests/nat/test_met_and_dialed.py"

FAULTS = [
    Fault(
        "a link that the other side of a meeting dials passes for a punched one",
        "avm/nat/meetings.py",
        "        return any(met.asked != dialed for met in held)\n",
        "        return bool(held)\n",
        f"{DIALED}::test_s08_a_host_that_was_met_by_one_that_others_reach_is_introduced_by_it_still",
    ),
    Fault(
        "a way that was punched once is one for long",
        "avm/nat/meetings.py",
        "        met.phase, met.due_s = Phase.OPEN, met.began_s + MEETING_S\n",
        "        met.phase, met.due_s = Phase.OPEN, met.began_s + 10 * MEETING_S\n",
        f"{DIALED}::test_s08_a_way_that_was_punched_says_nothing_of_a_link_made_later",
    ),
]
