"""Seeded faults of what a host makes durable, each caught by crashes that are enumerated."""

from tests.mutants.fault import Fault

CRASHES = "tests/crashes/test_crashes.py"
WHOLE = f"{CRASHES}::test_c01_after_a_crash_at_any_boundary_each_commit_is_whole_or_absent"
FILES = "tests/avm/test_files.py"

FAULTS = [
    Fault(
        "a store's name is not synchronised",
        "avm/store/files.py",
        "    # One that was there may be of a process that was killed before it came to this.\n"
        "    files.sync_directory(path.parent)\n",
        "",
        f"{WHOLE}[checkpoints]",
    ),
]
