"""Lines from a file or a stream, with their numbers, as they come. Shell.

A line ends with a line feed; a carriage return before it and a byte order mark are left out.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from avm.cli.errors import Usage

READ_BYTES = 128 * 1024
LINE_BYTES_MAX = 8 * 1024 * 1024
MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Source:
    """Where the lines come from; `ended` once there are no more."""

    fd: int
    waits: bool
    ended: bool = False
    number: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    @classmethod
    def open(cls, path: str) -> "Source":
        """A file, or standard input for `-`; Usage when it cannot be read."""
        try:
            fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            mode = os.fstat(fd).st_mode
        except OSError as error:
            raise Usage(f"{path} cannot be read: {error.strerror}") from None
        if stat.S_ISDIR(mode):
            raise Usage(f"{path} is a directory, not a file of lines")
        return cls(fd, not stat.S_ISREG(mode))

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Reads once, waiting if it must; the lines that are whole, with their numbers."""
        received = os.read(self.fd, READ_BYTES)
        if not received:
            self.ended = True
            if self._rest:
                yield self._numbered(bytes(self._rest))
            return
        start = 0
        while (end := received.find(b"\n", start)) >= 0:
            line = bytes(self._rest) + received[start:end]
            self._rest.clear()
            start = end + 1
            yield self._numbered(line)
        self._rest += received[start:]
        if len(self._rest) > LINE_BYTES_MAX:
            raise Usage(f"line {self.number + 1} is longer than {LINE_BYTES_MAX:,} bytes")

    def _numbered(self, line: bytes) -> tuple[int, bytes]:
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(MARK)
        return self.number, line.removesuffix(b"\r")

    def close(self) -> None:
        """Closes a file; standard input stays open."""
        if self.fd != 0:
            os.close(self.fd)
