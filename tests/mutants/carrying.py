"""Seeded faults of new code on a history, of machines in files, and of states that are rebuilt."""

from tests.mutants.faults import Fault

SHADOW = "tests/avm/test_shadow.py"
FILES = "tests/sim/test_carrying.py"
REBUILT = "tests/avm/test_rebuilding.py"

CARRYING = [
    Fault(
        "new code counts slots as the record does",
        "avm/past/numbering.py",
        "        return self.recorded == self.own == self.same\n",
        "        return True\n",
        f"{SHADOW}::test_x06_a_reference_there_and_back_is_itself",
    ),
    Fault(
        "contexts that new code refuses pass for taken",
        "avm/past/contexts.py",
        "            if place != index:\n",
        "            if True:\n",
        f"{SHADOW}::test_x06_contexts_that_are_not_taken_any_more_are_listed_with_a_count_and_an_example",
    ),
    Fault(
        "what waits for a machine is not tried",
        "avm/past/shadowing.py",
        "                both.run(self.contexts)\n",
        "                pass\n",
        f"{SHADOW}::test_x06_what_waits_is_tried_a_timer_with_its_own_message_and_an_ask_with_a_few",
    ),
    Fault(
        "the state at the end is not compared",
        "avm/past/shadowing.py",
        "        if last is not None and (last[0]",
        "        if last is None and (last[0]",
        f"{SHADOW}::test_x06_a_state_that_no_answer_shows_is_compared_at_the_end",
    ),
    Fault(
        "a machine is exported while it runs",
        "avm/host/parting.py",
        "    if not to and machine.status is not Status.SUSPENDED:\n",
        "    if False:\n",
        f"{FILES}::test_a_machine_that_runs_or_is_halted_is_not_exported",
    ),
    Fault(
        "a machine in a file leaves its timers behind",
        "avm/host/parting.py",
        "        timers=timers,\n",
        "        timers=[],\n",
        f"{FILES}::test_p06_a_timer_survives_suspend_restart_and_a_file_and_fires_once",
    ),
    Fault(
        "a machine whose host died while it was written is nowhere",
        "avm/host/carrying.py",
        '            live_again(host, left, from_bytes_untrusted(left.parcel), "the host ended meanwhile")\n',
        "            pass\n",
        f"{FILES}::test_a_machine_is_here_or_in_its_file_wherever_the_host_dies",
    ),
    Fault(
        "an old file brings a machine back",
        "avm/host/carrying.py",
        "    if before is not None and incarnation < before.incarnation + (not before.is_out):\n",
        "    if False:\n",
        f"{FILES}::test_a_file_is_imported_once_and_an_old_one_not_at_all",
    ),
    Fault(
        "the digest at the end of a machine file is not looked at",
        "avm/host/machine_file.py",
        "        if found != HEAD.pack(END, 0, NO_HASH, 0, DIGEST_BYTES) + digest:\n",
        "        if False:\n",
        f"{FILES}::test_p08_a_file_that_is_cut_short_or_flipped_anywhere_is_none",
    ),
    Fault(
        "what waits for an exported machine is given up",
        "avm/host/outbox.py",
        "    is_out = carried is not None and carried.is_out\n",
        "    is_out = False\n",
        f"{FILES}::test_what_is_first_said_to_an_exported_machine_waits_for_it",
    ),
    Fault(
        "who waited to hear where an exported machine goes waits for ever",
        "avm/host/carrying.py",
        "        wake(host, outgoing)",
        "        pass",
        "tests/sim/test_carried.py::test_who_waited_to_hear_where_a_machine_goes_finds_it_out_of_its_file",
    ),
    Fault(
        "a rebuilt state is put in place of a machine that went on",
        "avm/host/rebuild.py",
        "        if (machine.head, machine.chain) != (self.head, self.chain):\n",
        "        if False:\n",
        f"{REBUILT}::test_c05_turns_taken_since_are_caught_up_and_while_it_goes_on_the_switch_is_refused",
    ),
    Fault(
        "the journal keeps new code without the state that was rebuilt",
        "avm/host/rebuild.py",
        "digest, body, references)\n        keep_snapshot",
        "digest)\n        keep_snapshot",
        f"{REBUILT}::test_c05_a_state_is_made_anew_by_new_code_and_switched_in_one_commit",
    ),
    Fault(
        "a state is rebuilt of what everybody said",
        "avm/past/candidate.py",
        "        return not self.senders or (sender in self.senders) is not self.left_out\n",
        "        return True\n",
        f"{REBUILT}::test_c05_what_one_sender_said_is_taken_alone_or_left_out",
    ),
]
