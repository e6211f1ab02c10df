"""Host processes for the tests: started in a directory of their own, killed, started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from avm.machine.bundle import collect
from avm.plugin.session import Client
from avm.run.directory import Directory
from caps.capability import parse_text
from tests.net.started import Started, hosts

ROOT = Path(__file__).resolve().parent.parent.parent
ENTRY = Path(__file__).resolve().parent / "entry.py"
MACHINES = Path(__file__).resolve().parent / "machines"
PATIENCE_S = 60.0
POLL_S = 0.005


class NotReached(AssertionError):
    """What was waited for did not come about in time."""


def wait_until(condition: Callable[[], Any], what: str = "", within_s: float = PATIENCE_S) -> Any:
    """Polls until a condition holds, and returns what it gave."""
    end = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise NotReached(what or "the condition does not hold in time")
        time.sleep(POLL_S)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(one) for task in tasks for one in (task / "children").read_text().split()]
    return []


def prepared_of(pid: int) -> list[int]:
    """The process from which a host forks its workers; not the one that runs spans again."""
    found: list[int] = []
    for one in children_of(pid):
        with suppress(OSError):
            if b"avm.machine.prepared" in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(one)
    return found


class RunningHost:
    """A host's directory and the process that runs on it now, if one does."""

    def __init__(self, path: Path, settings: Iterable[str] = ()) -> None:
        self.directory = Directory(path / "host")
        self.settings = list(settings)
        self.faults: list[str] = []
        self.within: list[str] = []
        self.log = path / "host.log"
        self.starts = 0
        self.clients: list[Client] = []
        self._process: Started | subprocess.Popen[bytes] | None = None

    def start(self, point: str = "", at: int = 1) -> None:
        """Starts a process and waits until it answers or has ended."""
        arguments = [*(f"--set={one}" for one in self.settings), *self.faults]
        if point:
            arguments += ["--point", point, "--at", str(at)]
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = self._started([str(self.directory.path), *arguments], log)
        wait_until(lambda: self.reachable() or self.ended, "the host does not come up")

    def _started(self, arguments: list[str], log: IO[bytes]) -> Started | subprocess.Popen[bytes]:
        if not self.within:
            return hosts().start(arguments, log.fileno())
        return subprocess.Popen(
            [*self.within, sys.executable, str(ENTRY), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def reachable(self) -> bool:
        """Whether somebody listens at the control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one, suppress(OSError):
            with self.directory.reachable_socket() as path:
                one.connect(path)
            return True
        return False

    @property
    def pid(self) -> int:
        """The host process."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether there is no process any more."""
        return self._process is None or self._process.poll() is not None

    def workers(self) -> list[int]:
        """The worker processes: children of the host's prepared process."""
        return [one for prepared in prepared_of(self.pid) for one in children_of(prepared)]

    def kill(self) -> None:
        """Kills the host with -9, its workers with it, and waits for their end."""
        if self._process is None:
            return
        workers = [] if self.ended else self.workers()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(PATIENCE_S)
        wait_until(lambda: not any(map(_runs, workers)), "workers outlive their host")

    def kill_worker(self, pid: int) -> None:
        """Kills a worker with -9, if it is still there."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """Stops the host as a service manager does; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def exit_code(self) -> int:
        """Waits for the end of the process; negative for a signal."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def said(self) -> str:
        """All that its processes have printed."""
        return self.log.read_text("utf-8", "replace")

    def client(self, key: str = "", **how: Any) -> Client:
        """A new client, connected."""
        client = self.unconnected_client(key or os.urandom(8).hex(), **how)
        client.connect()
        return client

    def unconnected_client(self, key: str, **how: Any) -> Client:
        """A new client that has not met the host yet."""
        client = Client(self.directory, key, **how)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Kills what runs, and closes the clients."""
        self.kill()
        for client in self.clients:
            client.close()

    def operator(self) -> bytes:
        """The operator's capability."""
        return parse_text(self.directory.operator()).wire()

    def create(self, client: Client, file: str, name: str = "", content: object = None) -> Any:
        """Creates a machine from a file of `machines`; what `init` answered."""
        path = MACHINES / file
        bundle = collect(
            str(path), lambda one: Path(one).read_bytes() if Path(one).is_file() else None
        )
        body, wires = client.encode(content)
        given = {"bundle": bundle.encode(), "content": body, "caps": wires}
        created = client.operate("create", name=name or path.stem, **given)
        return client.decode(created["content"], created["caps"])


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
