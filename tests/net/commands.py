"""A process that has imported the command line, and forks for each command: most of a short one is its import.

The commands are those of users: the same function with the same words in a process of its own, with its
own directory, environment, input and output. Some tests start the real program, to see that it is so.

Run as a program it takes a message per command over its standard input, a socket: JSON, and beside it the
files that the command has as its input, output and errors; it answers with the exit code.
"""

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.mutants.prepared import ended
from tests.net.forking import ROOT, Server, asked_by, run_command

ASKED_BYTES_MAX = 256 * 1024
NOT_ENDED = "none"


class Commands:
    """Runs commands in children of one process."""

    def __init__(self) -> None:
        self._server = Server("tests.net.commands")

    def run(
        self,
        words: Sequence[str],
        given: bytes,
        folder: Path,
        environ: Mapping[str, str],
        within_s: float,
        *,
        mixed: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """The exit code of a command, what it printed, and what it said of errors, which may be `mixed`."""
        asked = {"words": words, "folder": str(folder), "environ": dict(environ), "for": within_s}
        with TemporaryFile() as taken, TemporaryFile() as out, TemporaryFile() as err:
            taken.write(given)
            taken.seek(0)
            place = (taken, out, out if mixed else err)
            files = [one.fileno() for one in place]
            code = self._server.ask(json.dumps(asked).encode(), files)[0].decode()
            if code == NOT_ENDED:
                raise subprocess.TimeoutExpired(list(words), within_s)
            out.seek(0)
            err.seek(0)
            return int(code), out.read(), err.read()

    def close(self) -> None:
        """Ends the process."""
        self._server.close()


@cache
def commands() -> Commands:
    """The one of this process of tests."""
    made = Commands()
    atexit.register(made.close)
    return made


def serve(asked: socket.socket) -> None:
    """Forks for each command, until there are no more."""
    for module in pkgutil.iter_modules([str(ROOT / "avm" / "cli")]):
        import_module(f"avm.cli.{module.name}")
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(asked, ASKED_BYTES_MAX, 3)
        if not message:
            return
        asked.send(_run(json.loads(message), files).encode())


def _run(wanted: dict[str, Any], files: list[int]) -> str:
    child = os.fork()
    if not child:
        _command(wanted, files)
    for file in files:
        os.close(file)
    code = ended(child, wanted["for"], lambda: os.kill(child, signal.SIGKILL))
    return NOT_ENDED if code is None else str(code)


def _command(wanted: dict[str, Any], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    run_command(wanted["words"], wanted["folder"], wanted["environ"])


if __name__ == "__main__":
    asked_by(serve)
