"""The host's end of the prepared process: starts it, has it fork workers and end them.

Before step 4 of the journey. Everything here blocks, a fork about a millisecond.
"""

import json
import os
import site
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass

import avm
from avm.errors import AvmError
from avm.limits import Limits
from avm.machine.requests import ANSWER, END, FORK, REQUEST

PROGRAM = ("-m", "avm.machine.prepared")
# Of a host's workers; of those that take its turns again, in which what hangs on it must show; and the
# two under which code is tried before it is a machine's.
HASH_SEED, OTHER_HASH_SEED = 0, 7
PROBED_HASH_SEEDS = (HASH_SEED, 4242)
INHERITED = ("LD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT")
ANSWER_S_MAX = 30.0
CLOSE_S_MAX = 5.0


class PreparedLost(AvmError):
    """The process that makes workers has ended or does not answer: start another."""


class CannotFork(AvmError):
    """No worker could be made: the system is out of processes or memory."""


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared process; not to be used by two threads at once."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    @classmethod
    def start(
        cls,
        hash_seed: int,
        limits: Limits,
        program: tuple[str, ...] = PROGRAM,
        quiet: bool = False,
    ) -> "Prepared":
        """Starts the process and does not wait for it; its workers have this hash seed.

        It ends with the thread that calls this: call it from the main one. Where it is quiet,
        nobody sees what it says of its own end.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_S_MAX)
        fd = theirs.fileno()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-s", *program, str(fd), json.dumps(asdict(limits))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if quiet else None,
                pass_fds=(fd,),
                env=environment(hash_seed),
                cwd="/",
                process_group=0,
            )
        return cls(process, ours)

    def fork(self) -> tuple[int, socket.socket]:
        """Makes a worker: its process id and the host's end of its stream socket, blocking."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                error, pid = self._ask(FORK, 0, theirs.fileno())
            if error:
                raise CannotFork(os.strerror(error))
        except AvmError:
            ours.close()
            raise
        return pid, ours

    def end(self, pid: int) -> int:
        """Kills a worker if it still runs; returns its exit code, negative for a signal.

        A worker whose end was not asked for yet keeps its exit code here for a while.
        """
        error, code = self._ask(END, pid)
        if error:
            raise ValueError(f"no worker {pid}")
        return code

    def close(self) -> None:
        """Ends the process and all its workers."""
        self.control.close()
        try:
            self.process.wait(CLOSE_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, kind: int, pid: int, *fds: int) -> tuple[int, int]:
        try:
            socket.send_fds(self.control, [REQUEST.pack(kind, pid)], fds)
            answer = self.control.recv(ANSWER.size)
        except OSError as error:
            raise PreparedLost(f"{PreparedLost.__doc__} ({error})") from None
        if len(answer) != ANSWER.size:
            raise PreparedLost(PreparedLost.__doc__)
        first, second = ANSWER.unpack(answer)
        return first, second


def environment(hash_seed: int) -> dict[str, str]:
    """Little: the hash seed, one time zone, one encoding, and where this package was found."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    kept |= {"PYTHONHASHSEED": str(hash_seed), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    home = os.path.dirname(os.path.dirname(os.path.abspath(avm.__file__)))
    if home not in site.getsitepackages():
        paths.insert(0, home)
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))
    return kept
