"""A connection to the running host: frames over its control socket, and the operator's requests.

Step 1 of the journey. Plain sockets: a command does one thing at a time.
"""

import secrets
import socket
from collections import deque
from contextlib import suppress
from select import select
from time import monotonic, sleep
from typing import Any

from avm.cli.errors import CliError, Lost, NoAnswer, NoHost, Usage
from avm.run import protocol
from avm.run.directory import Directory
from avm.store.rights import refusal
from caps.capability import parse_text
from caps.errors import CapsError

GREETING_S = 10.0
ASK_S = 300.0
BACK_OFF_S = 0.05
BACK_OFF_S_MAX = 1.0
READ_BYTES = 256 * 1024


class TooLarge(Usage):
    """So much is not told to a host at once."""


class Replaced(CliError):
    """Another command with the same name took this one's place."""


def fresh_key() -> str:
    """The key of a client that is known to nobody else."""
    return secrets.token_hex(16)


class Link:
    """A connection, greeted."""

    def __init__(self, directory: Directory, opened: socket.socket) -> None:
        self._directory = directory
        self._socket = opened
        self._socket.setblocking(False)
        self._frames = protocol.Frames()
        self._out = bytearray()
        self._request = 0
        self.came: deque[list[Any]] = deque()
        self.address = self.host = b""

    @classmethod
    def open(
        cls, directory: Directory, key: str = "", durable: bool = False, name: str = ""
    ) -> "Link":
        """Connects as the client of that key, a new one when there is none; NoHost."""
        opened = socket.socket(socket.AF_UNIX)
        try:
            with directory.reachable_socket() as path:
                opened.connect(path)
        except OSError as error:
            opened.close()
            raise _no_host(directory, error) from None
        link = cls(directory, opened)
        try:
            link._greet(key or fresh_key(), durable, name)
        except CliError:
            link.close()
            raise
        return link

    def _greet(self, key: str, durable: bool, name: str) -> None:
        self.write([protocol.HELLO, protocol.VERSION, key, durable, name])
        until = monotonic() + GREETING_S
        while not self.came:
            if monotonic() > until:
                raise NoAnswer(
                    f"the host in {self._directory.path} does not answer; is it stopped?"
                )
            self.pump(until - monotonic())
        _kind, _version, self.address, self.host, _running = self.came.popleft()

    def write(self, frame: list[Any]) -> None:
        """Queues a frame; `pump` writes it. TooLarge for one that the host would not read."""
        packed = protocol.pack(frame)
        size, most = len(packed) - protocol.LENGTH.size, protocol.FRAME_BYTES_MAX
        if size > most:
            raise TooLarge(f"{size:,} bytes for the host at once, more than {most:,}")
        self._out += packed

    def pump(self, wait_s: float, also: int | None = None) -> bool:
        """Writes and reads what it can, waiting for that at most so long.

        Returns whether the file descriptor `also` can be read. Raises Lost when the host is gone.
        """
        reads: list[Any] = [self._socket] if also is None else [self._socket, also]
        wait_s = 0.0 if self.came else max(0.0, wait_s)
        readable, writable, _ = select(reads, [self._socket] if self._out else [], [], wait_s)
        try:
            if writable:
                sent = self._socket.send(self._out)
                del self._out[:sent]
            if self._socket in readable:
                self._receive()
        except BlockingIOError:
            pass
        except OSError as error:
            raise Lost(f"the host in {self._directory.path} is gone: {error.strerror}") from None
        return also in readable

    def _receive(self) -> None:
        received = self._socket.recv(READ_BYTES)
        if not received:
            raise Lost(f"the host in {self._directory.path} has ended")
        try:
            frames = [protocol.unpack_untrusted(body) for body in self._frames.feed(received)]
        except protocol.BadFrame as error:
            raise Lost(f"the host said what is no frame: {error}") from None
        for frame in frames:
            if frame[0] == protocol.BYE:
                raise Replaced(str(frame[1]))
            self.came.append(frame)

    def ask(self, verb: str, params: dict[str, Any], wait_s: float = ASK_S) -> Any:
        """Asks the host as its operator; what it answers. CliError with the host's own code."""
        self._request += 1
        self.write([protocol.ASK, self._request, self._operator(), verb, params])
        until = monotonic() + wait_s
        aside: list[list[Any]] = []
        try:
            while True:
                while self.came:
                    frame = self.came.popleft()
                    if frame[0] in (protocol.DONE, protocol.ERROR) and frame[1] == self._request:
                        return _outcome(frame)
                    aside.append(frame)
                if monotonic() > until:
                    raise NoAnswer(f"no answer to {verb} within {wait_s:g} s; it may still be done")
                self.pump(until - monotonic())
        except Lost:
            raise NoAnswer(
                f"the host ended before it answered: whether {verb} was done is unknown"
            ) from None
        finally:
            self.came.extendleft(reversed(aside))

    def _operator(self) -> bytes:
        try:
            return parse_text(self._directory.operator()).wire()
        except CapsError:
            file = self._directory.operator_file
            raise CliError(f"{file} is damaged; a host that starts anew writes it again") from None

    def end(self) -> None:
        """Says goodbye and closes; the host forgets a client that is not durable."""
        with suppress(CliError):
            self.write([protocol.END])
            until = monotonic() + 1.0
            while self._out and monotonic() < until:
                self.pump(0.1)
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


def _outcome(frame: list[Any]) -> Any:
    if frame[0] == protocol.DONE:
        return frame[2]
    raise CliError(str(frame[3]), int(frame[2]))


def _no_host(directory: Directory, error: OSError) -> CliError:
    if isinstance(error, PermissionError):
        return CliError(refusal(directory.socket, error))
    if isinstance(error, NotADirectoryError):
        return CliError(directory.no_directory())
    why = f"no host is running in {directory.path}"
    return NoHost(f"{why}; `{directory.command('run')}` starts it")


def reopen(directory: Directory, key: str, durable: bool, name: str, until: float) -> Link:
    """Connects again, trying until that moment of the monotonic clock; NoHost."""
    wait_s = BACK_OFF_S
    while True:
        try:
            return Link.open(directory, key, durable, name)
        except (NoHost, Lost):
            if monotonic() + wait_s > until:
                raise
        sleep(wait_s)
        wait_s = min(2 * wait_s, BACK_OFF_S_MAX)


def ask(directory: Directory, verb: str, params: dict[str, Any], wait_s: float = ASK_S) -> Any:
    """Asks the host one thing as its operator."""
    link = Link.open(directory)
    try:
        return link.ask(verb, params, wait_s)
    finally:
        link.end()
