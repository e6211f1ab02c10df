"""A part of the bench in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from bench.wire import BenchFailed

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 180


def result_of(module: str, *arguments: str) -> dict[str, float]:
    """Runs a module of the bench, and reads the one JSON line that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise BenchFailed(f"{module} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    found: dict[str, float] = json.loads(lines[-1])
    return found
