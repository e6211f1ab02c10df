"""A process that has imported a host, and forks for each that a test starts: most of a start is its import.

A host that is started so is a process of its own like any other: it has its own files, workers and signals,
and its end is what a kernel tells. What looks at a host's command line starts the real program instead.

Run as a program it takes a message per host over its standard input, a socket: JSON with its arguments, and
beside it the file for what it says. It answers with the process, and for that process later with its exit code.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from select import select
from typing import Any

from tests.mutants.prepared import leave
from tests.net.forking import Server, asked_by, run_command

BEFORE = ("avm.run.opening", "avm.run.runtime", "avm.run.over_udp", "avm.run.outside")
ENTRY, COMMAND = "tests.net.entry", "avm.cli.main"
ASKED_BYTES_MAX = 64 * 1024
REAP_S = 0.05


class Started:
    """A process that another has forked: the part of `Popen` that tests need."""

    def __init__(self, pid: int, watched: int, hosts: "Hosts") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._watched = watched
        self._hosts = hosts

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended_within(0)

    def wait(self, within_s: float | None = None) -> int:
        """The exit code, once it has ended."""
        code = self._ended_within(within_s)
        if code is None:
            raise subprocess.TimeoutExpired([ENTRY], within_s or 0)
        return code

    def kill(self) -> None:
        """Kills it with -9."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Sends it a signal; nothing happens when it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._watched, signal.Signals(number))

    def _ended_within(self, within_s: float | None) -> int | None:
        if self.returncode is None and select([self._watched], [], [], within_s)[0]:
            self.returncode = self._hosts.code_of(self.pid)
            os.close(self._watched)
        return self.returncode


class Hosts:
    """Starts hosts as children of one process."""

    def __init__(self) -> None:
        self._server = Server("tests.net.started")

    def start(self, arguments: Sequence[str], log: int) -> Started:
        """A new host with these arguments of `entry.py`; what it says goes to the file `log`."""
        return self._started({"start": list(arguments)}, log)

    def command(
        self, words: Sequence[str], log: int, folder: Path, environ: Mapping[str, str]
    ) -> Started:
        """The same by the command line, with its own folder and environment."""
        place = {"folder": str(folder), "environ": dict(environ)}
        return self._started({"start": list(words), **place}, log)

    def _started(self, wanted: dict[str, Any], log: int) -> Started:
        pid, (watched,) = self._server.ask(json.dumps(wanted).encode(), [log])
        return Started(int(pid), watched, self)

    def code_of(self, pid: int) -> int:
        """The exit code of one that has ended."""
        return int(self._server.ask(json.dumps({"ended": pid}).encode())[0])

    def close(self) -> None:
        """Ends the process."""
        self._server.close()


@cache
def hosts() -> Hosts:
    """The one of this process of tests."""
    made = Hosts()
    atexit.register(made.close)
    return made


def serve(asked: socket.socket) -> None:
    """Forks for each host, and tells how each ended, until nobody asks any more."""
    for name in (*BEFORE, ENTRY, COMMAND):
        import_module(name)
    gc.freeze()
    running: set[int] = set()
    codes: dict[int, int] = {}
    while True:
        if not select([asked], [], [], REAP_S)[0]:
            _reap(running, codes, os.WNOHANG)
            continue
        message, files, _, _ = socket.recv_fds(asked, ASKED_BYTES_MAX, 1)
        if not message:
            return
        wanted = json.loads(message)
        if "ended" in wanted:
            pid = wanted["ended"]
            _reap({pid} & running, codes, 0)
            running.discard(pid)
            asked.send(str(codes.pop(pid)).encode())
            continue
        child = os.fork()
        if not child:
            asked.close()
            _host(wanted, files[0])
        running.add(child)
        os.close(files[0])
        watched = os.pidfd_open(child)
        socket.send_fds(asked, [str(child).encode()], [watched])
        os.close(watched)


def _reap(running: set[int], codes: dict[int, int], how: int) -> None:
    for pid in tuple(running):
        done, status = os.waitpid(pid, how)
        if done:
            running.discard(pid)
            codes[pid] = os.waitstatus_to_exitcode(status)


def _host(wanted: dict[str, Any], log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    os.closerange(3, max(nothing, log) + 1)
    if "folder" in wanted:
        run_command(wanted["start"], wanted["folder"], wanted["environ"])
    leave(lambda: int(import_module(ENTRY).main(wanted["start"])))


if __name__ == "__main__":
    asked_by(serve)
