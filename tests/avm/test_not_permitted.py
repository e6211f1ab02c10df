"""What a user is told who may not use a directory: no word of a failed disk, but what to do."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from avm.cli.main import main
from avm.run.directory import Directory
from avm.store.errors import StoreForbidden
from avm.store.sqlite import SqliteStore

NOBODY = 65534
Said = pytest.CaptureFixture[str]


@contextmanager
def as_user(user: int) -> Iterator[None]:
    """As another user for a while, where the tests run as root; else as the one who runs them."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.fixture
def place() -> Iterator[Path]:
    """A host's directory below folders that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "host"
        path.mkdir()
        with closing(SqliteStore.create_or_open(path / "store.db")):
            pass
        yield path
        path.chmod(0o755)


def given_to(user: int, path: Path) -> None:
    """Makes it another user's, if it is root who can."""
    if os.geteuid() == 0:
        for one in (path, *path.iterdir()):
            os.chown(one, user, user)


def told(capsys: Said, *words: str) -> tuple[int, str]:
    code = main(words)
    return code, capsys.readouterr().err.removeprefix("avm-host: ").rstrip("\n")


def test_a_directory_that_its_owner_may_not_write_is_no_failed_disk(
    place: Path, capsys: Said
) -> None:
    given_to(NOBODY, place)
    place.chmod(0o500)
    said = f"{place} may not be read and written by this user: `chmod u+rwx {place}`"
    with as_user(NOBODY):
        assert told(capsys, "--dir", str(place), "ls") == (1, said)
        assert told(capsys, "--dir", str(place), "verify") == (1, said)
        with pytest.raises(StoreForbidden):
            SqliteStore.create_or_open(place / "store.db")


def test_a_store_that_its_owner_may_not_write_is_named_with_the_chmod(place: Path) -> None:
    given_to(NOBODY, place)
    store = place / "store.db"
    store.chmod(0o400)
    with as_user(NOBODY), pytest.raises(StoreForbidden) as refused:
        SqliteStore.create_or_open(store)
    said = f"{store} may not be read and written by this user: `chmod u+rw {store}`"
    assert str(refused.value) == said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_users_host_is_not_taken_for_none(place: Path, capsys: Said) -> None:
    place.chmod(0o700)
    said = f"{place} may not be read and written by this user: run the command as its owner, root"
    with as_user(NOBODY):
        for words in (("status",), ("call", "a.b"), ("ls",), ("keys", "lock"), ("stop",)):
            assert told(capsys, "--dir", str(place), *words) == (1, said), words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_directory_below_one_that_may_not_be_entered(place: Path, capsys: Said) -> None:
    place.parent.chmod(0o700)
    with as_user(NOBODY):
        code, said = told(capsys, "--dir", str(place), "ls")
    assert (code, said.partition(": ")[0]) == (
        1,
        f"{place.parent} may not be entered by this user",
    )


def test_a_file_is_not_taken_for_a_directory(tmp_path: Path, capsys: Said) -> None:
    file = tmp_path / "file"
    file.touch()
    said = f"{file} is no directory: name a host's directory with --dir"
    for words in (("ls",), ("status",), ("state", "x"), ("run",), ("keys", "lock")):
        assert told(capsys, "--dir", str(file), *words) == (1, said), words
    assert Directory(file).no_directory() == said


def test_no_store_is_told_with_the_command_for_this_directory(tmp_path: Path, capsys: Said) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    said = f"there is no store.db in {place}: `avm-host --dir '{place}' run` creates one"
    assert told(capsys, "--dir", str(place), "ls") == (1, said)
    (place / "store.db").touch()
    said = f"{place}/store.db is empty: `avm-host --dir '{place}' run` fills it"
    assert told(capsys, "--dir", str(place), "ls") == (1, said)
