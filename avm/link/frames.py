"""Frames on a stream: cut by the sender, put together by the receiver, whatever pieces come. Pure.

A frame is its length (4 bytes, big-endian, 1 to `FRAME_BYTES_MAX`) and as many bytes.
"""

from avm.link.errors import BadFrame
from avm.link.limits import FRAME_BYTES_MAX

HEADER_BYTES = 4


def cut(frame: bytes) -> bytes:
    """Return a frame as it stands on a stream."""
    assert 0 < len(frame) <= FRAME_BYTES_MAX
    return len(frame).to_bytes(HEADER_BYTES, "big") + frame


class Assembly:
    """Puts the frames of one stream together; holds at most one frame that is not whole."""

    __slots__ = ("_held", "_most", "_wanted")

    def __init__(self, most: int = FRAME_BYTES_MAX) -> None:
        self._most = most
        self._held = bytearray()
        self._wanted = HEADER_BYTES

    @property
    def partial_bytes(self) -> int:
        """How much has come of a frame that is not whole."""
        return len(self._held)

    def feed_untrusted(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the frames they complete.

        Raises `BadFrame` for a length that no frame has, before anything of that frame is kept.
        """
        held = chunk
        if self._held:
            self._held += chunk
            if len(self._held) < self._wanted:
                return []
            held = bytes(self._held)
        frames: list[bytes] = []
        at, size = 0, len(held)
        wanted = HEADER_BYTES
        while size - at >= HEADER_BYTES:
            length = int.from_bytes(held[at : at + HEADER_BYTES], "big")
            if not 0 < length <= self._most:
                raise BadFrame(f"a frame of {length:,} bytes")
            wanted = HEADER_BYTES + length
            if size - at < wanted:
                break
            frames.append(held[at + HEADER_BYTES : at + wanted])
            at += wanted
            wanted = HEADER_BYTES
        self._held = bytearray(held[at:])
        self._wanted = wanted
        return frames
