"""Our own operations on files, behind one interface, and how a file is made to last. Shell.

Step 6 of the journey, and before it: what a host writes beside what SQLite writes. A name lasts
once its directory is synchronised, what stands in a file once the file is. The disk of a simulation
(`avm.sim.disk`) is the other one behind this interface: it keeps their order and loses the rest.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

OWN_FILE = 0o600
OWN_DIRECTORY = 0o700


class Files(Protocol):
    """Single operations on files; each raises OSError.

    `vfs` names the virtual file system through which SQLite reaches the same files.
    """

    @property
    def vfs(self) -> str | None: ...

    def create(self, path: Path) -> None:
        """Makes an empty file of mode 0600; FileExistsError where there is one."""

    def write(self, path: Path, body: bytes) -> None:
        """Makes or empties a file of mode 0600 and writes into it."""

    def sync(self, path: Path) -> None:
        """Returns when what stands in a file is on the disk."""

    def replace(self, old: Path, new: Path) -> None:
        """Renames a file, over what has the new name."""

    def remove(self, path: Path) -> None:
        """Removes a file, if it is there."""

    def make_directory(self, path: Path, mode: int = OWN_DIRECTORY) -> None:
        """Makes a directory; FileExistsError where there is something."""

    def sync_directory(self, path: Path) -> None:
        """Returns when the names in a directory are on the disk."""


class OnDisk:
    """The files of the operating system."""

    vfs = None

    def create(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWN_FILE))

    def write(self, path: Path, body: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWN_FILE)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, OWN_FILE)
            file.write(body)

    def sync(self, path: Path) -> None:
        _sync(path, os.O_RDONLY)

    def replace(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def make_directory(self, path: Path, mode: int = OWN_DIRECTORY) -> None:
        path.mkdir(mode)

    def sync_directory(self, path: Path) -> None:
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)


ON_DISK = OnDisk()


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_empty(files: Files, path: Path) -> None:
    """An empty file under a name that lasts; one that is there stays as it is."""
    with suppress(FileExistsError):
        files.create(path)
    # One that was there, and a log beside it, may be of a process that was killed before this.
    files.sync_directory(path.parent)


def put(files: Files, path: Path, body: bytes) -> None:
    """A file of mode 0600 that lasts and is never seen in part, over the one that is there."""
    fresh = path.with_name(path.name + ".new")
    try:
        files.write(fresh, body)
        files.sync(fresh)
        files.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            files.remove(fresh)
        raise
    files.sync_directory(path.parent)


def make_own_directory(files: Files, path: Path) -> None:
    """A directory of mode 0700, and those above it, under names that last."""
    missing = [above for above in path.parents if not above.exists()]
    for above in reversed(missing):
        files.make_directory(above, 0o777)
        files.sync_directory(above.parent)
    with suppress(FileExistsError):
        files.make_directory(path)
    # The name of one that its owner or a killed process made; not where others do not let us look.
    with suppress(PermissionError):
        files.sync_directory(path.parent)
