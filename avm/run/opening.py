"""What a host stands on is opened: its keys, its store, and a core that has what is in it. Shell.

Before the journey. Keys come before the store that needs them, the core is filled before anybody can ask
it for something.
"""

import gc
import os
import time
from importlib import import_module
from pathlib import Path

import trio

from avm.host.audited import FOUND, keys_stand
from avm.host.core import Core
from avm.run.backup import drop_keys, take_keys
from avm.run.config import Config
from avm.run.directory import Directory, check_mode
from avm.run.errors import KeysRefused
from avm.run.loading import load_core
from avm.run.noting import note
from avm.run.runtime import PYTHON, Runtime
from avm.run.spawn import Prepared
from avm.store.sqlite import SqliteStore
from avm.version import VERSION
from caps.locked import is_locked

# What a host seldom needs is imported when it does.
RECORDER = "avm.run.recorder"
# New objects between two looks for circles, of which a host makes few.
GARBAGE = 20_000


def run(directory: Directory, config: Config, prepared: Prepared, record: Path | None) -> int:
    """Runs the host of a directory that this process has locked, until it is told to stop.

    Returns the exit code; raises `AvmError` with one line when the host cannot start.
    """
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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
