"""The reactor: reads all sockets that have something in one pass, then settles once.

A task for each socket would cost a switch and a settlement for each frame; here whatever has come
from workers and clients since the last pass is taken together. After a pass the next is mostly near
(a worker's answer, the end of a commit, what a client says to its verdict): so the sockets
themselves are waited for, a little and without trio's round, which costs as much as a pass does. Other
tasks wait no longer than that.
"""

import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

import trio

Take = Callable[[bytes], None]
Events = list[tuple[selectors.SelectorKey, int]]

# How long the next pass is waited for at a time, and in all, before trio has its turn.
NEXT_S = 0.001
STAY_S = 0.002


class Readable(Protocol):
    """A socket that is read when there is something."""

    sock: socket.socket
    closing: Callable[[], None]

    def read_now(self) -> bytes | None:
        """What has come; empty at the end, None when there is nothing to give on."""


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

    def watch(self, stream: Readable, take: Take) -> None:
        """Gives what a stream receives to `take`, and at its end nothing (b"")."""
        key = stream.sock.fileno()
        self._selector.register(key, selectors.EVENT_READ, (stream, take))
        stream.closing = lambda: self._unwatch(key)

    def _unwatch(self, key: int) -> None:
        with suppress(KeyError):  # at the end the selector may be closed before its streams
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
                until = monotonic() + STAY_S
                while events := self._selector.select(NEXT_S):
                    self._pass(events)
                    if monotonic() > until:
                        break
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
