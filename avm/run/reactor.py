"""The reactor: reads all sockets that have something in one pass, then settles once.

A task for each socket would cost a switch and a settlement for each frame; here whatever has come
from workers and clients since the last pass is taken together.
"""

import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from avm.run.stream import Stream

Take = Callable[[bytes], None]
Events = list[tuple[selectors.SelectorKey, int]]


class Reactor:
    """Reads streams for as long as they are open."""

    def __init__(self, before: Callable[[], None], settle: Callable[[], None]) -> None:
        """`before` is called ahead of each pass, `settle` after it."""
        self._before = before
        self._settle = settle
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._ring.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)

    def watch(self, stream: Stream, take: Take) -> None:
        """Gives what a stream receives to `take`, and at its end nothing (b"")."""
        key = stream.sock.fileno()
        self._selector.register(key, selectors.EVENT_READ, (stream, take))
        stream.closing = lambda: self._unwatch(key)

    def _unwatch(self, key: int) -> None:
        self._selector.unregister(key)

    def call_soon(self, what: Callable[[], None]) -> None:
        """Has a function called in the next pass; from any thread."""
        self._calls.append(what)
        with suppress(BlockingIOError):
            self._ring.send(b"!")

    async def run(self) -> None:
        """Reads until cancelled."""
        ready = self._selector.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(ready)
                self._pass(self._selector.select(0))
        finally:
            self._selector.close()
            self._bell.close()
            self._ring.close()

    def _pass(self, events: Events) -> None:
        self._before()
        for key, _events in events:
            if key.data is None:
                with suppress(BlockingIOError):
                    self._bell.recv(4096)
                continue
            stream, take = key.data
            received = stream.read_now()
            if received is not None:
                take(received)
        while self._calls:
            self._calls.popleft()()
        self._settle()
