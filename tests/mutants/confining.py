"""The seeded faults of what confines a worker."""

from tests.mutants.faults import Fault

CONFINED = "tests/avm/test_confined.py"
HOST = "tests/net/test_breaking_out.py"
NO_FILE = f"{CONFINED}::test_x01_a_step_that_breaks_out_of_python_reads_and_writes_no_file"
NOBODY = f"{CONFINED}::test_x01_a_step_that_breaks_out_of_python_reaches_nobody"

FAULTS = [
    Fault(
        "a worker opens any file",
        "avm/machine/prepared.py",
        "    confine_files(files)\n",
        "",
        f"{HOST}::test_x01_a_step_that_breaks_out_of_python_finds_no_key_and_no_way_out",
    ),
    Fault(
        "a worker makes any call",
        "avm/machine/prepared.py",
        "    confine_calls()\n",
        "",
        NOBODY,
    ),
    Fault(
        "what the prepared process has open stays open in a worker",
        "avm/machine/prepared.py",
        "    os.closerange(WORKER_FD + 1, most)\n",
        "    os.closerange(WORKER_FD + 1, WORKER_FILES_MAX)\n",
        "tests/avm/test_worker.py::test_x01_a_worker_has_nothing_but_its_socket_and_tight_limits",
    ),
    Fault(
        "a worker says what it likes to the host's terminal",
        "avm/machine/prepared.py",
        "        os.dup2(words, STDERR_FD)\n",
        "",
        "tests/avm/test_worker.py::test_x01_of_what_a_worker_says_a_little_is_told_at_its_end_and_moves_no_cursor",
    ),
    Fault(
        "a worker's last words are told as they are",
        "avm/machine/prepared.py",
        "    return letter if letter.isprintable() else",
        "    return letter if letter else",
        "tests/avm/test_worker.py::test_x01_of_what_a_worker_says_a_little_is_told_at_its_end_and_moves_no_cursor",
    ),
    Fault(
        "calls with the numbers of 32 bits are not told from others",
        "avm/machine/calls.py",
        "    yield EQUAL, 1, 0, AUDIT_ARCH_X86_64\n",
        "    yield EQUAL, 1, 1, AUDIT_ARCH_X86_64\n",
        f"{CONFINED}::test_x01_calls_of_another_kind_end_the_worker",
    ),
    Fault(
        "a worker makes sockets",
        "avm/machine/calls.py",
        'SPEAKING = {"recvfrom": 45,',
        'SPEAKING = {"socketpair": 53, "recvfrom": 45,',
        f"{CONFINED}::test_x01_a_step_that_breaks_out_of_python_reaches_nobody[a pair of sockets]",
    ),
    Fault(
        "a directory of a file is read with it",
        "avm/machine/confined.py",
        "        paths.update(map(os.path.realpath, places))\n",
        "        paths.update(os.path.dirname(os.path.realpath(one)) for one in places)\n",
        f"{CONFINED}::test_no_file_of_a_user_is_among_the_libraries",
    ),
    Fault(
        "what the system cannot keep workers from is not told",
        "avm/cli/status.py",
        '    _show_confined(status.get("confined") or {})\n',
        "",
        "tests/avm/test_status_shown.py::test_x01_what_the_system_does_not_keep_workers_from_is_told",
    ),
]
