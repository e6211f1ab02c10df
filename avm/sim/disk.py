"""A disk that forgets, tears, rots, fills up and lies, under the real SQLite and our own files. Shell.

Beside the journey, for simulations. Everything lies in real files below one directory, so all that
is written can be read, as through a system's cache; `model` follows what of it is durable. SQLite
comes here through apsw's virtual file system, the host's own files through `avm.store.files`.

    disk = Disk(tmp_path)
    store = SqliteStore.create_or_open(tmp_path / "store.db", disk)
    disk.watch = lambda doing, path: moments.append(disk.image())
    ...
    left = moments[7].left("torn", seed=3)      # a disk after the power went at that moment
    populate(other, left)
    again = Disk(other)

Make one for each directory, and `close` it afterwards.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from avm.sim.image import Image, Left, Model, Node
from avm.store.files import ON_DISK, OWN_DIRECTORY

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NUMBERS = count()
# SQLite synchronises the directory of a log that it makes with the log's first synchronisation.
_WITH_DIRECTORY = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


def populate(root: Path, left: Left) -> None:
    """Writes what is left of a disk into an empty directory."""
    for path in sorted(left.directories):
        (root / path).mkdir(OWN_DIRECTORY)
    for path, body in left.files.items():
        ON_DISK.write(root / path, body)


class Disk:
    """The files below `root`; what is there at the beginning is durable.

    `watch` is called before each operation, with what it is ("write", "truncate", "sync", "create",
    "rename", "remove", "mkdir", "syncdir") and the file's path. `room`: bytes that may still be
    written, None for no limit. `syncs_fail`: synchronisations fail. `deaf`: they do nothing and say
    that they did. `loses(path, offset)`: whether a write is acknowledged and never reaches the disk.
    `on_read(path, offset, body)`: what a read gives in place of `body`.
    """

    def __init__(self, root: Path, model: Model | None = None) -> None:
        """`model`: what is durable of the files that are there, when not all of it is."""
        self.root = root.resolve()
        self.model = model or _all_durable(self.root)
        self.room: int | None = None
        self.syncs_fail = False
        self.deaf = False
        self.syncs = 0
        self.watch: Callable[[str, str], None] = lambda _doing, _path: None
        self.loses: Callable[[str, int], bool] = lambda _path, _offset: False
        self.on_read: Callable[[str, int, bytes], bytes] | None = None
        self.vfs = f"disk-{os.getpid()}-{next(_NUMBERS)}"
        self._vfs: _Vfs | None = _Vfs(self.vfs, self)

    def close(self) -> None:
        """Lets go of its virtual file system."""
        if self._vfs is not None:
            self._vfs.unregister()
            self._vfs = None

    def image(self) -> Image:
        """The disk at this moment."""
        return self.model.image()

    def path_of(self, path: Path | str) -> str:
        """A file's path from the root."""
        return os.path.relpath(os.path.abspath(path), self.root).removeprefix(".")

    def stale(self, path: str, offset: int, size: int, versions: int = 1) -> bytes | None:
        """What stood there so many synchronisations ago, None when that is not known."""
        before = self.model.names[path].before
        if len(before) < versions or len(before[versions - 1]) < offset + size:
            return None
        return before[versions - 1][offset : offset + size]

    # What happens to it, from SQLite and from our own files.

    def begin(self, doing: str, path: str, size: int = 0) -> None:
        """An operation is about to happen; OSError when there is no room for it."""
        self.watch(doing, path)
        if self.room is not None and size:
            if self.room < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= size

    def written(self, node: Node, path: str, offset: int, body: bytes, cuts: bool = False) -> None:
        """Something was written."""
        if not self.loses(path, offset):
            self.model.write(node, offset, body, cuts)

    def synced(self, node: Node) -> bool:
        """A file is synchronised; False when that fails."""
        self.syncs += 1
        if not self.syncs_fail and not self.deaf:
            node.sync()
        return not self.syncs_fail

    def renamed(self, path: str, *names: tuple[str, Node | None]) -> None:
        """Names came and went in the directory of `path`."""
        self.model.rename(path.rpartition("/")[0], *names)

    def synced_directory(self, directory: str) -> bool:
        """A directory is synchronised; False when that fails."""
        if not self.syncs_fail and not self.deaf:
            self.model.sync_directory(directory)
        return not self.syncs_fail

    # The interface of `avm.store.files`.

    def create(self, path: Path) -> None:
        place = self.path_of(path)
        self.begin("create", place)
        ON_DISK.create(path)
        self.renamed(place, (place, Node()))

    def write(self, path: Path, body: bytes) -> None:
        place = self.path_of(path)
        node = self.model.names.get(place)
        self.begin("create" if node is None else "truncate", place)
        if node is None:
            node = Node()
            self.renamed(place, (place, node))
        else:
            self.written(node, place, 0, b"", cuts=True)
        ON_DISK.write(path, b"")
        self.begin("write", place, len(body))
        ON_DISK.write(path, body)
        self.written(node, place, 0, body)

    def sync(self, path: Path) -> None:
        place = self.path_of(path)
        self.begin("sync", place)
        if not self.synced(self.model.names[place]):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def replace(self, old: Path, new: Path) -> None:
        before, after = self.path_of(old), self.path_of(new)
        assert before.rpartition("/")[0] == after.rpartition("/")[0], "one directory"
        self.begin("rename", after)
        ON_DISK.replace(old, new)
        self.renamed(after, (before, None), (after, self.model.names[before]))

    def remove(self, path: Path) -> None:
        place = self.path_of(path)
        if place in self.model.names:
            self.begin("remove", place)
            self.renamed(place, (place, None))
        ON_DISK.remove(path)

    def make_directory(self, path: Path, mode: int = OWN_DIRECTORY) -> None:
        place = self.path_of(path)
        if place not in self.model.names:
            self.begin("mkdir", place)
        ON_DISK.make_directory(path, mode)
        self.renamed(place, (place, Node(directory=True)))

    def sync_directory(self, path: Path) -> None:
        place = self.path_of(path)
        self.begin("syncdir", place)
        if not self.synced_directory(place):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _all_durable(root: Path) -> Model:
    every = {str(path.relative_to(root)): path for path in root.rglob("*")}
    directories = {name for name, path in every.items() if path.is_dir()}
    files = {name: path.read_bytes() for name, path in every.items() if path.is_file()}
    return Model(files, directories)


class _Vfs(apsw.VFS):
    """What SQLite sees of a disk."""

    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        disk, place = self._disk, self._disk.path_of(filename)
        disk.begin("remove", place)
        super().xDelete(filename, syncdir)
        disk.renamed(place, (place, None))
        if syncdir:
            disk.begin("syncdir", place)
            if not disk.synced_directory(place.rpartition("/")[0]):
                raise apsw.exception_for(apsw.SQLITE_IOERR_DIR_FSYNC)


class _File(apsw.VFSFile):
    """One file that SQLite has open."""

    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._new = False
        self._place = "" if path is None else disk.path_of(path)
        known = disk.model.names.get(self._place)
        if known is None and path is not None and flags[0] & apsw.SQLITE_OPEN_CREATE:
            disk.begin("create", self._place)
        super().__init__("", name, flags)
        if known is None:
            known = Node()
            if path is not None:
                disk.renamed(self._place, (self._place, known))
                self._new = bool(flags[0] & _WITH_DIRECTORY)
        self._node = known

    def xRead(self, amount: int, offset: int) -> bytes:
        body = super().xRead(amount, offset)
        if self._disk.on_read is None:
            return body
        return self._disk.on_read(self._place, offset, body)

    def xWrite(self, data: Buffer, offset: int) -> None:
        body = bytes(data)
        try:
            self._disk.begin("write", self._place, len(body))
        except OSError as full:
            raise apsw.FullError("no room is left") from full
        super().xWrite(body, offset)
        self._disk.written(self._node, self._place, offset, body)

    def xTruncate(self, newsize: int) -> None:
        self._disk.begin("truncate", self._place)
        super().xTruncate(newsize)
        self._disk.written(self._node, self._place, newsize, b"", cuts=True)

    def xSync(self, flags: int) -> None:
        self._disk.begin("sync", self._place)
        if not self._disk.synced(self._node):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        if self._new:
            self._disk.synced_directory(self._place.rpartition("/")[0])
            self._new = False
