"""The reactor: reads all sockets that have something in one pass, then settles once.

A task for each socket would cost a switch and a settlement for each frame; here whatever has come
from workers and clients since the last pass is taken together.
"""

import selectors
from collections.abc import Callable

import trio

from avm.run.stream import Stream

Take = Callable[[bytes], None]


class Reactor:
    """Reads streams for as long as they are open."""

    def __init__(self, before: Callable[[], None], settle: Callable[[], None]) -> None:
        """`before` is called ahead of each pass, `settle` after it."""
        self._before = before
        self._settle = settle
        self._selector = selectors.DefaultSelector()

    def watch(self, stream: Stream, take: Take) -> None:
        """Gives what a stream receives to `take`, and at its end nothing (b"")."""
        key = stream.sock.fileno()
        self._selector.register(key, selectors.EVENT_READ, (stream, take))
        stream.closing = lambda: self._unwatch(key)

    def _unwatch(self, key: int) -> None:
        self._selector.unregister(key)

    async def run(self) -> None:
        """Reads until cancelled."""
        ready = self._selector.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(ready)
                self._before()
                for key, _events in self._selector.select(0):
                    stream, take = key.data
                    received = stream.read_now()
                    if received is not None:
                        take(received)
                self._settle()
        finally:
            self._selector.close()
