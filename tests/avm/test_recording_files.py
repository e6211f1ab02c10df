"""Where a recording goes: its files, the recorder, a text as a whole, and no sockets for a rerun."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avm.host.core import Core
from avm.host.keys import Keyring
from avm.limits import Limits
from avm.recording.limits import RecordLimits
from avm.recording.log import BadRecording
from avm.recording.rerun import Rerun
from avm.run.recorder import Files, Recorder
from avm.run.recordings import from_text as make_of_text
from avm.run.recordings import prepare, recording_in, segments_in, write_text
from avm.store.memory import MemoryStore
from tests.sim.recordings import of_counter, of_lives

ROOT = Path(__file__).resolve().parents[2]
LIMITS = RecordLimits(bytes_max=40_000, segment_bytes=10_000)

# The files.


def test_segments_are_for_their_owner_alone_and_the_oldest_go(tmp_path: Path) -> None:
    place = tmp_path / "recording"
    assert prepare(place) == (0, 0)
    files = Files(place, LIMITS)
    for number in range(1, 10):
        files.segment(number)
        files.write(bytes([number]) * 9_000)
    files.close()
    kept = segments_in(place)
    assert [one.name for one in kept] == [f"{n:08}.segment" for n in (6, 7, 8, 9)]
    assert sum(one.stat().st_size for one in kept) <= LIMITS.bytes_max
    assert {one.stat().st_mode & 0o777 for one in kept} == {0o600}
    assert place.stat().st_mode & 0o777 == 0o700
    assert not files.failed and files.waiting_bytes == 0


class Notes:
    """What a host would say."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.said.append((event, fields["why"]))


def a_core() -> Core:
    return Core(
        Keyring(b"s" * 32, b"t" * 32), Limits(), now_ms=1_700_000_000_000, python="3", version="v"
    )


def test_a_recorder_writes_what_the_core_is_told_and_goes_on_in_the_next_run(
    tmp_path: Path,
) -> None:
    lasts: list[int] = []
    for run in (1, 2):
        core = a_core()
        recorder = Recorder(tmp_path / "r", core, MemoryStore(), RecordLimits(), run, Notes())
        core.worker_up(1)
        core.tick(1_700_000_001_000)
        recorder.settled()
        assert recorder.status()["recording"] is True
        recorder.close()
        rerun = Rerun(version="v")
        for segment in recording_in(tmp_path / "r"):
            rerun.take(segment.items_untrusted())
        assert (rerun.found, rerun.runs, rerun.segments, rerun.ended) == (None, run, run, True)
        lasts.append(rerun.last)
    assert lasts == [2, 4]


def test_a_disk_that_takes_no_more_ends_the_recording_with_a_line_and_not_the_host(
    tmp_path: Path,
) -> None:
    core, notes = a_core(), Notes()
    place, limits = tmp_path / "r", RecordLimits(segment_bytes=1)
    recorder = Recorder(place, core, MemoryStore(), limits, 1, notes)
    # Where the next segment would be something is in the way, as when there is no room.
    (place / "00000002.segment").mkdir()
    ticks = Ticks(core, recorder)
    wait_until(lambda: ticks.tick() or notes.said)
    assert notes.said == [("recording.stopped", f"{place}: File exists")]
    ticks.tick()
    recorder.close()
    assert len(notes.said) == 1 and recorder.status()["recording"] is False


class Ticks:
    """A host that is only told the time."""

    def __init__(self, core: Core, recorder: Recorder) -> None:
        self.core = core
        self.recorder = recorder
        self.now_ms = 1_700_000_000_000

    def tick(self) -> bool:
        """A second goes by; always False."""
        self.now_ms += 1_000
        self.core.tick(self.now_ms)
        self.recorder.settled()
        return False


def test_a_disk_that_is_too_slow_ends_the_recording_with_a_line_and_not_the_host(
    tmp_path: Path,
) -> None:
    core, notes = a_core(), Notes()
    limits = RecordLimits(waiting_bytes=1)
    recorder = Recorder(tmp_path / "r", core, MemoryStore(), limits, 1, notes)
    ticks = Ticks(core, recorder)
    wait_until(lambda: ticks.tick() or notes.said)
    assert notes.said == [("recording.stopped", "the disk is too slow: record.waiting_bytes")]
    assert "tick" not in core.__dict__
    ticks.tick()
    recorder.close()
    assert len(notes.said) == 1 and recorder.status()["recording"] is False


def wait_until(condition: Any, within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end


def test_a_directory_that_cannot_hold_a_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadRecording, match="cannot be made: it is there, and no directory"):
        prepare(tmp_path / "file")
    with pytest.raises(BadRecording, match="holds no recording"):
        next(recording_in(tmp_path))
    place = tmp_path / "open"
    place.mkdir(mode=0o755)
    (place / "00000001.segment").write_bytes(of_counter().segments[0])
    with pytest.raises(BadRecording, match="chmod 700"):
        prepare(place)
    place.chmod(0o700)
    assert prepare(place) == (1, of_counter().last)
    (place / "00000001.segment").write_bytes(b"x" * 100)
    with pytest.raises(BadRecording, match="record to another directory"):
        prepare(place)
    (place / "00000003.segment").write_bytes(b"")
    with pytest.raises(
        BadRecording, match=r"between 00000001\.segment and 00000003\.segment is missing"
    ):
        list(recording_in(place))


def test_a_text_makes_a_recording_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "r"
    place.mkdir(mode=0o700)
    for number, body in enumerate(of_lives(0).segments, 1):
        (place / f"{number:08}.segment").write_bytes(body)
    text = tmp_path / "text"
    count = write_text(place, text)
    lines = text.read_text().splitlines()
    assert len(lines) == count and text.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadRecording, match="exists"):
        write_text(place, text)
    again = tmp_path / "again"
    segments, _items = make_of_text(lines, again)
    assert [one.read_bytes() for one in segments_in(again)] == list(of_lives(0).segments)
    assert segments == len(of_lives(0).segments) and again.stat().st_mode & 0o777 == 0o700
    for bad, why in (
        ([*lines, "nonsense"], "does not begin"),
        (lines[1:], "begins with"),
        ([], "nothing"),
    ):
        with pytest.raises(BadRecording, match=why):
            make_of_text(bad, tmp_path / "bad")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again", "r", "text"]
    with pytest.raises(BadRecording, match="exists"):
        make_of_text(lines, again)


# No sockets.

TRIES = """
import socket, sys
from avm.past.unconnected import Unconnected, block_sockets
pair = socket.socketpair()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
block_sockets(local={local})
def blocked(what):
    try:
        what()
    except Unconnected:
        return True
    return False
print([
    blocked(lambda: socket.create_connection(("127.0.0.1", 9), 1)),
    blocked(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    blocked(lambda: socket.getaddrinfo("localhost", 80)),
    blocked(lambda: udp.sendto(b"x", ("127.0.0.1", 9))),
    blocked(lambda: udp.bind(("127.0.0.1", 0))),
    blocked(socket.socketpair),
])
"""


@pytest.mark.parametrize("local", [False, True])
def test_p04_sockets_are_blocked_while_a_recording_is_told_again(local: bool) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TRIES.format(local=local)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    assert done.stdout == f"{[True] * 5 + [not local]}\n"


def test_what_cannot_be_written_down_ends_the_recording_with_a_line_and_not_the_host(
    tmp_path: Path,
) -> None:
    core, notes = a_core(), Notes()
    limits = RecordLimits(segment_bytes=1)
    recorder = Recorder(tmp_path / "r", core, MemoryStore(), limits, 1, notes)
    ticks = Ticks(core, recorder)
    ticks.tick()
    strange: Any = object()
    core.host.counts["strange"] = strange
    ticks.tick()
    why = "what the host knows cannot be written down: a builtins.object is not known to this form"
    assert notes.said == [("recording.stopped", why)]
    ticks.tick()
    recorder.close()
