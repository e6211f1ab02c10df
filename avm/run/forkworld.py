"""A fork, run: the host's own core over the fork's store, with time that stands still. Shell.

All of the journey, for `call --fork`: the core, the store and the workers are a host's, only that
there is no network, no other client, and no clock. Time passes where the one who asks waits, from one thing that
falls due to the next.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from avm.limits import Limits
from avm.machine import frames
from avm.machine.worker import Interior, Tell
from avm.run.directory import Directory
from avm.run.reading import Reader
from avm.run.rerun import PYTHON
from avm.run.spawn import Prepared
from avm.run.worker import Forked, WorkerLost
from avm.sim.world import START_MS, Dies, Ground, World
from avm.store.memory import MemoryStore
from avm.store.sqlite import SqliteStore
from avm.version import VERSION

HASH_SEED = 0
WORKERS = 1
TIMED = (frames.TURN, frames.ALONE, frames.MIGRATE)


class Remote:
    """The inside of a worker process, as a world drives it."""

    def __init__(self, prepared: Prepared, limits: Limits, stack: ExitStack, tell: Tell) -> None:
        _pid, sock = prepared.fork()
        stack.enter_context(sock)
        self._worker = Forked(sock)
        self._limits = limits
        self._tell = tell

    def receive(self, frame: bytes) -> list[bytes]:
        """Takes one frame; a worker that ends, or is not done in time, is a dead one."""
        kind = frames.unpack(frame)[0]
        self._worker.within(self._limits.turn_s if kind in TIMED else None)
        try:
            if kind == frames.ALONE:
                return self._alone(frame)
            return list(self._worker.exchange([frame], int(kind in frames.SHAPES)))
        except WorkerLost:
            raise Dies from None

    def _alone(self, frame: bytes) -> list[bytes]:
        """A turn that ended a worker before; it tells of each message that it comes to."""
        pending = [frame]
        while True:
            (answer,) = self._worker.exchange(pending, 1)
            if frames.unpack_untrusted(answer)[0] != frames.COME:
                return [answer]
            self._tell(answer)
            pending = []


@contextmanager
def opened(fork: Directory, limits: Limits) -> Iterator[World]:
    """The world of a fork, nobody else's within the block; DirectoryInUse, StoreDamaged."""
    with ExitStack() as stack:
        stack.callback(fork.lock().close)
        store = SqliteStore.create_or_open(fork.store)
        stack.callback(store.close)
        prepared = Prepared.start(HASH_SEED, limits, quiet=True)
        stack.callback(prepared.close)

        def inside(tell: Tell) -> Interior:
            return Remote(prepared, limits, stack, tell)

        # A world only commits to its store and reads it; the copies are for crashes, of which there are none.
        kept = cast(MemoryStore, store)
        now_ms = max((one.now_ms for one in Reader(store).machines()), default=START_MS)
        ground = Ground(kept, fork.read_keyring, now_ms, PYTHON, VERSION, inside)
        seed = int.from_bytes(os.urandom(8), "big")
        yield World(seed, limits=limits, workers=WORKERS, ground=ground)


__all__ = ["opened"]
