"""The process that runs spans of journals again, beside a host and behind all its work. Shell.

Beside the journey. It reads the host's store, forks its own workers under hash seeds that the
host's do not have, and answers one packet for each that it is given, until the host is gone:

    machine, start, stop  ->  verdict, turns, why
"""

import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from avm.errors import AvmError
from avm.host import journal
from avm.host.chain import Link
from avm.host.doubt import NONDETERMINISTIC, Found, Verdict
from avm.host.state import Machine
from avm.limits import Limits
from avm.machine import frames
from avm.machine.prepared import die_with_parent
from avm.machine.undumped import limit
from avm.past.again import Again
from avm.past.difference import Difference
from avm.past.reading import Reader
from avm.run.spawn import CannotFork, Prepared, PreparedLost
from avm.run.worker import Forked, Worker
from avm.store.sqlite import SqliteStore

LESS_URGENT = 10
PACKET_BYTES_MAX = 8 * 1024
WHY_CHARS_MAX = 1_000
FIRST_SEED = 7
SPANS_A_SEED = 8


def hash_seeds(spans: int) -> tuple[int, int]:
    """Those of the two runs of a span, after so many; the workers of a host have 0."""
    seed = FIRST_SEED + 2 * (spans // SPANS_A_SEED)
    return seed, seed + 1


@dataclass(slots=True)
class Rerunner:
    """Runs spans again; each few spans under other hash seeds, of which two may agree by chance."""

    reader: Reader
    limits: Limits
    spans: int = 0
    prepared: list[Prepared] = field(default_factory=list)

    def take(self, number: int, start: int, stop: int) -> Found:
        """The verdict on one span."""
        if self.spans % SPANS_A_SEED == 0:
            self._prepare(*hash_seeds(self.spans))
        self.spans += 1
        machine = self.reader.machine_now(number)
        if machine is None:
            return Found(Verdict.NONE, 0, "the machine is gone")
        again = Again(self.reader, machine, self._worker)
        try:
            found = again.run(start, stop)
        except AvmError as error:
            if isinstance(error, PreparedLost | CannotFork):
                self.spans += -self.spans % SPANS_A_SEED
            return Found(Verdict.NONE, again.turns, str(error)[:WHY_CHARS_MAX])
        if found is None:
            return Found(Verdict.AGREED, again.turns)
        why = str(found)[:WHY_CHARS_MAX]
        if _resumed_since(self.reader, machine, found):
            return Found(Verdict.NONE, again.turns, f"resumed though {why}")
        return Found(Verdict.DIFFERENT, again.turns, why)

    def _prepare(self, *seeds: int) -> None:
        self.close()
        self.prepared = [Prepared.start(one, self.limits, quiet=True) for one in seeds]

    @contextmanager
    def _worker(self, which: int) -> Iterator[Worker]:
        prepared = self.prepared[which]
        pid, sock = prepared.fork()
        try:
            with sock:
                sock.settimeout(self.limits.rerun_s)
                yield Forked(sock)
        finally:
            prepared.end(pid)

    def close(self) -> None:
        """Ends the workers and what they are forked from."""
        for prepared in self.prepared:
            prepared.close()


def _resumed_since(reader: Reader, machine: Machine, found: Difference) -> bool:
    """Whether the machine was suspended for such a thing after the turn, and is resumed now."""
    entries = (
        link.entry for link in reader.walk(machine, found.turn + 1) if isinstance(link, Link)
    )
    suspensions = (entry["why"] for entry in entries if entry.form == journal.SUSPEND)
    return any(why.startswith(NONDETERMINISTIC) for why in suspensions)


def serve(sock: socket.socket, rerunner: Rerunner) -> None:
    """Answers until the host is gone."""
    while request := sock.recv(PACKET_BYTES_MAX):
        found = rerunner.take(*frames.unpack(request))
        sock.send(frames.pack([found.verdict.value, found.turns, found.why]))


def main() -> None:
    """`python -m avm.past.rerunner FD STORE LIMITS`, the limits as a JSON object."""
    fd, store, limits = int(sys.argv[1]), sys.argv[2], Limits(**json.loads(sys.argv[3]))
    os.nice(LESS_URGENT)
    die_with_parent()
    with open("/proc/self/statm") as sizes:
        mapped = int(sizes.read().split()[0]) * resource.getpagesize()
    limit(resource.RLIMIT_AS, mapped + 2 * limits.worker_bytes)
    with socket.socket(fileno=fd) as sock, Reader(SqliteStore.open_readonly(store)) as reader:
        rerunner = Rerunner(reader, limits)
        try:
            serve(sock, rerunner)
        finally:
            rerunner.close()


if __name__ == "__main__":
    main()
