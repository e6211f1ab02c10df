"""`python -m tests.mutants [--suites] [--jobs N] [NAME ..]`: puts each seeded fault into a copy, and runs the tests."""

import argparse
import compileall
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from tests.mutants import (
    about,
    atrest,
    campaign,
    confining,
    crashes,
    fast,
    hostkey,
    hostkeyshown,
    kinds,
    making,
    meetings,
    oracle,
    others,
    past,
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
from tests.mutants.size import SIZE
from tests.mutants.speed import SPEED

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("caps", "dht", "avm", "tests", "examples", "pyproject.toml")
WHOLE = ("tests/sim", "tests/avm/test_host_units.py")
PATIENCE_S = 900
# And for each of many tests in a row so much more.
A_TEST_S = 10
ALL = (
    *FAULTS,
    *SHELL_FAULTS,
    *SIZE,
    *SPEED,
    *travel.FAULTS,
    *CARRYING,
    *crashes.FAULTS,
    *recording.FAULTS,
    *world.FAULTS,
    *campaign.FAULTS,
    *fast.FAULTS,
    *oracle.FAULTS,
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
    *about.FAULTS,
    *past.FAULTS,
    *others.FAULTS,
    *confining.FAULTS,
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


def suite(fault: Fault) -> tuple[str, ...]:
    """The simulated suites, and the file that is known to catch the fault where it is no part of them."""
    known = fault.caught_by.partition("::")[0]
    return WHOLE if known.startswith(WHOLE) else (*WHOLE, known)


def known(fault: Fault) -> tuple[str, ...]:
    """The test that is known to catch the fault."""
    return (fault.caught_by,)


def main() -> int:
    """Runs each fault against its test, or against the suites; 1 when one is not caught."""
    parser = argparse.ArgumentParser("tests.mutants", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="these faults alone")
    text = (
        "against the whole simulated suites, which takes hours, and not only the test that is known"
    )
    parser.add_argument("--suites", action="store_true", help=text)
    cores = len(os.sched_getaffinity(0))
    text = "so many at a time, each in a copy of its own (as many as there are cores)"
    parser.add_argument("--jobs", metavar="N", type=int, default=cores, help=text)
    options = parser.parse_args()
    if unknown := set(options.names) - {fault.name for fault in ALL}:
        parser.error(f"no fault is called {', '.join(sorted(unknown))}")
    wanted = [fault for fault in ALL if fault.name in options.names or not options.names]
    tests = suite if options.suites else known
    jobs = max(1, options.jobs)
    shares = [share for n in range(jobs) if (share := wanted[n::jobs])]
    with ThreadPoolExecutor(len(shares)) as pool:
        missed = list(pool.map(lambda share: hold(share, tests), shares))
    if None in missed:
        return 1
    count_missed = sum(filter(None, missed))
    print(f"{len(wanted)} faults, {count_missed} missed")
    return 1 if count_missed else 0


def hold(wanted: list[Fault], tests: Callable[[Fault], tuple[str, ...]]) -> int | None:
    """Holds faults against tests, all of which pass without any; how many are missed."""
    missed = 0
    with Trees() as trees:
        every = sorted({test for fault in wanted for test in tests(fault)})
        without = trees.outcome(None, *every, timeout_s=PATIENCE_S + A_TEST_S * len(every))
        if without != "pass":
            print(f"the tests {without} without a fault: nothing can be told", flush=True)
            return None
        for fault in wanted:
            patience_s = PATIENCE_S if tests is suite else fault.patience_s
            found = trees.outcome(fault, *tests(fault), timeout_s=patience_s)
            missed += found == "pass"
            slow = f" (the tests do not end in {patience_s:.0f} s)"
            told = f"{fault.name}{slow if found == 'do not end' else ''}"
            print(f"{'MISSED' if found == 'pass' else 'caught'}  {told}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
