"""Forks in a host's directory: made, found, listed and removed. Shell.

Beside the journey. A fork is a directory like a host's, with a store and keys of its own: what seals
there opens nowhere else, and no host runs on it. So nothing that happens in a fork has an effect.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avm.errors import AvmError
from avm.past.forking import KEY_BYTES, Copy
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.store.files import ON_DISK, make_own_directory
from avm.store.sqlite import SqliteStore
from caps.errors import Malformed
from caps.jsonform import parse

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
FORMAT = 1


class ForkRefused(AvmError):
    """The fork cannot be made or found; the text says why."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork: its name, the machines in it with their turns, and the time it is of."""

    name: str
    machines: Mapping[str, int]
    at_ms: int
    size: int


def find(directory: Directory, name: str) -> Directory:
    """The directory of a fork; ForkRefused."""
    there = directory.forks / name
    if not NAME.fullmatch(name) or not (there / "fork.json").exists():
        known = ", ".join(fork.name for fork in listed(directory)[:10]) or "none yet"
        raise ForkRefused(f"there is no fork {name}; there are: {known}")
    return Directory(there)


def listed(directory: Directory) -> list[Fork]:
    """All forks, by name."""
    if not directory.forks.is_dir():
        return []
    places = sorted(one for one in directory.forks.iterdir() if NAME.fullmatch(one.name))
    return [_read(Directory(place)) for place in places if (place / "fork.json").exists()]


def _read(fork: Directory) -> Fork:
    try:
        machines, at_ms = about_untrusted(fork.fork_file.read_bytes())
    except (OSError, Malformed) as error:
        name = fork.path.name
        why = f"{fork.fork_file} is damaged: {error}"
        raise ForkRefused(f"{why}; `fork rm {name}` removes the fork") from None
    size = sum(one.stat().st_size for one in fork.path.glob("store.db*"))
    return Fork(fork.path.name, machines, at_ms, size)


def about(machines: Mapping[str, int], at_ms: int) -> bytes:
    """What the fork's file says: each machine's turn, and the time."""
    return json.dumps({"format": FORMAT, "machines": dict(machines), "at_ms": at_ms}).encode()


def about_untrusted(body: bytes) -> tuple[dict[str, int], int]:
    """The machines with their turns, and the time in ms, that a fork's file says; Malformed."""
    try:
        said: Any = parse(body.decode())
    except UnicodeDecodeError:
        raise Malformed("not UTF-8 text") from None
    match said:
        case {"format": int(version), "machines": dict(machines), "at_ms": int(at_ms)}:
            if version == FORMAT and all(
                type(turn) is int and turn >= 0 for turn in machines.values()
            ):
                return machines, at_ms
    raise Malformed("not a fork's file of this version")


def make(
    directory: Directory,
    reader: Reader,
    name: str,
    chosen: Mapping[int, int],
    waiting: bool,
    at_ms: int,
) -> Fork:
    """Makes a fork of machines as they were after their turns, whole or not at all; ForkRefused."""
    assert NAME.fullmatch(name), "whoever takes a name from outside checks it"
    make_own_directory(ON_DISK, directory.forks)
    os.chmod(directory.forks, 0o700)
    with _one_at_a_time(directory.forks):
        if (directory.forks / name).exists():
            raise ForkRefused(
                f"there is a fork {name}: give another --name, or `fork rm {name}` first"
            )
        part = Directory(directory.forks / f".{name}.new")
        shutil.rmtree(part.path, ignore_errors=True)
        part.create()
        try:
            copy = Copy(reader, chosen, waiting, part.keyring(os.urandom))
            store = SqliteStore.create_or_open(part.store)
            try:
                for transaction in copy.transactions(_entropy()):
                    store.commit([transaction])
            finally:
                store.close()
            machines = {one.name: chosen[one.id] for one in reader.machines() if one.id in chosen}
            if directory.config_file.exists():
                shutil.copy(directory.config_file, part.config_file)
            part.fork_file.write_bytes(about(machines, at_ms))
            os.rename(part.path, directory.forks / name)
            ON_DISK.sync_directory(directory.forks)
        finally:
            shutil.rmtree(part.path, ignore_errors=True)
        return _read(Directory(directory.forks / name))


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Forks are made one after the other, for what is begun has one name; ForkRefused."""
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = "another fork is being made"
            raise ForkRefused(f"{why}: try again when it is done") from None
        yield
    finally:
        os.close(fd)


def _entropy() -> Iterator[bytes]:
    while True:
        yield os.urandom(KEY_BYTES)


def remove(directory: Directory, name: str) -> None:
    """Removes a fork, a damaged one too; ForkRefused where there is none, DirectoryInUse."""
    there: Path = directory.forks / name
    if not NAME.fullmatch(name) or not there.is_dir():
        find(directory, name)
    lock = Directory(there).lock()
    try:
        gone = directory.forks / f".{name}.gone"
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(there, gone)
        shutil.rmtree(gone)
    finally:
        lock.close()


__all__ = [
    "NAME",
    "Fork",
    "ForkRefused",
    "about",
    "about_untrusted",
    "find",
    "listed",
    "make",
    "remove",
]
