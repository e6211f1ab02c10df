"""`python -m tests.mutants [NAME ..]`: applies each seeded fault to a copy, and runs the tests."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants import campaign, crashes, kinds, recording, travel, world
from tests.mutants.carrying import CARRYING
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.shells import SHELL_FAULTS
from tests.mutants.speed import SPEED

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("caps", "dht", "avm", "tests", "examples", "pyproject.toml")
WHOLE = ("tests/sim", "tests/avm/test_host_units.py")
PATIENCE_S = 300
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
    *kinds.FAULTS,
)


def broken_copy(fault: Fault | None, into: Path) -> None:
    """The tree with one fault in it, or with none."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.db*")
            shutil.copytree(source, into / name, ignore=ignored)
        else:
            shutil.copy(source, into / name)
    if fault is None:
        return
    file = into / fault.file
    text = file.read_text()
    assert text.count(fault.old) == 1, f"{fault.name}: its place in {fault.file} has changed"
    file.write_text(text.replace(fault.old, fault.new))


def outcome(fault: Fault | None, *tests: str, timeout_s: float) -> str:
    """What these tests do on a copy with the fault: "pass", "fail" or "do not end"."""
    with tempfile.TemporaryDirectory() as name:
        broken_copy(fault, Path(name))
        options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        environ = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=name, env=environ, stdout=pipe, stderr=pipe, start_new_session=True
        ) as run:
            try:
                output, errors = run.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)  # the hosts of its tests too
                return "do not end"
    assert run.returncode in (0, 1), output.decode() + errors.decode()
    return "fail" if run.returncode else "pass"


def catches(fault: Fault, *tests: str, timeout_s: float = 40) -> bool:
    """Whether these tests fail, or do not end, on a copy with the fault."""
    return outcome(fault, *tests, timeout_s=timeout_s) != "pass"


def suite(fault: Fault | None) -> tuple[str, ...]:
    """The simulated suites, and the file that is known to catch the fault where it is no part of them."""
    known = fault.caught_by.partition("::")[0] if fault else ""
    return WHOLE if not known or known.startswith(WHOLE) else (*WHOLE, known)


def main() -> int:
    """Runs each fault against the simulated suites; 1 when one is not caught."""
    wanted = sys.argv[1:]
    without = outcome(None, *suite(None), timeout_s=PATIENCE_S)
    if without != "pass":
        print(f"the suites {without} without a fault: nothing can be told")
        return 1
    missed = []
    for fault in ALL:
        if wanted and fault.name not in wanted:
            continue
        found = outcome(fault, *suite(fault), timeout_s=PATIENCE_S)
        slow = f" (the tests do not end in {PATIENCE_S} s)" if found == "do not end" else ""
        print(f"{'MISSED' if found == 'pass' else 'caught'}  {fault.name}{slow}", flush=True)
        if found == "pass":
            missed.append(fault.name)
    print(f"{len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
