"""The seeded faults of what people meet who look into the past."""

from tests.mutants.faults import Fault

MEANWHILE = "tests/sim/test_saved_meanwhile.py"
MISTAKES = "tests/net/test_travel_mistakes.py"
RERUN = "tests/net/test_record_rerun.py"

FAULTS = [
    Fault(
        "what comes in parts is not known to the form of a host",
        "avm/host/saved.py",
        "[BUFFER, IDENTITY, KEYRING, DEADLINES]",
        "[IDENTITY, KEYRING, DEADLINES]",
        f"{MEANWHILE}::test_p04_a_machine_that_comes_out_of_a_file_is_recorded_and_told_again",
    ),
    Fault(
        "a class that a host's state may hold is not known to its form",
        "avm/host/saved.py",
        "channel.End, Certificate, Renewal, Terms, Endpoint),",
        "channel.End, Certificate, Terms, Endpoint),",
        f"{MEANWHILE}::test_p02_all_that_a_hosts_state_may_hold_is_known_to_its_form",
    ),
    Fault(
        "a rerun of nothing agrees",
        "avm/cli/rerun.py",
        "    _check_begun(args.until, rerun)\n",
        "",
        f"{RERUN}::test_p03_a_rerun_of_nothing_is_no_answer",
    ),
    Fault(
        "a rerun goes on past the time that it is told",
        "avm/recording/rerun.py",
        "    now_ms = told.arguments[0] if told.name in CLOCKS and told.arguments else 0\n",
        "    now_ms = 0\n",
        "tests/sim/test_recording.py::test_p03_a_rerun_goes_no_further_than_it_is_told",
    ),
    Fault(
        "a batch that was never sent passes for one that was pruned",
        "avm/past/causes.py",
        "            self._check_number(way)\n",
        "",
        f"{MISTAKES}::test_x05_a_batch_that_was_never_sent_has_no_cause",
    ),
    Fault(
        "in a fork the host that it is of is a client that has ended",
        "avm/past/causes.py",
        "        if way.sender in (self.host, self.origin):",
        "        if way.sender == self.host:",
        f"{MISTAKES}::test_x05_in_a_fork_the_word_of_the_host_it_is_of_is_still_the_hosts",
    ),
    Fault(
        "two forks are made at once",
        "avm/past/forks.py",
        "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        f"{MISTAKES}::test_x05_two_at_once_are_told_of_each_other",
    ),
    Fault(
        "a simulated fault of a host that is none is nothing",
        "avm/sim/faults.py",
        "    for name in hosts_of(fault):\n        _site(scene, name)\n",
        "",
        "tests/sim/test_plan.py::test_a_fault_of_a_host_that_is_none_is_told_when_it_begins",
    ),
    Fault(
        "two rebuilt states are kept at once",
        "avm/cli/reprocess.py",
        "        fcntl.flock(lock, fcntl.LOCK_EX)\n",
        "        pass\n",
        "tests/avm/test_rebuilding.py::test_c05_a_state_is_kept_while_nobody_else_keeps_one",
    ),
]
