"""Has one module be imported with a seeded bug in it.

The text is changed while the module is imported, and nowhere else: the product has no switch.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.sim.campaign.bugs import BUGS, Bug


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module with the text of a bug in it."""

    def __init__(self, bug: Bug, path: str) -> None:
        super().__init__(bug.module, path)
        self._bug = bug

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        text = Path(self.path).read_text(encoding="utf-8")
        assert text.count(self._bug.old) == 1, f"{self._bug.name}: its place has changed"
        return compile(text.replace(self._bug.old, self._bug.new), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module of a bug before all others do."""

    def __init__(self, bug: Bug, root: Path) -> None:
        self._bug = bug
        self._path = str(root / bug.file)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self._bug.module:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(self._bug, self._path))


def install(bug: Bug) -> None:
    """Has the bug's module be imported with it; nothing may have imported that before."""
    assert bug.module not in sys.modules, f"{bug.module} is there already, without the bug"
    root = Path(__file__).resolve().parent.parent.parent.parent
    sys.meta_path.insert(0, _Finder(bug, root))


def install_named(name: str | None) -> None:
    """Has the bug of this name installed, if it is the name of one."""
    if name:
        install(BUGS[name])


def prepare(bug: str | None) -> None:
    """Makes a process ready to run seeds, before it has imported anything that a bug could be in.

    What a seed leaves behind is collected after it, and not before.
    """
    install_named(bug)
    gc.disable()
