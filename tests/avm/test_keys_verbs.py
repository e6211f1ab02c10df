"""`keys` and `audit`, in this process: what they do to a directory, and what they refuse in a line."""

import io
import json
import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from avm.cli.main import main
from avm.host import auditlog
from avm.host.audited import ROW
from avm.host.auditlog import AuditLog
from avm.run import auditing, starting
from avm.run.backup import KEYS, drop_keys, take_keys
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.errors import KeysLocked, KeysRefused, PassphraseRefused
from avm.run.passphrase import Passphrases
from avm.store.interface import Key, Transaction
from avm.store.sqlite import SqliteStore
from caps.locked import is_locked

KEYS_OF = bytes(range(100, 164))
ONE, OTHER = "first of all", "second of two"


class Place:
    """A directory with keys, and commands about it with passphrases from a descriptor."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = Directory(path)
        self.capsys = capsys
        self.directory.keyring(lambda _size: KEYS_OF)

    @classmethod
    def of(cls, directory: Directory, capsys: pytest.CaptureFixture[str]) -> "Place":
        """A directory as it is, with keys or without."""
        one = cls.__new__(cls)
        one.directory, one.capsys = directory, capsys
        return one

    def __call__(self, *words: str, said: tuple[str, ...] = ()) -> SimpleNamespace:
        option: list[str] = []
        if said:
            read, write = os.pipe()
            os.write(write, "".join(f"{line}\n" for line in said).encode())
            os.close(write)
            option = ["--passphrase-fd", str(read)]
        code = main(["--dir", str(self.directory.path), *words, *option])
        out, err = self.capsys.readouterr()
        assert err.count("\n") <= 1, err
        return SimpleNamespace(code=code, out=out, err=err)

    def body(self) -> bytes:
        return self.directory.key_file.read_bytes()

    def with_store(self, entries: int = 0) -> None:
        store = SqliteStore.create_or_open(self.directory.store)
        log = AuditLog()
        puts: dict[Key, bytes | None] = {}
        for n in range(entries):
            rows = log.append(1_700_000_000_000 + n, "created", {"machine": f"m{n}"}, 100)
            puts |= {("audit", number): body for number, body in rows}
        store.commit([Transaction({**puts, ROW: auditlog.to_bytes(log)})])
        store.close()

    def acts(self) -> list[object]:
        lines = self("audit", "--json").out.splitlines()
        return [json.loads(line)["about"].get("act") for line in lines]


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path / "h", capsys)


def test_s07_a_passphrase_is_put_on_changed_and_taken_off(place: Place) -> None:
    place.with_store()
    assert "in the open" in place("keys").out
    assert place("keys", "lock", said=(ONE,)).code == 0
    assert is_locked(place.body()) and KEYS_OF[:32] not in place.body()
    assert stat.S_IMODE(place.directory.key_file.stat().st_mode) == 0o600
    assert json.loads(place("keys", "--json").out)["locked"] is True
    before = place.body()
    wrong = place("keys", "lock", said=(OTHER, OTHER))
    assert wrong.code == 1 and "does not open" in wrong.err and place.body() == before
    assert place("keys", "lock", said=(ONE, OTHER)).code == 0
    assert place.body() != before
    assert place("keys", "unlock", said=(OTHER,)).code == 0
    assert place.body() == KEYS_OF
    assert place.acts() == [
        "put under a passphrase",
        "put under another passphrase",
        "taken from under their passphrase",
    ]


def test_the_bytes_of_the_open_keys_are_wiped_when_they_are_locked(place: Place) -> None:
    fd = os.open(place.directory.key_file, os.O_RDONLY)
    try:
        assert place("keys", "lock", said=(ONE,)).code == 0
        assert os.pread(fd, 100, 0) == bytes(len(KEYS_OF))
    finally:
        os.close(fd)


def test_locked_keys_that_were_changed_open_nothing(place: Place) -> None:
    place("keys", "lock", said=(ONE,))
    body = place.body()
    place.directory.key_file.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    told = place("keys", "unlock", said=(ONE,))
    assert told.code == 1 and "the passphrase does not open" in told.err
    place.directory.key_file.write_bytes(body[:-1])
    told = place("keys", "unlock", said=(ONE,))
    assert told.code == 1 and "is damaged" in told.err and "backup" in told.err


def test_s07_what_others_could_open_is_refused_with_the_remedy(place: Place) -> None:
    place.with_store()
    for path, right in (
        (place.directory.keys, "700"),
        (place.directory.key_file, "600"),
        (place.directory.store, "600"),
    ):
        path.chmod(0o755 if right == "700" else 0o640)
        with pytest.raises(KeysRefused, match=rf"run `chmod {right} {path}`"):
            starting.run(place.directory, Config())
        path.chmod(int(right, 8))


def test_a_recording_is_not_made_of_keys_under_a_passphrase(place: Place, tmp_path: Path) -> None:
    place.with_store()
    place("keys", "lock", said=(ONE,))
    known = Directory(place.directory.path, passphrase=lambda: ONE.encode())
    with pytest.raises(KeysRefused, match="keys unlock"):
        starting.run(known, Config(), tmp_path / "recording")
    assert not (tmp_path / "recording").exists()


def test_keys_of_a_backup_that_were_locked_meanwhile_leave_the_store(place: Place) -> None:
    place.directory.key_file.unlink()
    store = SqliteStore.create_or_open(place.directory.store)
    store.commit([Transaction({KEYS: KEYS_OF})])
    store.close()
    assert take_keys(place.directory) is True
    store = SqliteStore.create_or_open(place.directory.store)
    store.commit([Transaction({KEYS: KEYS_OF})])
    store.close()
    place("keys", "lock", said=(ONE,))
    store = SqliteStore.create_or_open(place.directory.store)
    drop_keys(place.directory, store)
    assert store.get(KEYS) is None
    store.commit([Transaction({KEYS: bytes(64)})])
    drop_keys(place.directory, store)
    assert store.get(KEYS) == bytes(64), "another host's: there may be no other copy"
    store.close()


# Where passphrases come from.


def test_a_passphrase_comes_from_a_credential_of_the_service_manager(tmp_path: Path) -> None:
    (tmp_path / "avm-host").write_bytes(ONE.encode() + b"\n")
    found = Passphrases({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.present() == ONE.encode()


@pytest.mark.parametrize("said", [b"", b"\n", b"x" * 1025 + b"\n", b"x" * 5000])
def test_what_is_no_passphrase_is_refused(said: bytes) -> None:
    read, write = os.pipe()
    os.write(write, said)
    os.close(write)
    with pytest.raises(PassphraseRefused):
        Passphrases({}, read).present()


def test_a_descriptor_that_is_not_open_is_told(place: Place) -> None:
    place("keys", "lock", said=(ONE,))
    told = place("keys", "unlock", "--passphrase-fd", "987")
    assert told.code == 1 and "--passphrase-fd 987: Bad file descriptor" in told.err


def test_one_text_is_one_passphrase_however_it_is_put_together() -> None:
    found = []
    for text in ("caf\u00e9", "cafe\u0301"):
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        found.append(Passphrases({}, read).present())
    assert found[0] == found[1]


def test_nobody_to_ask_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(KeysLocked, match="--passphrase-fd N"):
        Passphrases({}).present()
    with pytest.raises(PassphraseRefused, match="nobody says the new passphrase"):
        Passphrases({}).fresh()


def test_a_terminal_is_asked_twice_and_shows_nothing(place: Place) -> None:
    code, shown = on_a_terminal(place, ["keys", "lock"], [ONE, ONE])
    assert code == 0 and "the same again" in shown and ONE not in shown
    assert is_locked(place.body())
    code, shown = on_a_terminal(place, ["keys", "lock"], [ONE, OTHER, ONE])
    assert code == 1 and "not the same: nothing was changed" in shown


def on_a_terminal(place: Place, words: list[str], typed: list[str]) -> tuple[int, str]:
    """A command on a terminal of its own: what it shows, and its exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "avm.cli.main", "--dir", str(place.directory.path), *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    waiting = list(typed)
    while True:
        try:
            more = os.read(ours, 1000)
        except OSError:  # Linux says so of a terminal whose other end is closed.
            break
        if not more:
            break
        shown += more
        if waiting and more.rstrip().endswith(b":"):
            os.write(ours, waiting.pop(0).encode() + b"\n")
    os.close(ours)
    return process.wait(30), shown.decode()


# Core dumps.


def test_s07_a_process_with_keys_makes_no_core_dump() -> None:
    script = (
        "import ctypes, resource; from avm.machine.undumped import forbid_dumps; forbid_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "0", "0"]


# The audit log.


def tamper(place: Place, n: int, body: bytes | None) -> None:
    """Writes a row as whoever has the store could, its checksum right."""
    store = SqliteStore.create_or_open(place.directory.store)
    store.commit([Transaction({("audit", n): body})])
    store.close()


def test_x01_the_first_broken_entry_of_the_audit_log_is_named(place: Place) -> None:
    place.with_store(5)
    whole = place("audit", "verify")
    assert whole.code == 0 and whole.out.startswith("5 entries: the audit log holds; entry 4")
    assert len(place("audit").out.splitlines()) == 5
    tamper(place, 3, None)
    broken = place("audit", "verify")
    assert (
        broken.code == 1 and "entry 3 of the audit log does not hold: it is missing" in broken.err
    )
    listed = place("audit")
    assert listed.code == 1 and len(listed.out.splitlines()) == 3
    assert json.loads(place("audit", "verify", "--json").out)["broken"]["n"] == 3
    whole = place("verify")
    assert whole.code == 5 and "the audit log, entry 3: it is missing" in whole.out


def test_the_audit_log_is_read_from_a_time_on(place: Place) -> None:
    place.with_store(3)
    assert len(place("audit", "--since", "2023-11-14T22:13:20.001Z").out.splitlines()) == 2
    assert place("audit", "--since", "1h").out == ""
    assert place("audit", "verify", "--since", "1h").code == 2
    assert place("audit", "lies").code == 2
    assert place("audit", "--since", "never").code == 2


def test_what_is_counted_is_not_shown_where_its_hour_was_over_before(place: Place) -> None:
    place.with_store(1)
    log = AuditLog()
    entry = log.append(1_700_000_000_000, "created", {}, 100)
    log.count(log.refused, "expired", 1_700_000_000_000)
    log.count(log.handed, "m.add", 1_700_000_001_000)
    store = SqliteStore.create_or_open(place.directory.store)
    puts: dict[Key, bytes | None] = {("audit", n): body for n, body in entry}
    store.commit([Transaction({**puts, ROW: auditlog.to_bytes(log)})])
    store.close()
    counted = [
        "2023-11-14T22:13:20.000Z  -  refused       since 2023-11-14T22:13:20.000Z, counts expired: 1",
        "2023-11-14T22:13:20.000Z  -  handed-out    since 2023-11-14T22:13:20.000Z, counts m.add: 1",
    ]
    assert place("audit").out.splitlines()[1:] == counted
    # Either may have been counted at any time of the hour.
    assert place("audit", "--since", "2023-11-14T23:13:19Z").out.splitlines() == counted
    assert place("audit", "--since", "2023-11-14T23:13:20Z").out == ""


def test_the_audit_log_is_followed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.with_store(2)

    def meanwhile(_seconds: float) -> None:
        if place.directory.key_file.exists():
            place.directory.key_file.unlink()
            auditing.note_keys(place.directory, "open", "lost")
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", meanwhile)
    told = place("audit", "--follow", "--json")
    assert told.code == 130
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [line["n"] for line in lines] == [0, 1, 2] and lines[2]["about"]["act"] == "lost"


def test_a_verb_of_keys_that_is_none_is_usage(place: Place) -> None:
    assert "it is one of ls, rotate, revoke, host, lock" in place("keys", "break").err
    assert "`avm-host keys export FILE`" in place("keys", "export").err
    assert place("keys", "lock", "me").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lock", "--grace", "7d"), "--grace goes with `avm-host keys rotate N`"),
        (("--generation", "1"), "--generation goes with `avm-host keys revoke N`"),
        (("revoke", "counter", "--generation", "-1"), "`avm-host keys ls counter` lists them"),
    ],
)
def test_what_an_act_of_keys_does_not_take_is_usage(
    place: Place, words: tuple[str, ...], said: str
) -> None:
    told = place("keys", *words)
    assert (told.code, told.out) == (2, "") and said in told.err


@pytest.mark.parametrize("act", ["host", "lock", "unlock"])
@pytest.mark.parametrize("there", [True, False])
def test_where_no_keys_are_yet_it_is_told_what_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], act: str, there: bool
) -> None:
    directory = Directory(tmp_path / "new")
    if there:
        directory.create()
    told = Place.of(directory, capsys)("keys", act)
    assert told.code == 1 and f"`avm-host --dir {directory.path} run` makes" in told.err


def test_where_a_store_has_lost_its_keys_a_backup_is_named(place: Place) -> None:
    place.with_store()
    place.directory.key_file.unlink()
    told = place("keys")
    assert told.code == 1 and "is missing: put it back from a backup" in told.err


def test_a_descriptor_without_the_new_passphrase_is_told_which_line_is_missing(
    place: Place,
) -> None:
    assert place("keys", "lock", said=(ONE,)).code == 0
    told = place("keys", "lock", said=(ONE,))
    assert told.code == 1 and "the present one first and then the new one" in told.err


def test_a_host_that_starts_loads_nothing_of_what_it_seldom_needs() -> None:
    seldom = (
        "caps.patterns",
        "avm.kit",
        "avm.plugin",
        "avm.authority",
        "avm.testing",
        "getpass",
        "cryptography.hazmat.primitives.kdf.argon2",
    )
    program = (
        f"import sys, avm.cli.run, avm.cli.place\nprint([n for n in {seldom} if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.split() == [b"[]"]
