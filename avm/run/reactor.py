"""The reactor: reads all sockets that have something in one pass, then settles once.

A task for each socket would cost a switch and a settlement for each frame; here whatever has come
from workers and clients since the last pass is taken together. After a pass the next is mostly near
(a worker's answer, the end of a commit, what a client says to its verdict): so the sockets
themselves are waited for, a little and without trio's round, which costs as much as a pass does. Other
tasks wait no longer than that.
"""

import select
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

import trio

Take = Callable[[bytes], None]

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

    def __init__(
        self,
        before: Callable[[], None],
        settle: Callable[[], None],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        """`before` is called ahead of each pass, `settle` after it, `rest` before others have their turn."""
        self._before = before
        self._settle = settle
        self._rest = rest
        # A system's own and not `selectors`, whose Python costs a message as much as its offer does.
        self._poll = select.epoll()
        self._watched: dict[int, tuple[Readable, Take]] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._ring.setblocking(False)
        self._poll.register(self._bell, select.EPOLLIN)

    def watch(self, stream: Readable, take: Take) -> None:
        """Gives what a stream receives to `take`, and at its end nothing (b"")."""
        number = stream.sock.fileno()
        self._watched[number] = (stream, take)
        self._poll.register(number, select.EPOLLIN)
        stream.closing = lambda: self._unwatch(number)

    def _unwatch(self, number: int) -> None:
        # At the end all is closed before its streams are.
        if self._watched.pop(number, None) is not None and not self._poll.closed:
            self._poll.unregister(number)

    def call_soon(self, what: Callable[[], None]) -> None:
        """Has a function called in the next pass; from any thread."""
        self._calls.append(what)
        with suppress(BlockingIOError):
            self._ring.send(b"!")

    async def run(self) -> None:
        """Reads until cancelled."""
        ready = self._poll.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(ready)
                until = monotonic() + STAY_S
                while events := self._poll.poll(NEXT_S, len(self._watched) + 1):
                    self._pass(events)
                    if monotonic() > until:
                        break
                self._rest()
        finally:
            self._poll.close()
            self._bell.close()
            self._ring.close()

    def _pass(self, events: list[tuple[int, int]]) -> None:
        self._before()
        for number, _events in events:
            watched = self._watched.get(number)
            if watched is None:
                with suppress(BlockingIOError):
                    self._bell.recv(4096)
                continue
            stream, take = watched
            received = stream.read_now()
            if received is not None:
                take(received)
        while self._calls:
            self._calls.popleft()()
        self._settle()
