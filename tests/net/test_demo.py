"""The demonstration, run whole as `make demo` runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

pytestmark = pytest.mark.net

ROOT = Path(__file__).parents[2]
WHOLE_S_MAX = 60.0
LIAR = """#!/bin/bash
exec {real} "${{@//\\"amount\\": 30/\\"amount\\": 20}}"
"""


def test_x10_the_demonstration_crashes_and_loses_nothing_in_a_minute() -> None:
    began = monotonic()
    ran = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * WHOLE_S_MAX,
        check=False,
    )
    took_s = monotonic() - began
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert ran.stdout.count("\n$ kill -9 ") == 5
    assert len(re.findall(r"replay \w+\n.*every digest agrees", ran.stdout)) == 4
    assert "\n  NO " not in ran.stdout
    assert took_s < WHOLE_S_MAX


def test_x10_the_makefile_runs_the_demonstration() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\n\t@$(BIN)/python examples/demo.py\n" in makefile
    assert "\n\t@$(BIN)/python -m examples.demo_hosts\n" in makefile


def test_x10_the_demonstration_fails_where_something_does_not_hold(tmp_path: Path) -> None:
    """Beside its Python stands an `avm-host` that pays out less than it is told to."""
    python, liar = tmp_path / "python", tmp_path / "avm-host"
    python.symlink_to(sys.executable)
    liar.write_text(LIAR.format(real=Path(sys.executable).with_name("avm-host")))
    liar.chmod(0o755)
    ran = subprocess.run(
        [python, "examples/demo.py"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WHOLE_S_MAX,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "\n  NO   30 of the 100 were paid" in ran.stdout
    assert "This does not hold: 30 of the 100 were paid" in ran.stdout


def test_x10_three_hosts_find_each_other_and_lose_nothing() -> None:
    began = monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "examples.demo_hosts"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * WHOLE_S_MAX,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert ran.stdout.count("$ kill -9 ") == 2
    assert "nothing lost, nothing doubled" in ran.stdout and "\n  NO " not in ran.stdout
    assert monotonic() - began < WHOLE_S_MAX
