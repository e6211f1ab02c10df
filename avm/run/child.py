"""A host as a child process: started, waited for, killed and stopped. Shell.

Around the journey, for `dev`: the host is the same program that `avm-host run` is.
"""

import subprocess
import sys
from pathlib import Path
from select import select
from time import monotonic

from avm.errors import AvmError
from avm.run.directory import Directory

READY_S_MAX = 30.0
STOP_S_MAX = 35.0
SAID_BYTES_MAX = 4096


class CannotStart(AvmError):
    """The host did not start."""


class HostProcess:
    """A host in a directory; what it says stands in a file there."""

    def __init__(self, directory: Directory, process: subprocess.Popen[bytes]) -> None:
        self._directory = directory
        self._process = process

    @classmethod
    def start(cls, directory: Directory) -> "HostProcess":
        """Starts a host and waits until it is ready; raises CannotStart with its own words."""
        said = directory.path / "dev.log"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "avm.cli.main", "--dir", str(directory.path), "run"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )
        host = cls(directory, process)
        if not host._is_ready():
            host.kill()
            raise CannotStart(_last_line(said) or "the host was not ready in time")
        return host

    def _is_ready(self) -> bool:
        out = self._process.stdout
        assert out is not None
        until = monotonic() + READY_S_MAX
        readable, _, _ = select([out], [], [], max(0.0, until - monotonic()))
        return bool(readable and out.readline())

    def has_ended_within(self, wait_s: float) -> bool:
        """Whether it has ended, waiting for that at most so long."""
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a power cut would (-9)."""
        self._process.kill()
        self._close()

    def stop(self) -> None:
        """Has it finish its turns and end."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def _close(self) -> None:
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _last_line(file: Path) -> str:
    lines = file.read_bytes()[-SAID_BYTES_MAX:].decode("utf-8", "replace").splitlines()
    told = [line for line in lines if line.strip()]
    return told[-1].removeprefix("avm-host: ") if told else ""
