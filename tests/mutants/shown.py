"""Seeded faults of what is shown: numbers, files and patterns at the command line, and the examples."""

from tests.mutants.faults import Fault

KEYS = "tests/avm/test_keys_verbs.py"
CARRIED = "tests/avm/test_keys_carried.py"
STORIES = "tests/examples/test_stories.py"

FAULTS = [
    Fault(
        "who is turned away is not counted",
        "avm/host/audited.py",
        '    host.counts["turned_away"] += 1\n',
        "",
        "tests/sim/test_audit.py::test_refusals_are_counted_by_cause_and_told_by_the_hour",
    ),
    Fault(
        "a status tells of the machines' refusals alone",
        "avm/cli/status.py",
        'away = status["counts"].get("turned_away", 0)',
        "away = 0",
        "tests/avm/test_status_shown.py",
    ),
    Fault(
        "a pattern that one branch fits is taken for one that nothing does",
        "caps/pattern.py",
        "if all(part is not None for part in parts) else None",
        "if any(part is not None for part in parts) else None",
        "tests/caps/test_unfit.py::test_a_pattern_is_said_to_be_unfit_exactly_when_no_content_fits_it",
    ),
    Fault(
        "what nothing fits is narrowed to",
        "avm/cli/caps_narrow.py",
        "    if part is not None:\n",
        "    if part == ():\n",
        "tests/avm/test_caps_verbs.py::test_w26_what_cannot_be_narrowed_so_is_one_line_and_exit_2",
    ),
    Fault(
        "what was counted long ago is shown whatever time is asked for",
        "avm/cli/audit.py",
        "    if log.since_ms + HOUR_MS <= since_ms:\n",
        "    if since_ms < 0:\n",
        f"{KEYS}::test_what_is_counted_is_not_shown_where_its_hour_was_over_before",
    ),
    Fault(
        "keys in the open go under the first of two passphrases",
        "avm/run/passphrase.py",
        "            if self._lines:\n",
        "            if self._lines and self._known is not None:\n",
        f"{CARRIED}::test_a_passphrase_too_many_is_refused_for_the_wrong_one_might_be_taken",
    ),
    Fault(
        "keys that cannot be written leave a file behind",
        "avm/store/files.py",
        "            files.remove(fresh)\n",
        "            files.sync(fresh)\n",
        f"{CARRIED}::test_keys_that_cannot_be_written_are_told_by_the_files_name_and_nothing_is_left",
    ),
    Fault(
        "a picture that cannot be written is told without its name",
        "avm/cli/output.py",
        "        error.filename = error.filename or str(path)\n",
        "",
        "tests/avm/test_authority_verbs.py::test_a_picture_that_cannot_be_written_is_told_by_its_name",
    ),
    Fault(
        "an assistant asks for a tool that it has",
        "examples/assistant.py",
        "replace(state, tools=state.tools.put(tool, given))",
        "state",
        f"{STORIES}::test_x03_a_story_goes_as_it_is_told_at_its_head[assistant]",
    ),
    Fault(
        "a box that cannot be opened spoils the others",
        "examples/lottery.py",
        ", apart=True)",
        ")",
        "tests/examples/test_made_of_patterns.py::test_a_box_of_another_pair_counts_for_nothing_and_spoils_no_other",
    ),
]
