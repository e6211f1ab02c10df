"""`python -m tests.mutants [NAME ..]`: applies each seeded fault to a copy, and runs the tests."""

import compileall
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from tests.mutants import (
    atrest,
    campaign,
    crashes,
    fast,
    hostkey,
    hostkeyshown,
    kinds,
    making,
    meetings,
    oracle,
    patterns,
    recording,
    refusing,
    seeing,
    shown,
    testing,
    travel,
    world,
)
from tests.mutants.authority import AUTHORITY
from tests.mutants.carrying import CARRYING
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.prepared import Prepared
from tests.mutants.shells import SHELL_FAULTS
from tests.mutants.speed import SPEED

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("caps", "dht", "avm", "tests", "examples", "pyproject.toml")
WHOLE = ("tests/sim", "tests/avm/test_host_units.py")
PATIENCE_S = 300
NEWEST = (
    *AUTHORITY,
    *seeing.FAULTS,
    *patterns.FAULTS,
    *atrest.FAULTS,
    *kinds.FAULTS,
    *refusing.FAULTS,
    *meetings.FAULTS,
    *testing.FAULTS,
    *shown.FAULTS,
    *making.FAULTS,
    *hostkey.FAULTS,
    *hostkeyshown.FAULTS,
)
ALL = (
    *FAULTS,
    *SHELL_FAULTS,
    *SPEED,
    *travel.FAULTS,
    *CARRYING,
    *crashes.FAULTS,
    *recording.FAULTS,
    *world.FAULTS,
    *campaign.FAULTS,
    *fast.FAULTS,
    *oracle.FAULTS,
    *NEWEST,
)


class Trees:
    """A copy of the tree, compiled once, into which one fault after the other is put, and taken out again."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.root = Path(self._directory.name)
        self._prepared = Prepared()
        self._turns = count(1)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.db*")
                shutil.copytree(source, self.root / name, ignore=ignored)
            else:
                shutil.copy2(source, self.root / name)
        compileall.compile_dir(self.root, quiet=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._prepared.close()
        self._directory.cleanup()

    def outcome(self, fault: Fault | None, *tests: str, timeout_s: float) -> str:
        """What these tests do with the fault: "pass", "fail" or "do not end"."""
        with self._broken(fault):
            code, output = self._prepared.run(self.root, tests, timeout_s)
        if code is None:
            return "do not end"
        assert code in (0, 1), output
        return "fail" if code else "pass"

    def catches(self, fault: Fault, *tests: str, timeout_s: float | None = None) -> bool:
        """Whether these tests fail, or do not end, with the fault."""
        patience_s = fault.patience_s if timeout_s is None else timeout_s
        return self.outcome(fault, *tests, timeout_s=patience_s) != "pass"

    @contextmanager
    def _broken(self, fault: Fault | None) -> Iterator[None]:
        if fault is None:
            yield
            return
        file = self.root / fault.file
        text, was = file.read_text(), file.stat()
        assert text.count(fault.old) == 1, f"{fault.name}: its place in {fault.file} has changed"
        file.write_text(text.replace(fault.old, fault.new))
        # Of its own time: what was compiled of another fault's file is not taken for it.
        at_s = was.st_mtime + next(self._turns)
        os.utime(file, (at_s, at_s))
        try:
            yield
        finally:
            file.write_text(text)
            os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def suite(fault: Fault | None) -> tuple[str, ...]:
    """The simulated suites, and the file that is known to catch the fault where it is no part of them."""
    known = fault.caught_by.partition("::")[0] if fault else ""
    return WHOLE if not known or known.startswith(WHOLE) else (*WHOLE, known)


def main() -> int:
    """Runs each fault against the simulated suites; 1 when one is not caught."""
    with Trees() as trees:
        return hold(trees, sys.argv[1:])


def hold(trees: Trees, wanted: list[str]) -> int:
    """Holds all faults, or those of these names, against the suites."""
    without = trees.outcome(None, *suite(None), timeout_s=PATIENCE_S)
    if without != "pass":
        print(f"the suites {without} without a fault: nothing can be told")
        return 1
    missed = []
    for fault in ALL:
        if wanted and fault.name not in wanted:
            continue
        found = trees.outcome(fault, *suite(fault), timeout_s=PATIENCE_S)
        slow = f" (the tests do not end in {PATIENCE_S} s)" if found == "do not end" else ""
        print(f"{'MISSED' if found == 'pass' else 'caught'}  {fault.name}{slow}", flush=True)
        if found == "pass":
            missed.append(fault.name)
    print(f"{len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
