"""A host is started: the lock on its directory, the process that forks workers, then all the rest. Shell.

Before the journey, in the one order that holds: no core dump from here on, and workers are forked from a
process that was there before any key was read. That process takes as long to come up as the rest of a
host takes to be imported; so what this file imports is little, and the rest comes beside it.
"""

from importlib import import_module
from pathlib import Path

from avm.machine.undumped import forbid_dumps
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED, Prepared

OPENING = "avm.run.opening"


def run(directory: Directory, config: Config, record: Path | None = None) -> int:
    """Runs a host in the foreground until it is told to stop; returns the exit code.

    `record` is where what it is told is kept. Raises `AvmError` with one line when it cannot start.
    """
    forbid_dumps()
    directory.create()
    lock = directory.acquire_lock()
    prepared = Prepared.start(HASH_SEED, config.limits)
    try:
        code: int = import_module(OPENING).run(directory, config, prepared, record)
        return code
    finally:
        prepared.close()
        lock.close()
