"""The worker processes of a rerun: forked as a host's are, with nobody behind them. Shell."""

from collections.abc import Iterator, Sequence
from socket import socket

from avm.limits import Limits
from avm.recording.crew import Lost
from avm.run.spawn import HASH_SEED, CannotFork, Prepared, PreparedLost
from avm.run.worker import Forked, WorkerLost


class Forks:
    """Worker processes, each under its number; start it before sockets are blocked."""

    def __init__(self, limits: Limits, timeout_s: float) -> None:
        self._prepared = Prepared.start(HASH_SEED, limits, quiet=True)
        self._timeout_s = timeout_s
        self._workers: dict[int, tuple[int, socket, Forked]] = {}

    def begin(self, number: int) -> None:
        """Starts one under this number; one that is there under it ends."""
        self.end(number)
        try:
            pid, sock = self._prepared.fork()
        except (CannotFork, PreparedLost) as error:
            raise Lost(str(error)) from None
        sock.settimeout(self._timeout_s)
        self._workers[number] = (pid, sock, Forked(sock))

    def end(self, number: int) -> None:
        """Ends one, if it is there."""
        found = self._workers.pop(number, None)
        if found is not None:
            found[1].close()
            self._prepared.end(found[0])

    def exchange(self, number: int, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends frames, and gives so many answers; raises `Lost`."""
        if number not in self._workers:
            raise Lost("the worker has ended")
        try:
            yield from self._workers[number][2].exchange(frames, answers)
        except WorkerLost as lost:
            raise Lost(str(lost)) from None

    def close(self) -> None:
        """Ends all."""
        for number in list(self._workers):
            self.end(number)
        self._prepared.close()
