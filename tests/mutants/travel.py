"""The seeded faults of time travel."""

from tests.mutants.faults import Fault

CAUSES = "tests/avm/test_causes.py"
FORKS = "tests/avm/test_forks.py"
UNDER_WAY = "tests/avm/test_forks_under_way.py"
PATHS = "tests/avm/test_paths.py"
TRAVEL = "tests/avm/test_travel.py"

FAULTS = [
    Fault(
        "a difference below a key is left out",
        "avm/past/paths.py",
        "            yield from changes(was[key], now[new[place]], name, there)\n",
        "            pass\n",
        f"{PATHS}::test_x05_each_kind_of_value_has_its_path",
    ),
    Fault(
        "what was added is told with its index before",
        "avm/past/paths.py",
        '        for index in new[both:]:\n            yield Change(f"{path}[{index}]"',
        '        for index in new[both:]:\n            yield Change(f"{path}[{index - 1}]"',
        f"{PATHS}::test_x05_a_path_is_python_that_leads_to_what_differs",
    ),
    Fault(
        "a question is asked after the turn that came next",
        "avm/past/asking.py",
        "    load_at(reader, machine, worker, moment.turn)\n",
        "    load_at(reader, machine, worker, min(moment.turn + 1, machine.head - 1))\n",
        f"{TRAVEL}::test_x05_what_is_asked_at_a_turn_is_what_the_machine_answered_next",
    ),
    Fault(
        "an expired capability is good in the past",
        "avm/past/asking.py",
        "to.expires_ms <= moment.now_ms:",
        "to.expires_ms < 0:",
        f"{TRAVEL}::test_x05_what_was_not_good_then_is_rejected_then",
    ),
    Fault(
        "bisect goes over an upgrade as if it were nothing",
        "avm/past/bisecting.py",
        "            if entry.form in STATES and entry.form != journal.SNAPSHOT:\n",
        "            if entry.form == journal.EDIT:\n",
        f"{TRAVEL}::test_x05_each_turn_is_judged_under_the_code_and_from_the_state_of_then",
    ),
    Fault(
        "bisect tells the last turn that fails of those in flight",
        "avm/past/bisecting.py",
        "                found = self._heard(next(judging), answer)\n"
        "                if found is not None:\n                    return found\n",
        "                found = self._heard(next(judging), answer) or locals().get('found')\n"
        "            if due and found is not None:\n                return found\n",
        f"{TRAVEL}::test_x05_the_first_turn_is_found_though_later_ones_hold_again",
    ),
    Fault(
        "an entry names the last number that was sent before",
        "avm/host/plan.py",
        "(channel.sent if channel is not None else 0) + 1, count])",
        "max(1, channel.sent if channel is not None else 0), count])",
        f"{CAUSES}::test_x05_the_cause_of_every_turn_is_the_way_its_message_went",
    ),
    Fault(
        "what a turn sends apart is not counted",
        "avm/host/plan.py",
        "        counts[receiver] = counts.get(receiver, 0) + 1\n",
        "        counts[receiver] = counts.get(receiver, 0) or 1\n",
        f"{CAUSES}::test_x05_every_number_of_a_channel_stands_in_the_entry_that_sent_it",
    ),
    Fault(
        "a timer is not told from a turn",
        "avm/past/senders.py",
        "                return set_by, True\n",
        "                return set_by, False\n",
        f"{CAUSES}::test_x05_a_timer_is_told_with_the_turn_that_set_it",
    ),
    Fault(
        "a timer that was not due yet counts as the cause",
        "avm/past/senders.py",
        "        if now_of(entry) + send[AFTER_MS] > ",
        "        if now_of(entry) > ",
        f"{CAUSES}::test_x05_of_two_timers_the_one_that_was_due_is_told",
    ),
    Fault(
        "a fork seals with the keys of its host",
        "avm/past/forking.py",
        "self.keys.close_machine(entropy[:32], entropy[32:64], entropy[64:])",
        "copy.sealed_keys",
        f"{FORKS}::test_x05_what_a_fork_does_changes_nothing_of_the_store_that_it_is_of",
    ),
    Fault(
        "a fork has the code of now",
        "avm/past/forking.py",
        "moment.next_slot, moment.code\n",
        "moment.next_slot, copy.code\n",
        f"{FORKS}::test_x05_a_fork_of_before_an_upgrade_runs_the_code_of_then",
    ),
    Fault(
        "a fork takes what is for others along",
        "avm/past/forking.py",
        '        for (sender, receiver, seq), body in store.rows("outbox"):\n'
        "            if sender in inside and receiver in inside:\n",
        '        for (sender, receiver, seq), body in store.rows("outbox"):\n'
        "            if sender in inside:\n",
        f"{UNDER_WAY}::test_x05_what_was_on_its_way_to_others_is_not_in_a_fork",
    ),
    Fault(
        "what was on its way at a time is lost in a fork of then",
        "avm/past/forking.py",
        "under_way.batches({} if self.waiting else ends)",
        "under_way.batches({})",
        f"{UNDER_WAY}::test_x05_a_batch_that_waited_at_a_time_is_under_way_in_a_fork_of_then",
    ),
    Fault(
        "what came with a batch on its way is taken from the slots of now",
        "avm/past/underway.py",
        "                    slot = reference if reference >= 0 else next_slot - reference - 1\n",
        "                    slot = abs(reference)\n",
        f"{UNDER_WAY}::test_x05_what_comes_with_a_batch_on_its_way_is_what_came",
    ),
    Fault(
        "a fork begins its channels anew",
        "avm/past/forking.py",
        "machine.address, 0, 0, *mark)",
        "machine.address, 0, 0, 0, 0)",
        f"{FORKS}::test_x05_machines_of_one_fork_reach_each_other_and_nobody_else",
    ),
]
