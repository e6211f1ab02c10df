"""Of SQLite's log: a commit that a crash cut is none that is damaged, wherever a sector ends."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from avm.store.file import PAGE_BYTES
from avm.store.log import SECTOR_BYTES, damage_in_log_untrusted

BEFORE = 41
"""Frames of the log before the commit that is cut: after so many a sector ends in a frame's head."""


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[tuple[bytes, bytes]]:
    """A log that was begun anew over one whose frames are commits, before and after its last commit."""
    path = tmp_path / "some.db"
    connection = apsw.Connection(str(path))
    for name, value in (("page_size", PAGE_BYTES), ("journal_mode", "wal")):
        connection.pragma(name, value)
    connection.pragma("wal_autocheckpoint", 0)
    connection.execute("CREATE TABLE some (id INTEGER PRIMARY KEY, body BLOB)")
    connection.execute("INSERT INTO some VALUES (1, 0)")
    log = Path(f"{path}-wal")

    def commits(count: int) -> None:
        for number in range(count):
            connection.execute("UPDATE some SET body = ?", (number,))

    commits(BEFORE + 9)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    commits(BEFORE)
    before = log.read_bytes()
    connection.execute("UPDATE some SET body = ?", (b"a" * 4 * PAGE_BYTES,))
    after = log.read_bytes()
    assert len(before) == len(after)
    yield before, after
    connection.close()


def test_c01_a_commit_of_which_a_sector_is_lost_is_no_damage(
    logs: tuple[bytes, bytes], tmp_path: Path
) -> None:
    before, after = logs
    path = tmp_path / "torn"
    lost = 0
    for at in range(0, len(after), SECTOR_BYTES):
        sector = before[at : at + SECTOR_BYTES]
        if sector != after[at : at + SECTOR_BYTES]:
            path.write_bytes(after[:at] + sector + after[at + SECTOR_BYTES :])
            assert damage_in_log_untrusted(path, BEFORE) is None, at
            lost += 1
    assert lost > 4 * PAGE_BYTES // SECTOR_BYTES


def test_two_whole_commits_behind_what_is_unreadable_are_damage(
    logs: tuple[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "flipped"
    path.write_bytes(logs[0])
    for readable in range(BEFORE + 1):
        found = damage_in_log_untrusted(path, readable)
        assert (found is not None) == (BEFORE - readable >= 2), readable
