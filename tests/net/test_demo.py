"""The demonstration, run whole as `make demo` runs it."""

import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

pytestmark = pytest.mark.net

ROOT = Path(__file__).parents[2]
WHOLE_S_MAX = 60.0


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
    assert "\n\t@$(BIN)/python examples/demo.py\n" in (ROOT / "Makefile").read_text()
