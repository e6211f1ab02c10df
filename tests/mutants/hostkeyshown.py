"""Seeded faults of what an operator is told of the host's key, and of files that are mixed up."""

from tests.mutants.faults import Fault

MISTAKES = "tests/avm/test_host_key_mistakes.py"
SHOWN = "tests/avm/test_status_shown.py"

FAULTS = [
    Fault(
        "a root key that is taken away leaves a certificate that ends soon",
        "avm/cli/keys_root.py",
        "    kept = keys if is_good and args.life is None else",
        "    kept = keys if keys.proof is not None and args.life is None else",
        f"{MISTAKES}::test_s07_a_root_key_leaves_no_key_behind_that_ends_soon",
    ),
    Fault(
        "an ended certificate is told as one that will end",
        "avm/cli/status.py",
        '    if key["ended"]:\n',
        "    if False:\n",
        f"{SHOWN}::test_s07_what_is_to_be_done_about_a_certificate_is_told_before_and_after_its_end",
    ),
    Fault(
        "status is silent about a later key of the host",
        "avm/cli/status.py",
        '    if status["key"]["replaced"]:\n',
        "    if False:\n",
        f"{SHOWN}::test_s07_what_is_to_be_done_about_a_certificate_is_told_before_and_after_its_end",
    ),
    Fault(
        "a root key is told as damaged keys of a host",
        "avm/run/keyfile.py",
        "    if is_root(keys):\n",
        "    if False:\n",
        f"{MISTAKES}::test_the_files_of_a_certificate_are_told_apart",
    ),
]
