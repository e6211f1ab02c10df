"""A process that has imported what all tests need of other people's, and forks for each run of tests.

Starting pytest takes longer than most of the tests that catch a fault. Nothing of ours is imported here:
a child finds all of it in the copy of the tree that it is told of.

Run as a program it reads a line of JSON per run, `{"tree", "tests", "timeout_s"}`, and answers with one.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from select import select
from typing import IO, Any, NoReturn

BEFORE = (
    "_pytest.assertion.rewrite",
    "aioquic.quic.connection",
    "apsw",
    "cryptography.x509",
    "hypothesis.strategies",
    "kademlia.routing",
    "nacl.signing",
    "pytest_trio.plugin",
)
# The exit code of what ended by an exception.
BROKEN = 70
OPTIONS = (
    "-q",
    "-x",
    *("-p", "no:cacheprovider"),
    *("-p", "no:xdist"),
    # What is imported before pytest begins is imported as it is.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    "--hypothesis-profile=mutants",
)


class Prepared:
    """Runs tests in trees, each in a child of one process."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-I", __file__]
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def run(self, tree: Path, tests: tuple[str, ...], timeout_s: float) -> tuple[int | None, str]:
        """The exit code of pytest, None when it did not end in time, and what it printed."""
        assert self._server.stdin and self._server.stdout
        wanted = {"tree": str(tree), "tests": tests, "timeout_s": timeout_s}
        self._server.stdin.write(json.dumps(wanted) + "\n")
        self._server.stdin.flush()
        code, output = json.loads(self._server.stdout.readline())
        return code, output

    def close(self) -> None:
        """Ends the process."""
        self._server.communicate()


def serve(asked: IO[str], answers: IO[str]) -> None:
    """Forks for each line, until there are no more."""
    for name in BEFORE:
        import_module(name)
    for line in asked:
        with tempfile.TemporaryFile() as output:
            code = _run(json.loads(line), output.fileno())
            output.seek(0)
            answer = [code, output.read().decode(errors="replace")]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(wanted: dict[str, Any], output: int) -> int | None:
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _test(wanted)
    # The hosts of its tests go with it.
    return ended(child, wanted["timeout_s"], lambda: os.killpg(child, signal.SIGKILL))


def ended(child: int, within_s: float, end: Callable[[], None]) -> int | None:
    """The exit code of a child, None where it takes longer; `end` ends what is left of it in any case."""
    watched = os.pidfd_open(child)
    readable, _, _ = select([watched], [], [], within_s)
    os.close(watched)
    with suppress(ProcessLookupError):
        end()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if readable else None


def _test(wanted: dict[str, Any]) -> None:
    os.chdir(wanted["tree"])
    os.environ["PYTHONPATH"] = wanted["tree"]
    sys.path.insert(0, wanted["tree"])
    leave(lambda: int(import_module("pytest").main([*OPTIONS, *wanted["tests"]])))


def leave(does: Callable[[], int]) -> NoReturn:
    """Ends this process, which was forked, with the exit code of what it does."""
    code = BROKEN
    try:
        code = does()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
