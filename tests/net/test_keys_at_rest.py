"""Keys at rest and in memory, with real processes: where planted key bytes are, and where they are not."""

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from avm.host.keys import Keyring
from avm.past.reading import Reader
from avm.run.directory import Directory
from tests.net.hosts import MACHINES, children_of, prepared_of
from tests.net.test_cli_verbs import COMMAND, Shell, one_line

pytestmark = pytest.mark.net
PLANTED = bytes.fromhex("5eed" * 16 + "5ec7e7" * 10 + "5e07")
PASSPHRASE = "a phrase that nobody guesses"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Shell]:
    """A directory with planted keys, and no host yet."""
    one = Shell(tmp_path)
    (one.directory / "keys").mkdir(parents=True, mode=0o700)
    one.directory.chmod(0o700)
    key = one.directory / "keys" / "host.key"
    key.touch(0o600)
    key.write_bytes(PLANTED)
    yield one
    one.kill()


def with_passphrase(shell: Shell, lines: Iterable[str], *words: str) -> tuple[int, str, str]:
    """A command that is told passphrases by its standard input."""
    return shell(*words, "--passphrase-fd", "0", given="".join(f"{line}\n" for line in lines))


def start(shell: Shell, log: Path) -> None:
    """A host whose passphrase comes by a descriptor, and whose limit would allow core dumps."""
    command = ["sh", "-c", 'ulimit -c $(ulimit -H -c); exec "$@"', "sh"]
    with log.open("ab") as out:
        shell.host = subprocess.Popen(
            [*command, *COMMAND, "run", "--passphrase-fd", "0"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=shell.path,
            env=shell.environ,
        )
    assert shell.host.stdin is not None
    shell.host.stdin.write(PASSPHRASE.encode() + b"\n")
    shell.host.stdin.close()
    code, _, err = shell("status", "--wait", "30")
    assert code == 0, err + log.read_text()


def keys_of_machines(shell: Shell) -> list[bytes]:
    """All that a thief may want of the planted host and its machines, as bytes."""
    ring = Keyring(PLANTED[:32], PLANTED[32:])
    wanted = [PLANTED[:32], PLANTED[32:], bytes(ring._box)]
    with Reader.open(Directory(shell.directory)) as reader:
        for machine in reader.machines():
            opened = ring.open_machine(machine.sealed_keys)
            wanted += [opened[:32], opened[32:64]]
    return wanted


def holds(body: bytes, wanted: Iterable[bytes]) -> bool:
    return any(one in body or one.hex().encode() in body for one in wanted)


def memory_of(pid: int) -> bytes:
    """All of a process that can be read: its memory, its arguments and its environment."""
    found = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            at, end = (int(one, 16) for one in place.split("-"))
            with suppress(OSError, ValueError):
                memory.seek(at)
                found.append(memory.read(end - at))
    return b"".join(found)


def test_x01_a_stolen_directory_with_a_passphrase_reveals_no_key_and_opens_nothing(
    bare: Shell, tmp_path: Path
) -> None:
    bare.start()
    bare.ok("create", str(MACHINES / "tot.py"))
    wanted = [*keys_of_machines(bare), PASSPHRASE.encode()]
    sunday = tmp_path / "sunday.avm"
    code, _, err = with_passphrase(bare, [PASSPHRASE], "backup", str(sunday))
    assert code == 0 and not holds(sunday.read_bytes(), wanted), err
    bare.kill()
    assert holds((bare.directory / "keys" / "host.key").read_bytes(), wanted), "planted"
    code, out, err = with_passphrase(bare, [PASSPHRASE], "keys", "lock")
    assert code == 0 and "under a passphrase" in out, err
    start(bare, tmp_path / "locked.log")
    bare.ok("call", "tot.add", "5")
    backup = tmp_path / "monday.avm"
    bare.ok("backup", str(backup))
    bare.kill()
    files = [path for path in bare.directory.rglob("*") if path.is_file()]
    assert any(path.name == "store.db-wal" for path in files)
    for path in [*files, backup, *tmp_path.glob("*.log")]:
        assert not holds(path.read_bytes(), wanted), path
    for words in (["run"], ["verify"]):
        code, _, err = bare(*words)
        assert code == 1 and "under a passphrase: type it on a terminal" in one_line(err)
    code, _, err = with_passphrase(bare, ["a guess"], "run")
    assert code == 1 and "the passphrase does not open" in one_line(err)
    code, out, err = with_passphrase(bare, [PASSPHRASE], "verify")
    assert code == 0, err


def test_s07_no_key_is_in_a_worker_an_argument_the_environment_or_a_log(
    bare: Shell, tmp_path: Path
) -> None:
    assert with_passphrase(bare, [PASSPHRASE], "keys", "lock")[0] == 0
    log = tmp_path / "locked.log"
    start(bare, log)
    assert bare.host is not None
    bare.ok("create", str(MACHINES / "tot.py"))
    bare.ok("call", "tot.add", "5")
    wanted = [*keys_of_machines(bare), PASSPHRASE.encode()]
    listening = bare.begin("listen")
    assert listening.stdout is not None and listening.stdout.readline().startswith(b"avm:")
    try:
        prepared = prepared_of(bare.host.pid)
        workers = [one for pid in prepared for one in children_of(pid)]
        assert prepared and workers
        for pid in (bare.host.pid, *prepared, *workers):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits)
        if os.geteuid() == 0:
            assert holds(memory_of(bare.host.pid), wanted[:2]), "the host has its keys"
            others = (*children_of(bare.host.pid), *workers, listening.pid)
            for pid in others:
                assert not holds(memory_of(pid), wanted), Path(f"/proc/{pid}/cmdline").read_bytes()
        for name in ("cmdline", "environ"):
            assert not holds(Path(f"/proc/{bare.host.pid}/{name}").read_bytes(), wanted)
    finally:
        listening.send_signal(signal.SIGINT)
        listening.communicate(timeout=30)
    assert not holds(log.read_bytes(), wanted)
    assert not holds(bare.ok("audit", "--json").encode(), wanted)
