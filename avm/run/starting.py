"""A host is started from its directory: the lock, the process for workers, the keys, the store. Shell.

Before the journey, in the one order that holds: no core dump from here on, workers are forked from a
process that was there before any key was read, keys come before the store that needs them.
"""

import gc
import os
import time
from importlib import import_module
from pathlib import Path

import trio

from avm.host.audited import FOUND, keys_stand
from avm.host.core import Core
from avm.machine.undumped import forbid_dumps
from avm.run.backup import drop_keys, take_keys
from avm.run.config import Config
from avm.run.directory import Directory, check_mode
from avm.run.errors import KeysRefused
from avm.run.loading import load_core
from avm.run.noting import note
from avm.run.runtime import PYTHON, Runtime
from avm.run.spawn import HASH_SEED, Prepared
from avm.store.sqlite import SqliteStore
from avm.version import VERSION
from caps.locked import is_locked

# What a host seldom needs is imported when it does.
RECORDER = "avm.run.recorder"
# New objects between two looks for circles, of which a host makes few.
GARBAGE = 20_000


def run(directory: Directory, config: Config, record: Path | None = None) -> int:
    """Runs a host in the foreground until it is told to stop; returns the exit code.

    `record` is where what it is told is kept. Raises `AvmError` with one line when it cannot start.
    """
    forbid_dumps()
    directory.create()
    lock = directory.acquire_lock()
    prepared = Prepared.start(HASH_SEED, config.limits)
    try:
        if directory.store.exists():
            check_mode(directory.store)
        act = "made" if not directory.store.exists() else FOUND
        act = "came with a backup" if take_keys(directory) else act
        keys = directory.keyring(os.urandom)
        locked = is_locked(directory.key_body())
        if record is not None and locked:
            why = "a recording has the host's keys in the open, and these are under a passphrase"
            raise KeysRefused(f"{why}: `avm-host keys unlock` first, or run without --record")
        store = SqliteStore.create_or_open(directory.store, directory.files)
        try:
            drop_keys(directory, store)
            core = Core(keys, config.limits, now_ms=_now_ms(), python=PYTHON, version=VERSION)
            gc.disable()
            load_core(core, store, config.commons)
            core.do(keys_stand, "locked" if locked else "open", act)
            gc.freeze()
            gc.set_threshold(GARBAGE)
            gc.enable()
            recorder = None
            if record is not None:
                about = (config.record, time.time_ns(), note)
                recorder = import_module(RECORDER).Recorder(record, core, store, *about)
            runtime = Runtime(directory, config, core, store, prepared, recorder)
            code: int = trio.run(runtime.main)
            return code
        finally:
            store.close()
    finally:
        prepared.close()
        lock.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
