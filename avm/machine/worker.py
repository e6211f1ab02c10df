"""A worker's loop: frames in from the host, frames out; no policy.

Around step 4 of the journey. A frame is four bytes of length, little-endian, and that many bytes
of body. Answers are gathered into few writes, but none waits behind a slow turn.
"""

import socket
from collections.abc import Callable, Iterable
from struct import Struct
from time import monotonic
from typing import Protocol

from avm.machine.frames import BadFrame

Tell = Callable[[bytes], None]
MakeInside = Callable[[Tell], "Interior"]

LENGTH = Struct("<I")
FRAME_BYTES_MAX = 80 * 1024 * 1024
READ_BYTES = 256 * 1024
WRITE_BYTES = 64 * 1024
HELD_S_MAX = 0.001

EXIT_DONE = 0
EXIT_BROKEN = 70
EXIT_BAD_FRAME = 76
EXIT_MEMORY = 77


class Interior(Protocol):
    """What answers frames: machines with their states."""

    def receive(self, frame: bytes) -> Iterable[bytes]:
        """Takes one frame and gives those to send."""
        ...


def run(sock: socket.socket, make_inside: MakeInside, most: int = FRAME_BYTES_MAX) -> int:
    """Answers frames until the host closes the socket; returns the process's exit code.

    What the inside tells in the middle of a frame is sent at once.
    """
    outgoing = Outgoing(sock)
    try:
        _loop(Incoming(sock, most), outgoing, make_inside(outgoing.tell))
    except MemoryError:
        return EXIT_MEMORY
    except BadFrame:
        return EXIT_BAD_FRAME
    except ConnectionError:
        return EXIT_DONE
    return EXIT_DONE


def _loop(incoming: "Incoming", outgoing: "Outgoing", inside: Interior) -> None:
    receive = inside.receive
    while frames := incoming.read():
        for frame in frames:
            if outgoing.bodies:
                outgoing.flush_when_held()
            for body in receive(frame):
                outgoing.add(body)
        outgoing.flush()


class Incoming:
    """Cuts what comes from a stream socket into frames."""

    __slots__ = ("_buffer", "_most", "_rest", "_sock", "_view")

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self._most = most
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._rest = 0

    def read(self) -> list[bytes]:
        """At least one frame, or none when the stream has ended; raises `BadFrame`."""
        while True:
            count = self._sock.recv_into(self._view[self._rest :])
            if not count:
                return []
            frames = self._cut(self._rest + count)
            if frames:
                return frames

    def _cut(self, end: int) -> list[bytes]:
        """The whole frames of the buffer up to `end`; what is left moves to its start."""
        frames: list[bytes] = []
        view, buffer, most = self._view, self._buffer, self._most
        start = 0
        while end - start >= 4:
            (length,) = LENGTH.unpack_from(buffer, start)
            if not 0 < length <= most:
                raise BadFrame(f"a frame of {length} bytes")
            stop = start + 4 + length
            if stop > end:
                if length + 4 > READ_BYTES:
                    frames.append(self._read_large(start + 4, end, length))
                    start = end
                break
            frames.append(bytes(view[start + 4 : stop]))
            start = stop
        self._rest = end - start
        if start and self._rest:
            buffer[: self._rest] = buffer[start:end]
        return frames

    def _read_large(self, start: int, end: int, length: int) -> bytes:
        """A frame larger than the buffer, read to its end."""
        body = bytearray(length)
        body[: end - start] = self._view[start:end]
        view, got = memoryview(body), end - start
        while got < length:
            count = self._sock.recv_into(view[got:])
            if not count:
                raise ConnectionResetError
            got += count
        return bytes(body)


class Outgoing:
    """Gathers answers into few writes."""

    __slots__ = ("_bytes", "_since", "_sock", "bodies")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes = 0
        self._since = 0.0
        self.bodies: list[bytes] = []

    def add(self, body: bytes) -> None:
        """Queues a frame; the queue is sent when it is long."""
        if not self.bodies:
            self._since = monotonic()
        self.bodies += (LENGTH.pack(len(body)), body)
        self._bytes += len(body) + 4
        if self._bytes >= WRITE_BYTES:
            self.flush()

    def tell(self, body: bytes) -> None:
        """Sends a frame at once, behind what is queued."""
        self.add(body)
        self.flush()

    def flush_when_held(self) -> None:
        """Sends the queue when its first frame has waited too long for a turn to begin."""
        if monotonic() - self._since > HELD_S_MAX:
            self.flush()

    def flush(self) -> None:
        """Sends the queue."""
        if self.bodies:
            self._sock.sendall(b"".join(self.bodies))
            self.bodies.clear()
            self._bytes = 0
