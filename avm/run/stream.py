"""A socket of the host, written without waiting and read as it comes."""

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

RECEIVE_BYTES = 64 * 1024
WAITING_BYTES_MAX = 256 * 1024 * 1024


class Stream:
    """A non-blocking stream socket with what still has to be written to it."""

    __slots__ = (
        "_moved",
        "_waiting",
        "closed",
        "closing",
        "queued",
        "sock",
        "waiting_bytes",
        "wants",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self.closing: Callable[[], None] = _nothing
        self.wants = trio.Event()
        self._moved = trio.Event()
        self.waiting_bytes = 0
        self._waiting: deque[bytes] = deque()
        self.queued: list[bytes] = []

    def queue(self, frame: bytes) -> None:
        """Has a frame written with the next `flush`."""
        self.queued.append(frame)

    def flush(self) -> None:
        """Writes what was queued, as far as the socket takes it now; the rest waits."""
        if not self.queued:
            return
        whole = self.queued[0] if len(self.queued) == 1 else b"".join(self.queued)
        self.queued.clear()
        if self.closed:
            return
        if not self._waiting:
            try:
                sent = self.sock.send(whole)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.fail()
                return
            if sent == len(whole):
                return
            whole = whole[sent:]
        self._waiting.append(whole)
        self.waiting_bytes += len(whole)
        self.wants.set()
        if self.waiting_bytes > WAITING_BYTES_MAX:
            self.fail()

    async def write(self) -> None:
        """Writes what waits, for as long as the socket is open; a task of its own."""
        while not self.closed:
            if not self._waiting:
                self.wants = trio.Event()
                await self.wants.wait()
                continue
            try:
                await trio.lowlevel.wait_writable(self.sock)
                sent = self.sock.send(self._waiting[0])
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                self.fail()
                return
            self.waiting_bytes -= sent
            self._moved.set()
            if sent == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][sent:]

    async def wait_room(self, most: int) -> None:
        """Waits until no more than `most` bytes wait to be written, or the socket is closed."""
        while self.waiting_bytes > most and not self.closed:
            self._moved = trio.Event()
            await self._moved.wait()

    def read_now(self) -> bytes | None:
        """What has come; empty at the end of the stream, None when there is nothing now."""
        if self.closed:
            return None
        try:
            return self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def fail(self) -> None:
        """Gives the stream up; whoever reads it comes upon its end, and closes it."""
        self._waiting.clear()
        self.waiting_bytes = 0
        self._moved.set()
        if not self.closed:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the socket; those who wait for it hear of it."""
        if not self.closed:
            self.closed = True
            self.closing()
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()
            self.wants.set()
            self._moved.set()


def _nothing() -> None:
    return None
