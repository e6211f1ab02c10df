"""The control socket's frames: 4 bytes of length, little-endian, then a CBOR array.

client:  HELLO version, key, durable, name          host:  WELCOME version, address, host, text
MARK receiver                                     MARK receiver, taken, ordinal, ..
OFFER receiver, seq, deadline, ..                 VERDICT receiver, seq, verdict
GOT sender, seq                                   DELIVER sender, seq, messages
END                                               BYE why
ASK id, operator, verb, params                    DONE id, value; ERROR id, code, text
"""

from typing import Any

import cbor2

VERSION = 1
FRAME_BYTES_MAX = 16 * 1024 * 1024
HELLO, MARK, OFFER, GOT, END, ASK = range(6)
WELCOME, _MARK, VERDICT, DELIVER, DONE, ERROR, BYE = range(7)


class BadFrame(Exception):
    """The other end of the control socket sent no frame."""


class Frames:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_buffer", "_most")

    def __init__(self, most: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._most = most

    def feed(self, received: bytes) -> list[bytes]:
        """Takes what was received; the frames that are whole now. Raises `BadFrame`."""
        buffer = self._buffer
        buffer += received
        frames: list[bytes] = []
        start, end = 0, len(buffer)
        while end - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "little")
            if length > self._most:
                raise BadFrame(f"a frame of {length} bytes")
            if end - start - 4 < length:
                break
            frames.append(bytes(buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        if start:
            del buffer[:start]
        return frames


def pack(frame: list[Any]) -> bytes:
    """A frame with its length."""
    body = cbor2.dumps(frame)
    return len(body).to_bytes(4, "little") + body


def pack_applied(receiver: bytes, seq: int) -> bytes:
    """The frame of the verdict *applied*, which is most of what a host says."""
    body = b"".join((b"\x84\x02\x58\x20", receiver, cbor2.dumps(seq), b"\x81\x67applied"))
    return len(body).to_bytes(4, "little") + body


def framed(body: bytes) -> bytes:
    """A packed body with its length."""
    return len(body).to_bytes(4, "little") + body


def unpack_untrusted(body: bytes) -> list[Any]:
    """A frame's array; raises `BadFrame`."""
    try:
        frame = cbor2.loads(
            body,
            max_depth=32,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_no_tag,
        )
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise BadFrame(str(error)) from None
    if type(frame) is not list or not frame or type(frame[0]) is not int:
        raise BadFrame("not an array with its kind")
    return frame


def _no_tag(_tag: Any, _immutable: bool = False) -> Any:
    raise BadFrame("a tag")
