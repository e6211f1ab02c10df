"""A file that a command cannot write, for want of room: named in one line, and not left there in part."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.avm import short_of_room
from tests.sim.recordings import of_counter


def recorded(here: Path) -> None:
    """A recording, and its text."""
    (here / "rec").mkdir(mode=0o700)
    (here / "rec" / "00000001.segment").write_bytes(of_counter().segments[0])
    command = [sys.executable, "-m", "avm.cli.main", "rerun", "rec", "--text", "text"]
    subprocess.run(command, cwd=here, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "file", "left"),
    [
        ("new counter", "counter/counter.py", {"rec", "text"}),
        ("rerun rec --text more", "{here}/more", {"rec", "text"}),
        ("rerun other --from-text text", "{here}/other", {"rec", "text"}),
    ],
)
def test_a_file_that_there_is_no_room_for_is_named(
    words: str, file: str, left: set[str], tmp_path: Path
) -> None:
    recorded(tmp_path)
    command = [*short_of_room.COMMAND, *words.split()]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stderr == f"avm-host: {file.format(here=tmp_path)}: File too large\n"
    assert ran.returncode == 1 and {one.name for one in tmp_path.iterdir()} == left
