"""What is done beside the host with files: backups, machines that go into a file or come out of one. Shell.

Beside the journey. Each runs in a thread of its own; the core decides, and is told what came of it.
A machine file is written under another name, and gets its own when the core says that it is the
machine's only copy.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from avm.errors import AvmError
from avm.host import carrying
from avm.host.core import Core
from avm.host.effects import Discard, Export, Exported
from avm.host.machine_file import OtherVersion, Unpacked, pack, unpack_untrusted
from avm.host.moves import Leaving
from avm.host.operate import refuse
from avm.host.state import Machine
from avm.run.backup import back_up
from avm.run.directory import Directory
from avm.run.errors import none_at
from avm.run.operator import Answer, NotDone
from avm.run.parts import bytes_in, text_in
from avm.store.errors import StoreError
from avm.store.sqlite import SqliteStore
from caps.errors import Malformed
from caps.locked import parse_locked_untrusted

FILES_MAX = 4
REFUSED, NONSENSE, NEWER = 1, 2, 5
Request = Callable[[], int]


class Filing:
    """The files of a host's machines."""

    def __init__(
        self,
        core: Core,
        store: SqliteStore,
        directory: Directory,
        start: Callable[..., None],
        settle: Callable[[], None],
    ) -> None:
        """`start` has a coroutine run beside the rest, `settle` carries out what the core asks for."""
        self._core = core
        self._store = store
        self._directory = directory
        self._start = start
        self._settle = settle
        self._busy = 0

    def act(self, verb: str, params: dict[str, Any], request: Request, answer: Answer) -> None:
        """Does what the operator asks, beside the rest; raises NotDone."""
        path = _path(params)
        self._check_busy()
        if verb == "backup":
            self._start(self._back_up, path, self._locked(params.get("keys", b"")), answer)
        elif not _is_file(path):
            raise NotDone(f"{path}: {none_at(str(path))}", NONSENSE)
        else:
            self._start(self._import, path, text_in(params["name"]), request())
        self._busy += 1

    def _check_busy(self) -> None:
        if self._busy >= FILES_MAX:
            raise NotDone(f"{FILES_MAX} files are being read or written already: try again later")

    def export(self, machine: Machine, params: dict[str, Any], request: Request) -> None:
        """Has a machine go into a file; raises NotDone."""
        path = _path(params)
        self._check_busy()
        _check_free(path)
        self._core.do(carrying.export, request(), machine, str(path), bool(params["whole"]))
        self._core.pump()

    # Backups.

    def _locked(self, keys: object) -> bytes:
        """Keys under a passphrase for a backup, which must be this host's; none for those of its file."""
        try:
            body = bytes_in(keys)
            if body and parse_locked_untrusted(body).address != self._core.host.address:
                raise NotDone("the keys are of another host")
        except Malformed as error:
            raise NotDone(f"the keys cannot go into a backup: {error}", NONSENSE) from None
        return body

    async def _back_up(self, path: Path, keys: bytes, answer: Answer) -> None:
        try:
            size = await self._beside(partial(back_up, self._store, self._directory, path, keys))
        except (AvmError, OSError, ValueError) as error:
            answer(None, str(error))
            return
        answer({"bytes": size}, "")

    async def _beside(self, work: Callable[[], Any]) -> Any:
        """Does something in a thread, and counts one less under way when it is done."""
        try:
            return await trio.to_thread.run_sync(work)
        finally:
            self._busy -= 1

    # Out.

    def carry_out(self, effect: Export | Exported | Discard) -> None:
        """Does what the core asks for."""
        match effect:
            case Export(address, whole):
                self._busy += 1
                self._start(self._export, self._core.host.moves.leaving[address], whole)
            case Exported(address, request):
                self._name(address, request)
            case Discard(file, address, incarnation):
                _forget(_part(file, address, incarnation))

    async def _export(self, left: Leaving, whole: bool) -> None:
        part = _part(left.name_there, left.address, left.incarnation)
        try:
            await self._beside(partial(self._write, left, part, whole))
        except (AvmError, Malformed, OSError) as error:
            _forget(part)
            why = _said(error)
            if isinstance(error, OSError):
                why = f"{left.name_there} cannot be written: {why}"
            self._core.do(carrying.unwritten, left.address, why)
        else:
            self._core.do(carrying.written, left.address)
        self._go_on()

    def _write(self, left: Leaving, part: Path, whole: bool) -> None:
        keys = self._core.host.keys.open_machine(left.keys)
        store = SqliteStore.open_readonly(self._directory.store)
        # Nobody else may have made it: what is written are keys.
        part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with store.reading(), os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                for octets in pack(store, left, keys, whole):
                    file.write(octets)
                file.flush()
                os.fsync(file.fileno())
        finally:
            store.close()

    def _name(self, address: bytes, request: int) -> None:
        """Gives what was written its name; where that fails it keeps the one it has."""
        one = self._core.host.moves.carried[address]
        part, path = _part(one.file, address, one.incarnation), Path(one.file)
        try:
            if part.exists() or request:
                _check_free(path)
                os.rename(part, path)
                _sync(path.parent)
        except (NotDone, OSError) as error:
            if request:
                why = f"{one.name} is in {part}, which keeps that name: {_said(error)}"
                self._core.do(refuse, request, why)
            return
        self._core.do(carrying.named, address, request)

    # In.

    async def _import(self, path: Path, name: str, request: int) -> None:
        core = self._core
        number = core.do(carrying.number_for)
        try:
            unpacked = await self._beside(partial(_read, path, number))
        except (StoreError, Malformed, OSError) as error:
            code = NEWER if isinstance(error, OtherVersion) else NONSENSE
            core.do(refuse, request, f"{path} cannot be imported: {_said(error)}", code)
        else:
            core.do(carrying.take_up, request, unpacked, name)
        self._go_on()

    def _go_on(self) -> None:
        self._core.pump()
        self._settle()


def _path(params: dict[str, Any]) -> Path:
    text = text_in(params["path"])
    if not text or "\0" in text:
        raise NotDone("that is no name of a file", NONSENSE)
    return Path(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _forget(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _read(path: Path, number: int) -> Unpacked:
    with path.open("rb") as file:
        return unpack_untrusted(file.read, number)


def _check_free(path: Path) -> None:
    try:
        exists, has_place = path.exists(), path.parent.is_dir()
    except OSError as error:
        raise NotDone(f"{path}: {error.strerror}") from None
    if exists:
        raise NotDone(f"{path} exists: name another file")
    if not has_place:
        raise NotDone(f"{path.parent} is no directory: make it, or name another file")


def _part(file: str, address: bytes, incarnation: int) -> Path:
    """Under which name a file is written."""
    return Path(f"{file}.{address.hex()[:8]}-{incarnation}.part")


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _said(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
