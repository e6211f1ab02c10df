"""A host process for the tests, which can be told to kill itself at a named point.

`entry.py DIR [--set KEY=VALUE].. [--point NAME --at K]`: the K-th time that the point is reached,
the process gets a SIGKILL from itself, whatever its other threads are doing then. With `--hold FILE`
no commit begins while that file is there, as on a disk that hangs; with `--clock-off S` its clock is
that far off.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from avm.errors import AvmError
from avm.host import acts, due
from avm.host.core import Core
from avm.run.config import Config
from avm.run.control import Control
from avm.run.directory import Directory
from avm.run.pool import Pool
from avm.run.runtime import Runtime
from avm.run.starting import run
from avm.store.errors import StoreError
from avm.store.interface import Transaction
from avm.store.sqlite import SqliteStore

HOLD_POLL_S = 0.01


class Point(NamedTuple):
    """Where the process dies: just before or just after a call, or within an iteration."""

    owner: Any
    name: str
    when: str = "after"


POINTS: dict[str, Point] = {
    "offered": Point(Core, "offer"),
    "dispatched": Point(Pool, "flush"),
    "answered, not folded": Point(Core, "answer", "before"),
    "folded, not handed over": Point(Core, "answer"),
    "handed over, not written": Point(Runtime, "_write", "before"),
    "written, not committed": Point(SqliteStore, "_commit", "within"),
    "committed, not told": Point(SqliteStore, "commit"),
    "told, not heard": Point(Core, "committed", "before"),
    "heard, nothing released": Point(Core, "committed"),
    "verdict queued": Point(Control, "verdict"),
    "answer to a client queued": Point(Control, "deliver"),
    "released": Point(Control, "flush"),
    "timer due": Point(due, "fall_due", "before"),
    "timer fired": Point(due, "fall_due"),
    "taken by a client": Point(Core, "received"),
    "in the middle of loading the host": Point(SqliteStore, "rows", "within"),
    "the host loaded": Point(Core, "load"),
    "in the middle of recovering a machine": Point(SqliteStore, "entries", "within"),
    "a machine recovered": Point(acts.Loading, "finish"),
    "snapshot asked for": Point(acts.Snapshot, "start"),
    "snapshot folded": Point(acts.Snapshot, "finish"),
    "signal folded": Point(acts.Signal, "finish"),
    "worker lost": Point(Pool, "_lose", "before"),
    "worker started": Point(Pool, "_start_one"),
    "draining": Point(Core, "drain"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point, at: int) -> None:
    """Has the process die the `at`-th time that it is at a point."""
    numbers = count(1)
    call: Callable[..., Any] = getattr(point.owner, point.name)

    def reach() -> None:
        if next(numbers) == at:
            _die()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if point.when == "before":
            reach()
        result = call(*args, **kwargs)
        if point.when == "after":
            reach()
        return result

    def iterated(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for one in call(*args, **kwargs):
            reach()
            yield one

    def committing(store: Any, cursor: Any, group: Any) -> None:
        call(store, _Cursor(cursor, reach), group)

    if point.when != "within":
        setattr(point.owner, point.name, wrapped)
    else:
        setattr(point.owner, point.name, committing if point.name == "_commit" else iterated)


class _Cursor:
    """A cursor of the store that tells when a transaction is written and not yet committed."""

    def __init__(self, cursor: Any, reach: Callable[[], None]) -> None:
        self._cursor = cursor
        self._reach = reach

    def execute(self, sql: str) -> None:
        if sql == "COMMIT":
            self._reach()
        self._cursor.execute(sql)

    def executemany(self, sql: str, rows: Any) -> None:
        self._cursor.executemany(sql, rows)


def hold(file: Path) -> None:
    """Has no commit begin while a file is there."""
    commit = SqliteStore.commit

    def held(self: SqliteStore, transactions: Sequence[Transaction]) -> None:
        while file.exists():
            time.sleep(HOLD_POLL_S)
        commit(self, transactions)

    SqliteStore.commit = held  # type: ignore[method-assign]


def set_clock_off(off_s: float) -> None:
    """Has this process believe in another time."""
    true_ns = time.time_ns
    off_ns = round(off_s * 1_000_000_000)
    time.time_ns = lambda: true_ns() + off_ns
    time.time = lambda: time.time_ns() / 1_000_000_000


def main(arguments: list[str]) -> int:
    """Runs the host; the exit codes are the command line's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--point", choices=POINTS)
    parser.add_argument("--at", type=int, default=1)
    parser.add_argument("--hold", type=Path)
    parser.add_argument("--clock-off", type=float, default=0.0)
    given = parser.parse_args(arguments)
    if given.hold:
        hold(given.hold)
    if given.clock_off:
        set_clock_off(given.clock_off)
    if given.point:
        arm(POINTS[given.point], given.at)
    directory = Directory(given.dir)
    try:
        return run(directory, Config.read(directory.config_file, given.set))
    except AvmError as error:
        print(error, file=sys.stderr)
        return 5 if isinstance(error, StoreError) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
