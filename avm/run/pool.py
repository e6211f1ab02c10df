"""The worker pool: worker processes, their sockets, and machines brought into them.

Step 4 of the journey, seen from the host. A worker that dies is told to the core and another takes
its place; which one gets what is the core's to decide.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from signal import SIGKILL
from socket import socket

import trio

from avm.host.core import Core
from avm.host.effects import Load, SendCode
from avm.host.recover import recovery, unrecovered
from avm.machine import frames
from avm.machine.worker import EXIT_MEMORY
from avm.run.protocol import BadFrame, Frames, framed
from avm.run.spawn import CannotFork, Prepared, PreparedLost
from avm.run.stream import Stream
from avm.store.errors import StoreDamaged
from avm.store.interface import Store

ANSWER_BYTES_MAX = 96 * 1024 * 1024
INLINE_BYTES = 1024 * 1024
PAGE_BYTES = 4096
RETRY_S = 1.0


class Worker:
    """One worker process."""

    __slots__ = ("_prepared", "behind", "frames", "number", "pid", "stream", "turns")

    def __init__(self, number: int, pid: int, stream: Stream, prepared: Prepared) -> None:
        self._prepared = prepared
        self.number = number
        self.pid = pid
        self.stream = stream
        self.frames = Frames(ANSWER_BYTES_MAX)
        self.turns = 0
        self.behind: deque[Iterator[bytes]] = deque()

    def end(self) -> int:
        """Kills it if it still runs; its exit code, negative for a signal."""
        try:
            return self._prepared.end(self.pid)
        except PreparedLost:
            return -SIGKILL

    def rss_bytes(self) -> int:
        """The memory that it holds; 0 where the system does not tell."""
        try:
            text = Path(f"/proc/{self.pid}/statm").read_text()
        except OSError:
            return 0
        return int(text.split()[1]) * PAGE_BYTES


class Pool:
    """The workers of a host."""

    def __init__(
        self,
        core: Core,
        store: Store,
        prepared: Prepared,
        prepare: Callable[[], Prepared],
        size: int,
        watch: Callable[[Stream, Callable[[bytes], None]], None],
        settle: Callable[[], None],
    ) -> None:
        """`prepare` starts another prepared process when that one has ended.

        `watch` has what a stream receives taken, `settle` what the core asks for carried out.
        """
        self._core = core
        self._store = store
        self._prepared = prepared
        self._prepare = prepare
        self._size = size
        self._watch = watch
        self._settle = settle
        self._count = 0
        self._nursery: trio.Nursery | None = None
        self.workers: dict[int, Worker] = {}
        self.restarts = 0

    def start(self, nursery: trio.Nursery) -> None:
        """Starts all workers."""
        self._nursery = nursery
        for _ in range(self._size):
            self._start_one()

    def _start_one(self) -> None:
        assert self._nursery is not None
        try:
            pid, sock = self._fork()
        except (CannotFork, PreparedLost):
            if not self._count:
                raise
            self._nursery.start_soon(self._start_later)
            return
        self._count += 1
        worker = Worker(self._count, pid, Stream(sock), self._prepared)
        self.workers[worker.number] = worker
        self._nursery.start_soon(worker.stream.write)
        self._watch(worker.stream, partial(self._take, worker))
        self._core.worker_up(worker.number)

    def _fork(self) -> tuple[int, socket]:
        try:
            return self._prepared.fork()
        except PreparedLost:
            self._prepared.close()
            self._prepared = self._prepare()
            return self._prepared.fork()

    async def _start_later(self) -> None:
        """The system may have room for another process in a while; work goes on until then."""
        await trio.sleep(RETRY_S)
        self._start_one()
        self._settle()

    def _take(self, worker: Worker, received: bytes) -> None:
        """Takes what a worker answered; one that is gone or answers nonsense is replaced."""
        try:
            answers = worker.frames.feed(received)
        except BadFrame:
            answers = []
            received = b""
        worker.turns += len(answers)
        for answer in answers:
            self._core.answer(worker.number, answer)
        if not received and worker.number in self.workers:
            self._lose(worker, "died")

    def kill(self, number: int, why: str) -> None:
        """Kills a worker, reports its death and starts another."""
        worker = self.workers.get(number)
        if worker is not None:
            self._lose(worker, why)

    def _lose(self, worker: Worker, why: str) -> None:
        del self.workers[worker.number]
        worker.stream.close()
        code = worker.end()
        self.restarts += 1
        self._core.worker_down(worker.number, "memory" if code == EXIT_MEMORY else why)
        self._start_one()

    def send(self, number: int, frame: bytes) -> None:
        """Queues a frame for a worker, behind a machine that is still being loaded."""
        worker = self.workers.get(number)
        if worker is not None and worker.behind:
            worker.behind.append(iter((frame,)))
        elif worker is not None:
            worker.stream.queue(framed(frame))

    def send_code(self, effect: SendCode) -> None:
        """Gives a worker a bundle."""
        bundle = self._store.get(("code", effect.code))
        if bundle is not None:
            self.send(effect.worker, frames.pack([frames.CODE, effect.code, bundle]))

    def load(self, effect: Load) -> None:
        """Gives a machine to a worker: at once when it is small, else beside other work."""
        worker = self.workers.get(effect.worker)
        if worker is None:
            return
        coming = self._recovery(effect)
        if worker.behind:
            worker.behind.append(coming)
            return
        size = 0
        for frame in coming:
            worker.stream.queue(framed(frame))
            size += len(frame)
            if size > INLINE_BYTES:
                worker.behind.append(coming)
                assert self._nursery is not None
                self._nursery.start_soon(self._load_rest, worker)
                return

    async def _load_rest(self, worker: Worker) -> None:
        """Writes what is left of a machine, and then what was to come behind it, in its order."""
        while worker.behind and not worker.stream.closed:
            for frame in worker.behind[0]:
                worker.stream.queue(framed(frame))
                worker.stream.flush()
                await trio.lowlevel.checkpoint()
                await worker.stream.wait_room(INLINE_BYTES)
            worker.behind.popleft()

    def _recovery(self, effect: Load) -> Iterator[bytes]:
        """What gives a machine to a worker; where the store is damaged, why it cannot be."""
        try:
            snapshot = self._store.snapshot(effect.machine)
            start = 0 if snapshot is None else snapshot[0] + 1
            bundle = self._store.get(("code", effect.code)) if effect.send_code else None
            entries = self._store.entries(effect.machine, start)
            yield from recovery(effect, bundle, snapshot, entries)
        except StoreDamaged as damage:
            yield unrecovered(effect, str(damage))

    def close(self) -> None:
        """Ends all workers."""
        self._prepared.close()

    def flush(self) -> None:
        """Writes what is queued for all workers."""
        for worker in self.workers.values():
            if worker.stream.queued:
                worker.stream.flush()


__all__ = ["Pool", "Worker"]
