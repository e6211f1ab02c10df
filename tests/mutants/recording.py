"""The seeded faults of recordings: what is changed, and the test that is known to catch it."""

from tests.mutants.faults import Fault

PARTS = "tests/avm/test_recording_parts.py"
FILES = "tests/avm/test_recording_files.py"
RECORDING = "tests/sim/test_recording.py"
WHAT_IF = "tests/sim/test_what_if.py"

FAULTS = [
    Fault(
        "an input beside the core's door",
        "avm/run/network.py",
        "        self._core.do(peering.seen, address, endpoint)\n",
        "        peering.seen(self._core.host, address, endpoint)\n",
        f"{PARTS}::test_shells_change_a_host_through_its_core_alone",
    ),
    Fault(
        "the time is not recorded",
        "avm/recording/ear.py",
        "            is_idle = clock == (host.now_ms, host.clock_ms, host.ahead_ms)\n",
        "            is_idle = True\n",
        f"{RECORDING}::test_p04_the_time_that_a_pass_begins_at_is_told_again",
    ),
    Fault(
        "a core with work counts as idle",
        "avm/recording/ear.py",
        "    return not (host.ready or host.links or waits)\n",
        "    return not (host.links or waits)\n",
        f"{RECORDING}::test_p04_a_host_that_was_recorded_answers_the_same_again",
    ),
    Fault(
        "a changed byte passes",
        "avm/recording/log.py",
        "        if crc32(found) != checksum:\n",
        "        if crc32(found) < 0:\n",
        f"{RECORDING}::test_p03_no_flipped_byte_passes_for_what_was_written",
    ),
    Fault(
        "a changed length passes for the end",
        "avm/recording/log.py",
        "        if length ^ TURNED != turned:\n",
        "        if length < 0:\n",
        f"{RECORDING}::test_p03_no_flipped_byte_passes_for_what_was_written",
    ),
    Fault(
        "what the core knows is not compared",
        "avm/recording/rerun.py",
        "        if _known(self.core) != state.body:\n",
        "        if not state.body:\n",
        f"{RECORDING}::test_p04_what_changes_a_core_beside_its_inputs_is_found",
    ),
    Fault(
        "an error of the core is not recorded",
        "avm/recording/ear.py",
        "            self.ear.hear(known.name, not before, told, output)\n",
        "",
        f"{RECORDING}::test_p04_a_defect_of_the_core_is_recorded_and_comes_again",
    ),
    Fault(
        "the answers of the recording are taken for another life's",
        "avm/recording/whatif.py",
        "                core.answer(number, answer)\n",
        "                core.answer(number, was or answer)\n",
        f"{WHAT_IF}::test_p03_other_code_gives_a_diff",
    ),
    Fault(
        "what is folded and not stored is not loaded",
        "avm/recording/tape.py",
        "    groups = [one for one in (host.committing, host.group) if one is not None]\n",
        "    groups: list[Group] = []\n",
        f"{WHAT_IF}::test_p03_with_nothing_changed_nothing_else_comes_of_it",
    ),
    Fault(
        "sockets are not blocked",
        "avm/past/unconnected.py",
        '        raise Unconnected(f"{Unconnected.__doc__} ({event})")\n',
        "        return\n",
        f"{FILES}::test_p04_sockets_are_blocked_while_a_recording_is_told_again",
    ),
    Fault(
        "old segments stay",
        "avm/run/recorder.py",
        "            one.unlink()\n",
        "            one.touch()\n",
        f"{FILES}::test_segments_are_for_their_owner_alone_and_the_oldest_go",
    ),
    Fault(
        "a recording is for everybody",
        "avm/run/recordings.py",
        "DIRECTORY_MODE, FILE_MODE = 0o700, 0o600\n",
        "DIRECTORY_MODE, FILE_MODE = 0o700, 0o644\n",
        f"{FILES}::test_segments_are_for_their_owner_alone_and_the_oldest_go",
    ),
]
