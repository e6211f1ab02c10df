"""SQLite's write-ahead log read by itself: whether more of it is unreadable than a crash explains. Shell.

Step 6 of the journey, at opening. SQLite reads its log up to the first frame that does not fit and
takes the rest for a commit that a crash cut short. Each commit is synchronised before the next one
begins, so a crash cuts the last one only: where two commits stand behind that frame, what was
synchronised has changed since. The format: https://sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
MAGIC: Final = 0x377F0682
"""With 1 added where the checksums are of big-endian words."""
COMMITS_CUT_MAX: Final = 1


def damage_in_log_untrusted(path: Path, frames: int) -> str | None:
    """What is wrong with the log at `path`, of which SQLite could read so many frames; None if nothing."""
    try:
        with path.open("rb") as log:
            return _damage(log, frames)
    except FileNotFoundError:
        return None


def _damage(log: BinaryIO, frames: int) -> str | None:
    header = log.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not any(header):
        return None  # A crash came before it was written.
    if not _agrees(header):
        return "the head of its log does not agree with its checksum"
    page_bytes = int.from_bytes(header[8:12], "big")
    salts = header[16:24]
    log.seek(HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes))
    commits = 0
    while len(frame := log.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
        commits += frame[8:16] == salts and frame[4:8] != bytes(4)
        log.seek(page_bytes, 1)
    if commits > COMMITS_CUT_MAX:
        return f"its log is unreadable from frame {frames + 1} on, with {commits} commits behind it"
    return None


def _agrees(header: bytes) -> bool:
    """Whether the log's header has its checksum, which covers all but itself; a disk writes it whole."""
    magic = int.from_bytes(header[:4], "big")
    if magic | 1 != MAGIC | 1:
        return False
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    first = second = 0
    for x, y in zip(words[::2], words[1::2], strict=True):
        first = (first + x + second) & 0xFFFFFFFF
        second = (second + y + first) & 0xFFFFFFFF
    return struct.pack(">2I", first, second) == header[24:]
