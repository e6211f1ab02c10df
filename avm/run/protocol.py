"""The control socket's frames: 4 bytes of length, little-endian, then a CBOR array.

client:  HELLO version, key, durable, name          host:  WELCOME version, address, host, text
MARK receiver                                     MARK receiver, taken, ordinal, ..
OFFER receiver, seq, deadline, ..                 VERDICT receiver, seq, verdict
GOT sender, seq                                   DELIVER sender, seq, messages
END                                               BYE why
ASK id, operator, verb, params                    DONE id, value; ERROR id, code, text
"""

from struct import Struct
from typing import Any

import cbor2

from avm.machine import frames
from avm.machine.frames import BadFrame
from avm.machine.pack import uint

LENGTH = Struct("<I")
_length_at = LENGTH.unpack_from
VERSION = 1
FRAME_BYTES_MAX = 16 * 1024 * 1024
HELLO, MARK, OFFER, GOT, END, ASK = range(6)
WELCOME, _MARK, VERDICT, DELIVER, DONE, ERROR, BYE = range(7)


class Frames:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_buffer", "_most", "_wanted")

    def __init__(self, most: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._most = most
        self._wanted = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Takes what was received; the frames that are whole now. Raises `BadFrame`."""
        buffer = self._buffer
        if buffer:
            buffer += received
            if len(buffer) < self._wanted:
                return []
            received = bytes(buffer)
            buffer.clear()
        frames: list[bytes] = []
        most, start, end = self._most, 0, len(received)
        self._wanted = 4
        while (body := start + 4) <= end:
            (length,) = _length_at(received, start)
            if length > most:
                raise BadFrame(f"a frame of {length} bytes")
            after = body + length
            if after > end:
                self._wanted = 4 + length
                break
            frames.append(received[body:after])
            start = after
        if start < end:
            buffer += received[start:]
        return frames


def pack(frame: list[Any]) -> bytes:
    """A frame with its length."""
    body = cbor2.dumps(frame)
    return len(body).to_bytes(4, "little") + body


def pack_applied(receiver: bytes, seq: int) -> bytes:
    """The frame of the verdict *applied*, which is most of what a host says."""
    body = b"\x84\x02\x58\x20" + receiver + uint(seq) + b"\x81\x67applied"
    return len(body).to_bytes(4, "little") + body


def framed(body: bytes) -> bytes:
    """A packed body with its length."""
    return len(body).to_bytes(4, "little") + body


def unpack_untrusted(body: bytes) -> list[Any]:
    """A frame's array with its kind first; raises `BadFrame`."""
    frame = frames.unpack_untrusted(body)
    if type(frame[0]) is not int:
        raise BadFrame("not an array with its kind")
    return frame


__all__ = [
    "ASK",
    "BYE",
    "DELIVER",
    "DONE",
    "END",
    "ERROR",
    "GOT",
    "HELLO",
    "MARK",
    "OFFER",
    "VERDICT",
    "VERSION",
    "WELCOME",
    "BadFrame",
    "Frames",
    "framed",
    "pack",
    "pack_applied",
    "unpack_untrusted",
]
