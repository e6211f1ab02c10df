"""The recorder of a running host: what its core hears goes to files, by a thread of its own. Shell.

Beside the journey. The host waits for nothing here: where the disk is full or too slow the recording
ends with a line, and the host goes on.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from avm.graph import NotPlain
from avm.host.core import Core
from avm.host.effects import Load
from avm.recording.limits import RecordLimits
from avm.recording.tape import Tape
from avm.run.recordings import FILE_MODE, number_of, path_of, prepare, segments_in
from avm.store.errors import StoreDamaged
from avm.store.interface import Store

# What comes within this time is written together.
GATHER_S = 0.02
CLOSE_S_MAX = 10.0
Note = Callable[..., None]


class Files:
    """Writes segments one after the other, in a thread; drops the oldest when there are too many."""

    def __init__(self, place: Path, limits: RecordLimits) -> None:
        self._place = place
        self._limits = limits
        self._work: deque[bytes | int | None] = deque()
        self._bell = threading.Event()
        self._file = -1
        self._given = 0
        self._written = 0
        self.failed = ""
        self._thread = threading.Thread(target=self._run, name="avm-recorder", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """What is still to be written."""
        return self._given - self._written

    def segment(self, number: int) -> None:
        """What comes from here on is of another segment."""
        self._work.append(number)

    def write(self, packed: bytes) -> None:
        """Takes the next item."""
        self._given += len(packed)
        self._work.append(packed)

    def ring(self) -> None:
        """There is something to write."""
        if not self._bell.is_set():
            self._bell.set()

    def close(self) -> None:
        """Writes what is left, and ends the thread."""
        self._work.append(None)
        self._bell.set()
        self._thread.join(CLOSE_S_MAX)

    def _run(self) -> None:
        try:
            while self._write_some():
                self._bell.wait()
                self._bell.clear()
                time.sleep(GATHER_S)
        except OSError as error:
            self.failed = f"{self._place}: {error.strerror}"
        finally:
            if self._file >= 0:
                os.close(self._file)

    def _write_some(self) -> bool:
        """Writes what there is; False at the end."""
        gathered: list[bytes] = []
        while self._work:
            work = self._work.popleft()
            if type(work) is bytes:
                gathered.append(work)
                continue
            self._put(gathered)
            if work is None:
                return False
            assert type(work) is int
            self._open(work)
        self._put(gathered)
        return True

    def _put(self, gathered: list[bytes]) -> None:
        left = memoryview(b"".join(gathered))
        gathered.clear()
        while left:
            count = os.write(self._file, left)
            self._written += count
            left = left[count:]

    def _open(self, number: int) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._make_room(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(path_of(self._place, number), flags, FILE_MODE)

    def _make_room(self, number: int) -> None:
        """Drops the oldest segments, so that the next one fits."""
        before = [one for one in segments_in(self._place) if number_of(one) < number]
        size = sum(one.stat().st_size for one in before) + self._limits.segment_bytes
        for one in before:
            if size <= self._limits.bytes_max:
                return
            size -= one.stat().st_size
            one.unlink()


class Recorder:
    """Records a host from its start on."""

    def __init__(
        self, place: Path, core: Core, store: Store, limits: RecordLimits, run: int, note: Note
    ) -> None:
        """Raises `BadRecording` where there cannot be one; `run` tells this start from others."""
        self.place = place
        self._core = core
        self._store = store
        self._limits = limits
        self._note = note
        segment, last = prepare(place)
        self._files = Files(place, limits)
        self._tape: Tape | None = Tape(core, self._files, run, segment, last)
        self._tape.begin()
        self._files.ring()

    def settled(self) -> None:
        """The end of a pass: all effects are carried out. Hands over what was heard."""
        tape = self._tape
        if tape is None:
            return
        slow = self._files.waiting_bytes > self._limits.waiting_bytes
        if self._files.failed or slow:
            self._stop(self._files.failed or "the disk is too slow: record.waiting_bytes")
            return
        if tape.size > self._limits.segment_bytes and not self._core.host.effects:
            try:
                tape.begin_segment()
            except NotPlain as error:
                self._stop(f"what the host knows cannot be written down: {error}")
                return
            with suppress(StoreDamaged), self._store.reading():
                tape.keep_loaded(self._store, self._limits.machines_bytes)
        self._files.ring()

    def loading(self, effect: Load) -> None:
        """A machine is about to be loaded from the store."""
        machine = self._core.host.by_id.get(effect.machine)
        if self._tape is not None and machine is not None:
            with suppress(StoreDamaged), self._store.reading():
                self._tape.keep(machine, self._store)

    def close(self) -> None:
        """The host stops by itself: so does the recording."""
        if self._tape is not None:
            self._tape.end()
            self._tape = None
        self._files.close()

    @property
    def where(self) -> str:
        """Where the recording is, and what to mind, as a person is told."""
        return f"in {self.place}: keys and all that is said are in it"

    def status(self) -> dict[str, object]:
        """Where it goes and how far it is, for `status`."""
        tape = self._tape
        return {
            "dir": str(self.place),
            "recording": tape is not None,
            "segment": None if tape is None else tape.segment,
            "inputs": None if tape is None else tape.last,
            "waiting_bytes": self._files.waiting_bytes,
        }

    def _stop(self, why: str) -> None:
        assert self._tape is not None
        self._tape.end(whole=False)
        self._tape = None
        self._note("recording.stopped", why=why)
        self._files.close()
