"""Whether a machine's file, or one beside it, has been saved since the last look. Shell.

Before the journey, for `dev`.
"""

import os
from pathlib import Path

from avm.machine.bundle import Bundle

FILES_MAX = 2_000
Mark = tuple[str, int, int, int]


class Watch:
    """The files that a machine's code comes from."""

    def __init__(self, file: Path) -> None:
        self._folder = file.parent
        self._paths = {file}
        self._marks: list[Mark] | None = None

    def follow(self, bundle: Bundle) -> None:
        """Watches all files of a bundle, and not only those beside the machine's."""
        self._paths |= {self._folder / source.path for source in bundle.files}

    def has_changed(self) -> bool:
        """Whether something was saved since the last call; True at the first."""
        marks = self._look()
        changed = marks != self._marks
        self._marks = marks
        return changed

    def _look(self) -> list[Mark]:
        beside = sorted(self._folder.glob("*.py"))[:FILES_MAX]
        return [mark for path in sorted({*self._paths, *beside}) if (mark := _mark(path))]


def _mark(path: Path) -> Mark | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
