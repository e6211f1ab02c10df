"""A disk that forgets: what was written and not synchronised may be torn, lost or kept.

An apsw virtual file system over real files. Beside each file it keeps what is durable and, in
order, what was written since the last synchronisation. `capture()` is the disk at one moment;
`DiskImage.survive(...)` writes one of the directories that may be left after the power goes at
that moment: each unsynchronised write is split at 512-byte sectors and each piece kept or not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import apsw

if TYPE_CHECKING:
    from typing_extensions import Buffer

SECTOR = 512
Write = tuple[int, bytes]
"""Offset and bytes; offset -1 is a truncation and the bytes are its size, little-endian."""
Fate = Literal["lost", "kept", "torn"]


@dataclass(slots=True)
class DiskFile:
    """One file: what survives for certain, and what may."""

    durable: bytes
    linked: bool
    pending: list[Write] = field(default_factory=list)

    def copy(self) -> DiskFile:
        return DiskFile(self.durable, self.linked, list(self.pending))


@dataclass(frozen=True, slots=True)
class DiskImage:
    """The disk at one moment; `ghosts` are deleted files whose deletion is not durable."""

    files: dict[str, DiskFile]
    ghosts: dict[str, bytes]

    def survive(self, directory: Path, fate: Fate, seed: int = 0) -> None:
        """Write what is left of every file into an empty directory."""
        rng = random.Random(seed)
        share = rng.choice((0.1, 0.5, 0.9, 0.99))

        def keep() -> bool:
            return fate == "kept" or (fate == "torn" and rng.random() < share)

        for name, ghost in self.ghosts.items():
            if fate != "kept" and keep():
                (directory / name).write_bytes(ghost)
        for name, file in sorted(self.files.items()):
            if file.linked or keep():
                (directory / name).write_bytes(_left(file, keep))


def _left(file: DiskFile, keep: Callable[[], bool]) -> bytes:
    content = bytearray(file.durable)
    for offset, data in file.pending:
        if offset < 0:
            if keep():
                del content[int.from_bytes(data, "little") :]
            continue
        at = offset
        while at < offset + len(data):
            end = min((at // SECTOR + 1) * SECTOR, offset + len(data))
            if keep():
                content.extend(bytes(max(0, end - len(content))))
                content[at:end] = data[at - offset : end - offset]
            at = end
    return bytes(content)


class FaultVFS(apsw.VFS):
    """Register one by making it; `unregister` it afterwards.

    `room`: bytes that may still be written, None for no limit. `syncs_fail`: every synchronisation
    fails. `deaf`: a synchronisation does nothing and says it did. `watch` is called before each
    write ("write") and each synchronisation ("sync").
    """

    def __init__(self, name: str) -> None:
        self.vfs_name = name
        self.files: dict[str, DiskFile] = {}
        self.ghosts: dict[str, bytes] = {}
        self.room: int | None = None
        self.syncs_fail = False
        self.deaf = False
        self.syncs = 0
        self.watch: Callable[[str], None] = lambda _: None
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FaultFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        file = self.files.pop(Path(filename).name, None)
        if syncdir:
            self.ghosts.clear()
        elif file is not None and file.linked:
            self.ghosts[Path(filename).name] = file.durable

    def capture(self) -> DiskImage:
        files = {name: file.copy() for name, file in self.files.items()}
        return DiskImage(files, dict(self.ghosts))


class FaultFile(apsw.VFSFile):
    """A file of a `FaultVFS`: reads see every write, as through a system's cache."""

    def __init__(
        self, disk: FaultVFS, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.disk = disk
        super().__init__("", name, flags)
        if path is None:
            self.file = DiskFile(b"", False)
            return
        # A file that was there before is durable, as it is.
        known = disk.files.get(Path(path).name)
        if known is None:
            content = Path(path).read_bytes()
            known = DiskFile(content, flags[0] & apsw.SQLITE_OPEN_MAIN_DB != 0 or bool(content))
            disk.files[Path(path).name] = known
        self.file = known

    def xWrite(self, data: Buffer, offset: int) -> None:
        piece = bytes(data)
        self.disk.watch("write")
        if self.disk.room is not None:
            if self.disk.room < len(piece):
                raise apsw.FullError("no room is left")
            self.disk.room -= len(piece)
        super().xWrite(piece, offset)
        self.file.pending.append((offset, piece))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self.file.pending.append((-1, newsize.to_bytes(8, "little")))

    def xSync(self, flags: int) -> None:
        self.disk.watch("sync")
        self.disk.syncs += 1
        if self.disk.syncs_fail:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        if self.disk.deaf:
            return
        self.file.durable = _left(self.file, lambda: True)
        self.file.pending.clear()
        if not self.file.linked:
            # A new file's first synchronisation takes its directory along.
            self.disk.ghosts.clear()
        self.file.linked = True
