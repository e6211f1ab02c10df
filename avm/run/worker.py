"""A worker process of one's own, for re-execution: frames in, answers out, no host. Shell.

Beside the journey. It is forked as a host's workers are, under whatever hash seed is asked for.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from avm.errors import AvmError
from avm.limits import Limits
from avm.machine.worker import FRAME_BYTES_MAX, LENGTH, Incoming, Interior
from avm.run.spawn import PROGRAM, Prepared


class WorkerLost(AvmError):
    """The worker ended or gave no answer in time; the text says which."""


class Worker(Protocol):
    """What takes frames and gives their answers."""

    def exchange(self, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends the frames, and gives so many answers as they come; raises WorkerLost."""
        ...


class Timed(Worker, Protocol):
    """A worker that is given a time for each answer."""

    def within(self, timeout_s: float | None) -> None:
        """From here on each answer has to come within so many seconds; None waits for ever."""
        ...


@dataclass(slots=True)
class InProcess:
    """The inside of a worker in this process, for code that is trusted; `told` is what it tells at once."""

    inside: Interior
    told: list[bytes] = field(default_factory=list)

    def within(self, timeout_s: float | None) -> None:
        """Nothing: nobody could stop it."""

    def exchange(self, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends the frames, and gives their answers."""
        for frame in frames:
            came = list(self.inside.receive(frame))
            told, self.told[:] = list(self.told), []
            yield from (*told, *came)


class Forked:
    """A worker process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming = Incoming(sock, FRAME_BYTES_MAX)
        self._read: list[bytes] = []

    def within(self, timeout_s: float | None) -> None:
        """From here on each answer has to come within so many seconds; None waits for ever."""
        self._sock.settimeout(timeout_s)

    def exchange(self, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends the frames, and gives their answers as they come; raises WorkerLost.

        All but a single frame must fit the socket's buffer, else both ends could wait.
        """
        try:
            self._sock.sendall(b"".join(LENGTH.pack(len(frame)) + frame for frame in frames))
            for _ in range(answers):
                while not self._read:
                    self._read = self._incoming.read()[::-1]
                    if not self._read:
                        raise WorkerLost("the worker ended: out of memory, or killed")
                yield self._read.pop()
        except TimeoutError:
            raise WorkerLost("the worker gave no answer in time") from None
        except OSError as error:
            raise WorkerLost(f"the worker ended: {error.strerror}") from None


@contextmanager
def forked(
    hash_seed: int,
    limits: Limits,
    timeout_s: float | None = None,
    program: tuple[str, ...] = PROGRAM,
) -> Iterator[Forked]:
    """A worker process under a hash seed, ended with the block."""
    prepared = Prepared.start(hash_seed, limits, program, quiet=True)
    try:
        _pid, sock = prepared.fork()
        with sock:
            sock.settimeout(timeout_s)
            yield Forked(sock)
    finally:
        prepared.close()


__all__ = ["Forked", "InProcess", "Timed", "Worker", "WorkerLost", "forked"]
