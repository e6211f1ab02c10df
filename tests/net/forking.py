"""What starts processes of tests by forking: a program with its imports done, asked over a socket."""

import array
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from tests.mutants.prepared import leave

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER_BYTES_MAX = 100
SAID_BYTES_MAX = 20_000


class ServerEnded(Exception):
    """A program that forks has ended before it was told to."""


class Server:
    """A program that forks, run as a module, and this end of the socket that is its standard input.

    One that ended takes the test that finds it so with it, and is begun anew for the next.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._begin()

    def _begin(self) -> None:
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", self._module]
        self._said = os.memfd_create(self._module)
        with there:
            self._process = subprocess.Popen(
                program, stdin=there.fileno(), stderr=self._said, cwd=ROOT, env=environ
            )

    def ask(self, message: bytes, files: Sequence[int] = ()) -> tuple[bytes, list[int]]:
        """Its answer to a message, and a file that may come with it; raises ServerEnded."""
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        try:
            self._here.sendmsg([message], beside)
            answer, given, _, _ = socket.recv_fds(self._here, ANSWER_BYTES_MAX, 1)
        except ConnectionError:
            answer, given = b"", []
        if not answer:
            raise ServerEnded(self._last_words())
        return answer, given

    def _last_words(self) -> str:
        self.close()
        said = os.pread(self._said, SAID_BYTES_MAX, 0).decode(errors="replace")
        os.close(self._said)
        code = self._process.returncode
        self._begin()
        return f"{self._module} ended with {code}: {said}"

    def close(self) -> None:
        """Ends it."""
        self._here.close()
        self._process.wait()


def asked_by(serve: Callable[[socket.socket], None]) -> None:
    """Serves whoever holds the other end of the standard input."""
    with socket.socket(fileno=os.dup(0)) as inner:
        serve(inner)


def run_command(words: Sequence[str], folder: str, environ: Mapping[str, str]) -> NoReturn:
    """Becomes the command of a user, with its own folder and environment, and ends with it."""

    def does() -> int:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = ["avm-host", *words]
        return int(import_module("avm.cli.main").main())

    leave(does)
