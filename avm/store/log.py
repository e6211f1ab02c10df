"""SQLite's write-ahead log read by itself: whether more of it is unreadable than a crash explains. Shell.

Step 6 of the journey, at opening. SQLite reads its log up to the first frame that does not fit and
takes the rest for a commit that a crash cut short. Each commit is synchronised before the next one
begins, so a crash cuts the last one only: where two commits stand behind that frame, what was
synchronised has changed since. A frame's head bears the mark of a commit, then the log's salts. Where a
sector ends between these, a crash may leave the mark of an earlier log before the salts of this one:
such a mark counts only when the frame's checksum bears it out. The format: https://sqlite.org/fileformat2.html#walformat
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
SECTOR_BYTES: Final = 512
"""What a disk writes whole, at least."""
MARK: Final = slice(4, 8)
SALTS: Final = slice(8, 16)


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
    if not agrees(header):
        return "the head of its log does not agree with its checksum"
    page_bytes = int.from_bytes(header[8:12], "big")
    at = HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes)
    before = header
    if frames:
        log.seek(at - FRAME_HEADER_BYTES - page_bytes)
        before = log.read(FRAME_HEADER_BYTES)
    commits = 0
    log.seek(at)
    while len(frame := log.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
        if frame[SALTS] == header[16:24] and frame[MARK] != bytes(4):
            commits += is_one_write(at) or fits(header, before, frame, log.read(page_bytes))
        at += FRAME_HEADER_BYTES + page_bytes
        log.seek(at)
        before = frame
    if commits > COMMITS_CUT_MAX:
        return f"its log is unreadable from frame {frames + 1} on, with {commits} commits behind it"
    return None


def agrees(header: bytes) -> bool:
    """Whether the log's header has its checksum, which covers all but itself; a disk writes it whole."""
    magic = int.from_bytes(header[:4], "big")
    return magic | 1 == MAGIC | 1 and _summed(header, bytes(8), header[:24]) == header[24:]


def is_one_write(at: int) -> bool:
    """Whether the mark and the salts of the frame at this offset lie in one sector."""
    return (at + MARK.start) // SECTOR_BYTES == (at + SALTS.start) // SECTOR_BYTES


def fits(header: bytes, before: bytes, frame: bytes, page: bytes) -> bool:
    """Whether a frame's checksum is that of its head and page after the frame before, or the header."""
    whole = len(page) == int.from_bytes(header[8:12], "big") and len(page) % 8 == 0
    return whole and _summed(header, before[-8:], frame[:8] + page) == frame[16:]


def _summed(header: bytes, before: bytes, body: bytes) -> bytes:
    """The checksum of a body, going on from the one before; the header says in which order bytes are."""
    words = struct.unpack(f"{'>' if header[3] & 1 else '<'}{len(body) // 4}I", body)
    first, second = struct.unpack(">2I", before)
    pairs = iter(words)
    for x, y in zip(pairs, pairs, strict=True):
        first = (first + x + second) & 0xFFFFFFFF
        second = (second + y + first) & 0xFFFFFFFF
    return struct.pack(">2I", first, second)
