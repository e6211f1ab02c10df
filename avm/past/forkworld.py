"""A fork, run: the host's own core over the fork's store, with a worker process. Shell.

All of the journey, for `call --fork`; what there is no part of stands in `solo`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from avm.limits import Limits
from avm.machine import frames
from avm.machine.worker import Interior, Tell
from avm.past.reading import Reader
from avm.past.rerun import PYTHON
from avm.past.solo import Gone, Solo
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED, Prepared
from avm.run.worker import Forked, WorkerLost
from avm.store.sqlite import SqliteStore
from avm.version import VERSION

TIMED = (frames.TURN, frames.ALONE, frames.MIGRATE)


class Remote:
    """The inside of a worker process, one frame at a time."""

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
        except WorkerLost as lost:
            raise Gone(str(lost)) from None

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
def opened(fork: Directory, limits: Limits) -> Iterator[Solo]:
    """A fork that can be asked, nobody else's within the block; DirectoryInUse, StoreDamaged."""
    with ExitStack() as stack:
        stack.callback(fork.lock().close)
        store = SqliteStore.create_or_open(fork.store)
        stack.callback(store.close)
        prepared = Prepared.start(HASH_SEED, limits, quiet=True)
        stack.callback(prepared.close)

        def inside(tell: Tell) -> Interior:
            return Remote(prepared, limits, stack, tell)

        now_ms = max((one.now_ms for one in Reader(store).machines()), default=0)
        yield Solo(store, fork.read_keyring(), limits, now_ms, (PYTHON, VERSION), inside)


__all__ = ["opened"]
