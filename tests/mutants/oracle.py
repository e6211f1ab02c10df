"""Seeded faults in what a host takes from its workers, in what it offers, and in who looks at that."""

from tests.mutants.faults import Fault

LYING = "tests/sim/test_lying_workers.py"
FOUND = "tests/sim/test_campaign_found.py"
CAUGHT = "tests/sim/test_campaign.py::test_p05_a_seeded_bug_is_caught"

FAULTS = [
    Fault(
        "names that a worker answers are believed",
        "avm/machine/frames.py",
        "        if type(row) is not list or len(row) != 2 or type(row[0]) is not str:\n",
        "        if False:\n",
        f"{LYING}::test_p08_no_answer_of_a_worker_does_a_host_harm",
    ),
    Fault(
        "a worker says no to a message that is not there",
        "avm/host/dispatch.py",
        "        _check_verdict(host, flight, answer)\n",
        "        pass\n",
        f"{LYING}::test_p08_another_host_is_told_no_verdict_that_it_could_not_hear_out",
    ),
    Fault(
        "a withdrawn body goes on counting in the outbox",
        "avm/host/verdicts.py",
        "        bare(host, batch)\n",
        "",
        f"{FOUND}::test_w05_what_is_withdrawn_from_somebody_who_is_gone_leaves_room_in_the_outbox",
    ),
    Fault(
        "nobody looks at the room there was",
        "avm/sim/offers.py",
        "        if seq > room:\n",
        "        if False:\n",
        f"{CAUGHT}[room-at-the-other-host-is-ignored]",
    ),
]
