"""`python -m tests.mutants [NAME ..]`: applies each seeded fault to a copy, and runs the tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("caps", "dht", "avm", "tests", "examples", "pyproject.toml")
WHOLE = ("tests/sim", "tests/avm/test_host_units.py")


def broken_copy(fault: Fault, into: Path) -> None:
    """The tree with one fault in it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.db*")
            shutil.copytree(source, into / name, ignore=ignored)
        else:
            shutil.copy(source, into / name)
    file = into / fault.file
    text = file.read_text()
    assert text.count(fault.old) == 1, f"{fault.name}: its place in {fault.file} has changed"
    file.write_text(text.replace(fault.old, fault.new))


def catches(fault: Fault, *tests: str, timeout_s: float = 60) -> bool:
    """Whether these tests fail on a copy with the fault."""
    with tempfile.TemporaryDirectory() as name:
        broken_copy(fault, Path(name))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environ = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=name, env=environ, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return True
    output = done.stdout.decode()
    assert done.returncode in (0, 1), output + done.stderr.decode()
    return done.returncode == 1


def main() -> int:
    """Runs each fault against the simulated suites; 1 when one is not caught."""
    wanted = sys.argv[1:]
    missed = []
    for fault in FAULTS:
        if wanted and fault.name not in wanted:
            continue
        caught = catches(fault, *WHOLE)
        print(f"{'caught' if caught else 'MISSED'}  {fault.name}", flush=True)
        if not caught:
            missed.append(fault.name)
    print(f"{len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
