"""A host as a process of its own: started, killed, stopped, and weighed."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from bench.wire import BenchFailed, Operator

# What a host may say before the line that it is ready.
BEFORE = ("is reached at", "listens at", "is recorded in")


class HostProcess:
    """A running host; `start_s` is from the start of the process to its ready line."""

    def __init__(self, directory: Path, settings: Sequence[str] = ()) -> None:
        begun = perf_counter()
        self.directory = directory
        log = directory / "bench.log"
        with log.open("ab") as events:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.serve", str(directory), *settings],
                stdout=subprocess.PIPE,
                stderr=events,
                text=True,
                cwd=Path(__file__).parent.parent,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while any(word in line for word in BEFORE):
            line = self._process.stdout.readline()
        self.start_s = perf_counter() - begun
        if "is ready" not in line:
            said = line.strip() or log.read_text("utf-8", "replace").strip()[-400:]
            raise BenchFailed(f"the host did not start: {said or 'no line'}")

    def kill(self) -> None:
        """Kills it with signal 9."""
        self._process.kill()
        self._wait()

    def stop(self) -> None:
        """Stops it in order."""
        self._process.terminate()
        self._wait()

    def _wait(self) -> None:
        assert self._process.stdout is not None
        self._process.wait(60)
        self._process.stdout.close()

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def processes(self) -> list[int]:
        """The ids of the host and all its descendants."""
        found = [self._process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def processor_s(self) -> float:
        """What all its processes have used of the processors."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> dict[str, int]:
        """What all its processes hold together: `Pss` (shared pages counted once) and `Rss`."""
        sums = {"Pss": 0, "Rss": 0}
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0]) * 1024
        return sums


@contextmanager
def hosting(directory: Path, settings: Sequence[str] = ()) -> Iterator[HostProcess]:
    """A host for as long as the block runs, then stopped."""
    host = HostProcess(directory, settings)
    try:
        yield host
    finally:
        if host.running:
            host.stop()


@contextmanager
def operating(host: HostProcess) -> Iterator[Operator]:
    """An operator's connection for as long as the block runs."""
    operator = Operator(host.directory)
    try:
        yield operator
    finally:
        if host.running:
            operator.close()
