"""When two disks are one and the same to whoever opens them: digests that are equal for these only.

Files are compared byte by byte, but for SQLite's logs. Of a log an opening reads the frames up to the
last commit before the first frame that does not fit; of what stands behind them `avm.store.log` reads
which frames bear the log's salts and the mark of a commit, and whether these fit. A log that is begun
anew has other salts, so no frame behind the first misfit comes to count again. The salts themselves
are drawn by SQLite and differ from run to run; nothing that is kept depends on them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from avm.sim.image import Image, Left, Node, Write
from avm.store.log import (
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    MARK,
    SALTS,
    agrees,
    fits,
)

FRAMES_KNOWN = 1 << 13
FILES_KNOWN = 128
LOG = "-wal"


def digest(*parts: bytes) -> bytes:
    """A hash of parts, which are told apart."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()


_fits = lru_cache(maxsize=FRAMES_KNOWN)(fits)


def log_digest(log: bytes) -> bytes:
    """A hash of what an opening reads of a log."""
    header = log[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or not any(header):
        return digest(b"none")
    if not agrees(header):
        return digest(b"misfit")
    read, behind = frames_of(log, header)
    return digest(b"log", header[8:12], *read, repr(behind).encode())


def frames_of(log: bytes, header: bytes) -> tuple[list[bytes], list[tuple[int, bool]]]:
    """The frames up to the last whole commit; where the heads of commits behind are, and whole ones."""
    size = FRAME_HEADER_BYTES + int.from_bytes(header[8:12], "big")
    frames: list[bytes] = []
    behind: list[tuple[int, bool]] = []
    before, whole, fit = header, 0, True
    for at in range(HEADER_BYTES, len(log) - FRAME_HEADER_BYTES + 1, size):
        frame, page = log[at : at + FRAME_HEADER_BYTES], log[at + FRAME_HEADER_BYTES : at + size]
        ours, ends = frame[SALTS] == header[16:24], frame[MARK] != bytes(4)
        fit = fit and ours and any(frame[:4]) and _fits(header, before, frame, page)
        if fit:
            frames.append(frame[:8] + page)
            whole = len(frames) if ends else whole
        if ours and ends:
            behind.append((at, _fits(header, before, frame, page)))
        before = frame
    return frames[:whole], [one for one in behind if one[0] >= HEADER_BYTES + whole * size]


@lru_cache(maxsize=FILES_KNOWN)
def _hash(body: bytes, is_log: bool) -> bytes:
    return log_digest(body) if is_log else digest(body)


def _body(path: str, body: bytes) -> bytes:
    return _hash(body, path.endswith(LOG))


def left_digest(left: Left) -> bytes:
    """A hash of what is left of a disk, equal for those that no opening tells apart."""
    parts = [repr(sorted(left.directories)).encode()]
    for path, body in sorted(left.files.items()):
        parts += [path.encode(), _body(path, body)]
    return digest(*parts)


def image_digest(image: Image) -> bytes:
    """A hash of a disk at a moment: what is durable, and what is written and not yet so, in its order."""
    numbers: dict[int, int] = {}
    parts = list(_names(image, numbers))
    paths = dict(_paths(image))
    times = sorted(set(_times(image)))
    when = {time: n for n, time in enumerate(times)}
    for key in sorted(numbers, key=numbers.__getitem__):
        durable, pending = image.nodes[key]
        parts += [_body(paths[key], durable), str(len(pending)).encode()]
        for write in pending:
            parts += [_place(write, when[write.when]), write.body]
    for one in image.pending:
        parts.append(f"{when[one.when]} {one.directory}".encode())
    return digest(*parts)


def _place(write: Write, when: int) -> bytes:
    return f"{when} {write.offset} {write.cuts}".encode()


def _times(image: Image) -> Iterator[int]:
    for _durable, pending in image.nodes.values():
        yield from (write.when for write in pending)
    yield from (one.when for one in image.pending)


def _every_name(image: Image) -> Iterator[Iterable[tuple[str, Node | None]]]:
    yield sorted(image.durable.items(), key=lambda item: item[0])
    for one in image.pending:
        yield one.names


def _names(image: Image, numbers: dict[int, int]) -> Iterator[bytes]:
    """Which name is which file's; files have numbers in the order in which they are met."""
    for names in _every_name(image):
        yield b"together"
        for path, node in names:
            if node is None:
                yield f"{path} gone".encode()
                continue
            number = numbers.setdefault(id(node), len(numbers))
            yield f"{path} {number} {node.directory}".encode()


def _paths(image: Image) -> Iterator[tuple[int, str]]:
    for names in _every_name(image):
        for path, node in names:
            if node is not None:
                yield id(node), path
