"""What starts processes of tests by forking: a program with its imports done, asked over a socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tests.mutants.prepared import leave

ROOT = Path(__file__).resolve().parent.parent.parent


class Server:
    """A program that forks, run as a module, and this end of the socket that is its standard input."""

    def __init__(self, module: str) -> None:
        self.here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        with there:
            program = [sys.executable, "-m", module]
            self._process = subprocess.Popen(program, stdin=there.fileno(), cwd=ROOT, env=environ)

    def close(self) -> None:
        """Ends it."""
        self.here.close()
        self._process.wait()


def asked_by(serve: Callable[[socket.socket], None]) -> None:
    """Serves whoever holds the other end of the standard input."""
    with socket.socket(fileno=os.dup(0)) as inner:
        serve(inner)


def run_command(words: Sequence[str], folder: str, environ: Mapping[str, str]) -> None:
    """Becomes the command of a user, with its own folder and environment, and ends with it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["avm-host", *words]
    leave(lambda: int(import_module("avm.cli.main").main()))
