"""Has spans of journals run again, one at a time, by a process that yields to all others. Shell.

Beside the journey. Which span and what follows is the core's; here the process is started when it
is first needed, given a span, waited for, and ended when it takes too long. Its end is no verdict.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from avm.host.core import Core
from avm.host.doubt import Found, Verdict, concluded, next_span, run_again
from avm.host.spans import Span
from avm.limits import Limits
from avm.machine import frames
from avm.run.spawn import environment

PROGRAM = ("-m", "avm.past.rerunner")
POLL_S = 0.5
# After a span it waits so many times as long as that took: a tenth of a core at most.
PAUSES = 9
PAUSE_S_MIN = 0.05
UNUSED_S_MAX = 60.0
PACKET_BYTES_MAX = 8 * 1024
CLOSE_S_MAX = 5.0
Note = Callable[..., None]


class Rerunner:
    """The process, from the host's side."""

    def __init__(self, store: Path, limits: Limits) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        fd = theirs.fileno()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", *PROGRAM, str(fd), str(store), _json(limits)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(fd,),
                env=environment(0),
                cwd="/",
                process_group=0,
            )
        self._sock = ours
        self.pid = self._process.pid

    async def take(self, span: Span) -> Found | None:
        """The verdict on a span; None when the process has ended."""
        with suppress(OSError):
            self._sock.send(frames.pack([span.machine, span.start, span.stop]))
            await trio.lowlevel.wait_readable(self._sock)
            answer = self._sock.recv(PACKET_BYTES_MAX)
            if answer:
                verdict, turns, why = frames.unpack(answer)
                return Found(Verdict(verdict), turns, why)
        return None

    def end(self) -> None:
        """Ends it, and with it all that it started."""
        self._sock.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_S_MAX)


class Reruns:
    """What runs again of a host."""

    def __init__(
        self, core: Core, store: Path, limits: Limits, settle: Callable[[], None], note: Note
    ) -> None:
        """`settle` has what the core asks for carried out, `note` tells the host's log."""
        self._core = core
        self._store = store.absolute()
        self._limits = limits
        self._settle = settle
        self._note = note
        self._rerunner: Rerunner | None = None
        core.do(run_again, limits.rerun_share)

    async def run(self) -> None:
        """Has one span after another run again, until cancelled."""
        last = trio.current_time()
        while self._limits.rerun_share:
            span = self._core.do(next_span)
            if span is None:
                if trio.current_time() - last > UNUSED_S_MAX:
                    self.close()
                await trio.sleep(POLL_S)
                continue
            began = trio.current_time()
            found = await self._take(span)
            machine = self._core.do(concluded, span, found)
            if machine is not None:
                self._note("machine.nondeterministic", machine=machine.name, why=found.why)
            self._core.pump()
            self._settle()
            last = trio.current_time()
            await trio.sleep(max(PAUSE_S_MIN, PAUSES * (last - began)))

    async def _take(self, span: Span) -> Found:
        if self._rerunner is None:
            try:
                self._rerunner = Rerunner(self._store, self._limits)
            except OSError as error:
                return Found(Verdict.NONE, 0, f"no process could be made: {error.strerror}")
        found = None
        with trio.move_on_after(self._limits.rerun_s):
            found = await self._rerunner.take(span)
        if found is None:
            self.close()
            return Found(Verdict.NONE, 0, "the process ended, or was over time")
        return found

    def close(self) -> None:
        """Ends the process."""
        rerunner, self._rerunner = self._rerunner, None
        if rerunner is not None:
            rerunner.end()

    def status(self) -> dict[str, Any]:
        """What was run again, for `status`."""
        host = self._core.host
        return {
            "pid": None if self._rerunner is None else self._rerunner.pid,
            "spans": host.counts["rerun_spans"],
            "turns": host.counts["rerun_turns"],
            "without_verdict": host.counts["rerun_without_verdict"],
            "passed_over": host.spans.passed_over,
            "nondeterministic": host.counts["nondeterministic"],
        }


def _json(limits: Limits) -> str:
    return json.dumps(asdict(limits))


__all__ = ["Reruns"]
