"""`keys export`, `keys import`: the host's keys in a file, and what they refuse in a line."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from avm.cli.main import main
from avm.host import rows
from avm.host.state import Machine, Status
from avm.run.directory import Directory
from avm.store.interface import Transaction
from avm.store.sqlite import SqliteStore
from caps.locked import is_locked
from tests.avm import short_of_room
from tests.avm.test_keys_verbs import KEYS_OF, ONE, OTHER, Place, place

__all__ = ["place"]


def test_keys_are_carried_in_a_file_under_a_passphrase(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.with_store()
    file = tmp_path / "keys.locked"
    assert place("keys", "export", str(file), said=(ONE,)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_locked(file.read_bytes()) and place.body() == KEYS_OF
    assert place.acts() == ["exported"]
    again = place("keys", "export", str(file), said=(ONE,))
    assert again.code == 1 and "exists: name another file" in again.err
    there = place("keys", "import", str(file), said=(ONE,))
    assert there.code == 1 and "these keys already" in there.err
    place.directory.key_file.unlink()
    assert "does not open" in place("keys", "import", str(file), said=(OTHER,)).err
    assert not place.directory.key_file.exists()
    assert place("keys", "import", str(file), said=(ONE,)).code == 0
    assert place.body() == file.read_bytes(), "they stay under that passphrase"
    elsewhere = Directory(tmp_path / "other")
    ring = elsewhere.keyring(lambda size: bytes(size))
    store = SqliteStore.create_or_open(elsewhere.store)
    sealed = ring.close_machine(bytes(32), bytes(32), bytes(24))
    machine = Machine(1, bytes(32), "m", Status.RUNNING, bytes(32), sealed, b"")
    store.commit([Transaction({("machine", 1): rows.encode(machine)})])
    store.close()
    elsewhere.key_file.unlink()
    wrong = Place.of(elsewhere, capsys)("keys", "import", str(file), said=(ONE,))
    assert wrong.code == 1 and "is of another host than these keys" in wrong.err
    assert not elsewhere.key_file.exists()
    code = main(["--dir", str(elsewhere.path), "keys", "import", str(place.directory.store)])
    assert code == 2 and "is no file of" in capsys.readouterr().err


NO_FILE = "is no file of `avm-host keys export` or `avm-host keys certify`"


def test_a_file_of_keys_that_is_damaged_is_told_with_what_to_do(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.locked"
    place("keys", "export", str(file), said=(ONE,))
    whole = file.read_bytes()
    other = Place.of(Directory(tmp_path / "new"), capsys)
    for body, code, why in (
        (
            whole[:-1],
            1,
            "is damaged (it ends too early): export the keys again, or take another copy",
        ),
        (whole[:9], 2, NO_FILE),
        (b"", 2, NO_FILE),
    ):
        file.write_bytes(body)
        told = other("keys", "import", str(file), said=(ONE,))
        assert (told.code, told.out, told.err) == (code, "", f"avm-host: {file} {why}\n")
    file.unlink()
    gone = other("keys", "import", str(file), said=(ONE,))
    assert (gone.code, gone.err) == (2, f"avm-host: {file}: there is no such file\n")
    assert not other.directory.path.exists()


def test_a_passphrase_too_many_is_refused_for_the_wrong_one_might_be_taken(place: Place) -> None:
    """Keys in the open have no present passphrase: the first line would be the new one."""
    told = place("keys", "lock", said=(ONE, OTHER))
    assert told.code == 1 and "in the open, so it is one, the new passphrase" in told.err
    assert place.body() == KEYS_OF
    assert place("keys", "lock", said=(ONE,)).code == 0
    told = place("keys", "lock", said=(ONE, OTHER, OTHER))
    assert told.code == 1 and "it is two, the present passphrase and the new one" in told.err
    assert place("keys", "unlock", said=(ONE,)).code == 0


def test_keys_that_cannot_be_written_are_told_by_the_files_name_and_nothing_is_left(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "keys.locked"
    read, write = os.pipe()
    os.write(write, f"{ONE}\n".encode())
    os.close(write)
    words = ["keys", "export", str(file), "--passphrase-fd", str(read)]
    command = [*short_of_room.COMMAND, "--dir", str(place.directory.path), *words]
    ran = subprocess.run(command, pass_fds=[read], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, f"avm-host: {file}: File too large\n")
    assert list(tmp_path.iterdir()) == [place.directory.path]
