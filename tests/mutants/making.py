"""The seeded faults of making machines: an ask that makes two or none, power beyond what was granted; and of forks."""

from tests.mutants.faults import Fault

UNDER_WAY = "tests/avm/test_forks_under_way.py"

TESTS = "tests/sim/test_making.py"
ABUSED = "tests/sim/test_making_abused.py"
CUT = f"{TESTS}::test_w20_each_ask_of_a_factory_makes_one_machine_or_none_wherever_it_is_cut"

FAULTS = [
    Fault(
        "a machine is made before its ask has its verdict",
        "avm/host/making.py",
        "    if not line.batches:\n        del host.making[batch.sender]\n    take_mark(host, batch)\n",
        "    if not line.batches:\n        del host.making[batch.sender]\n"
        "    host.channel(batch.sender, batch.receiver).taken = batch.seq\n",
        CUT,
    ),
    Fault(
        "what a factory has asked for is forgotten when the host dies",
        "avm/host/rows.py",
        "            for_host(host, batch)\n",
        "            pass\n",
        CUT,
    ),
    Fault(
        "an init that refuses leaves its machine",
        "avm/host/making.py",
        "        erase(host, machine)\n        _say_no(host, self.batch, word)\n",
        "        _say_no(host, self.batch, word)\n",
        f"{TESTS}::test_w20_an_init_that_fails_is_told_and_leaves_nothing",
    ),
    Fault(
        "a narrowed or older capability makes machines too",
        "avm/host/making.py",
        "            return (code, stem, about) if cap == good else None",
        "            return code, stem, about",
        f"{TESTS}::test_w20_the_host_makes_nothing_for_what_only_looks_like_its_capability",
    ),
    Fault(
        "a halted factory has its machines made",
        "avm/host/making.py",
        "    is_there = maker is not None and maker.status is not Status.HALTED\n",
        "    is_there = maker is not None\n",
        f"{TESTS}::test_w26_what_a_halted_factory_has_asked_for_is_not_made",
    ),
    Fault(
        "a factory that is over goes on",
        "caps/patterns/maker.py",
        "replace(state, host=None)",
        "state",
        f"{TESTS}::test_w26_a_revoked_factory_makes_nothing_more_and_what_it_made_stays",
    ),
    Fault(
        "who has a machine made hears how its init broke",
        "caps/patterns/maker.py",
        'Failed("rejected", "", back)',
        'Failed("rejected", how, back)',
        f"{TESTS}::test_w20_an_init_that_fails_is_told_and_leaves_nothing",
    ),
    Fault(
        "a factory makes one more than it may",
        "caps/patterns/maker.py",
        "if state.made >= state.at_most:",
        "if state.made > state.at_most:",
        f"{TESTS}::test_w20_a_factory_makes_so_many_and_no_more",
    ),
    Fault(
        "what waits to be made is made after its deadline",
        "avm/host/making.py",
        "    if batch.messages and batch.deadline_ms <= host.now_ms:\n        withdraw(host, batch)\n",
        "",
        f"{TESTS}::test_w20_what_waited_to_be_made_while_the_host_was_away_too_long_is_never_made",
    ),
    Fault(
        "who waits for a machine that is to be made hears nothing at the deadline",
        "avm/host/making.py",
        "    withdraw(host, batch)\n    if machine is not None:\n",
        "    if machine is not None:\n",
        f"{TESTS}::test_w20_what_waits_to_be_made_at_its_deadline_is_undelivered_and_never_made",
    ),
    Fault(
        "whoever was passed a reply gives a factory back what it has made",
        "caps/patterns/maker.py",
        'Failed("undelivered") as no:',
        'Failed("undelivered" | "refused") as no:',
        f"{ABUSED}::test_w20_a_made_machine_counts_whatever_comes_to_the_reply_that_it_passed_on",
    ),
    Fault(
        "what waits at the host is made after its factory was revoked",
        "avm/host/outbox.py",
        "        line.over = batch.seq\n",
        "        pass\n",
        f"{ABUSED}::test_w26_what_a_revoked_factory_had_asked_for_is_not_made",
    ),
    Fault(
        "what was withdrawn ends what is before it",
        "avm/host/outbox.py",
        "    if batch.messages and not any(",
        "    if not any(",
        f"{ABUSED}::test_w20_what_was_withdrawn_ends_nothing_that_is_before_it",
    ),
    Fault(
        "a factory moves away from what is being made for it",
        "avm/host/parting.py",
        " or machine.address in host.making:\n",
        ":\n",
        f"{ABUSED}::test_w20_a_factory_stays_while_the_host_makes_something_for_it",
    ),
    Fault(
        "a fork sends what is under way to capabilities without caveats",
        "avm/past/underway.py",
        "                return sent_to\n",
        "                return sent_to._replace(caveats=())\n",
        f"{UNDER_WAY}::test_x05_what_is_on_its_way_is_sent_to_what_its_sender_holds",
    ),
    Fault(
        "a fork takes what was sent apart for one batch",
        "avm/past/targets.py",
        "            if len(send) == WHOLE and send[APART]:\n",
        "            if not send:\n",
        f"{UNDER_WAY}::test_x05_what_is_on_its_way_is_sent_to_what_its_sender_holds",
    ),
    Fault(
        "in a rerun a worker lacks the code of what failed to begin in it",
        "avm/recording/crew.py",
        "sorted(worker.codes & self._kept.codes.keys())",
        "()",
        f"{TESTS}::test_p03_a_recording_in_which_machines_are_made_reruns_the_same",
    ),
    Fault(
        "a factory moves to where it can make nothing",
        "avm/host/parting.py",
        "    if codes_made(host, machine) or machine.address in host.making:\n",
        "    if not machine.address:\n",
        f"{TESTS}::test_w20_a_factory_stays_where_it_makes",
    ),
    Fault(
        "who had a machine made is not in the audit log",
        "avm/host/making.py",
        '        given = {"by": batch.sender, "code": machine.code}\n',
        '        given = {"by": host.address, "code": machine.code}\n',
        f"{TESTS}::test_w26_the_audit_log_and_the_causes_say_who_had_a_machine_made",
    ),
]
