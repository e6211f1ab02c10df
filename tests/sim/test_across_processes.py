"""The same seed gives the same journals in another process under another hash seed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
from tests.sim.test_apples import Apples, entries, run
for seed in (3, 4, 5):
    apples = Apples(seed)
    run(apples, 40, crash=0.02, kill=0.02)
    print([entries(apples.world, name)[-1].hash.hex() for name in apples.names])
"""


def heads(hash_seed: str) -> str:
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def test_p01_a_run_is_the_same_in_other_processes_and_under_other_hash_seeds() -> None:
    first, second = heads("1"), heads("2")
    assert first == second and len(first.splitlines()) == 3
