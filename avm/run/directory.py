"""A host's directory: where it is, what is in it, who holds it, and its keys. Shell.

Before the journey: `find` says which directory is meant, `create` makes it, the lock says that it
belongs to one running host. `passphrase` asks for the one under which the keys are, if they are.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from stat import S_IMODE

from avm.host.keys import Keyring
from avm.run import keyfile
from avm.run.errors import DirectoryInUse, DirectoryRefused, KeysRefused
from avm.store.files import ON_DISK, Files, make_own_directory, put
from avm.store.rights import refusal
from caps.hostkeys import OPEN_BYTES
from caps.light import dataclass

# The kernel's bound on the path of a Unix socket, its final zero included (macOS has 104).
SOCKET_PATH_BYTES_MAX = 103
ENVIRONMENT = "AVM_HOST_DIR"
NEAR = ".avm"


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory of one host, which need not exist yet."""

    path: Path
    files: Files = ON_DISK
    passphrase: Callable[[], bytes] | None = None

    @classmethod
    def find(cls, explicit: str | None, environ: Mapping[str, str], cwd: Path) -> "Directory":
        """The one that is meant: named, else AVM_HOST_DIR, else the nearest .avm, else the user's."""
        named = explicit or environ.get(ENVIRONMENT)
        if named:
            return cls(cwd / Path(named).expanduser())
        for here in (cwd, *cwd.parents):
            if (here / NEAR).is_dir():
                return cls(here / NEAR)
        return cls(_of_the_user(environ))

    @property
    def store(self) -> Path:
        """The journal and all that is durable."""
        return self.path / "store.db"

    @property
    def socket(self) -> Path:
        """Where a running host listens for its operator and clients."""
        return self.path / "control.sock"

    @property
    def lock_file(self) -> Path:
        """Held by the running host; its text is the process id."""
        return self.path / "lock"

    @property
    def operator_file(self) -> Path:
        """The operator's capability, as text."""
        return self.path / "operator.cap"

    @property
    def config_file(self) -> Path:
        """The configuration, where there is one."""
        return self.path / "config.toml"

    @property
    def forks(self) -> Path:
        """Copies of machines, for questions: a directory each."""
        return self.path / "forks"

    @property
    def fork_file(self) -> Path:
        """Says that this directory is a fork, and of what."""
        return self.path / "fork.json"

    @property
    def keys(self) -> Path:
        """The directory of the keys."""
        return self.path / "keys"

    @property
    def key_file(self) -> Path:
        """The host's root seed, then its secret."""
        return self.keys / "host.key"

    def create(self) -> None:
        """Makes the directory, for its owner only, where it is missing; DirectoryRefused."""
        try:
            make_own_directory(self.files, self.path)
        except OSError as error:
            raise DirectoryRefused(f"{self.path} cannot be made: {error.strerror}") from None

    def command(self, verb: str) -> str:
        """A command about this directory, to paste."""
        return f"avm-host --dir {quote(os.fspath(self.path))} {verb}"

    def no_directory(self) -> str:
        """What is said where a file has its place."""
        return f"{self.path} is no directory: name a host's directory with --dir"

    def keyring(self, entropy: Callable[[int], bytes]) -> Keyring:
        """The keys of this host, made when there are none; call it before the store is made.

        A store without its keys is never given new ones: KeysRefused.
        """
        if not self.key_file.exists():
            if self.store.exists():
                lost = f"{self.key_file} is missing, and the store needs it"
                raise KeysRefused(f"{lost}: put it back from a backup")
            self.create()
            self._put_keys(entropy(OPEN_BYTES))
        keys = self.read_keyring()
        # A process that was killed, or an operator, may have left them in the system's cache alone.
        try:
            self.files.sync(self.key_file)
            self.files.sync_directory(self.keys)
            self.files.sync_directory(self.path)
        except OSError as error:
            raise DirectoryRefused(refusal(self.key_file, error)) from None
        return keys

    def write_keys(self, body: bytes) -> None:
        """Keeps the keys that a backup brought."""
        self.create()
        self._put_keys(body)

    def replace_keys(self, body: bytes) -> None:
        """Puts other bytes in the place of the key file, and wipes what stood there.

        The name is the new one's before the old bytes go. A disk may keep copies that no program
        reaches.
        """
        check_mode(self.key_file)
        with self.key_file.open("r+b", buffering=0) as old:
            self._put_keys(body)
            old.write(bytes(os.fstat(old.fileno()).st_size))
            os.fsync(old.fileno())

    def _put_keys(self, body: bytes) -> None:
        try:
            make_own_directory(self.files, self.keys)
            check_mode(self.keys)
            put(self.files, self.key_file, body)
        except OSError as error:
            raise DirectoryRefused(f"{self.key_file} cannot be written: {error.strerror}") from None

    def key_body(self) -> bytes:
        """What stands in the key file, in the open or under a passphrase; KeysRefused."""
        try:
            check_mode(self.keys)
            check_mode(self.key_file)
            return self.key_file.read_bytes()
        except FileNotFoundError:
            raise KeysRefused(self._no_keys()) from None
        except OSError as error:
            raise KeysRefused(refusal(self.key_file, error)) from None

    def _no_keys(self) -> str:
        if self.store.exists():
            return f"{self.key_file} is missing: {keyfile.RESTORE}, or `avm-host keys import FILE`"
        return f"{self.path} has no keys yet: `{self.command('run')}` makes them"

    def read_keyring(self) -> Keyring:
        """The keys of this host; KeysRefused, and PassphraseRefused where they are under one."""
        return keyfile.opened(self.key_body(), self.passphrase, self.key_file)

    def host_address(self) -> bytes:
        """The host's own address, which no passphrase hides; KeysRefused."""
        return keyfile.address_in(self.key_body(), self.key_file)

    def acquire_lock(self) -> "Lock":
        """Makes the directory this host's until the lock is closed; DirectoryInUse, DirectoryRefused."""
        if self.fork_file.exists():
            why = f"{self.path} is a fork, and no host runs on one"
            raise DirectoryRefused(f"{why}: ask it with `avm-host call CAP --fork NAME`")
        return self.lock()

    def lock(self) -> "Lock":
        """Makes the directory this process's until the lock is closed; DirectoryInUse."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            fd = os.open(self.lock_file, flags, 0o600)
        except FileNotFoundError:
            why = f"there is no host in {self.path}"
            raise DirectoryRefused(f"{why}: `{self.command('run')}` makes one") from None
        except NotADirectoryError:
            raise DirectoryRefused(self.no_directory()) from None
        except OSError as error:
            raise DirectoryRefused(refusal(self.lock_file, error)) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(fd, 20).decode("ascii", "replace").strip()
            os.close(fd)
            raise DirectoryInUse(self._in_use(pid)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return Lock(fd)

    def _in_use(self, pid: str) -> str:
        whose = f"pid {pid}" if pid else "another process"
        if self.fork_file.exists():
            why = f"the fork {self.path.name} is being asked by {whose}"
            return f"{why}: try again when that has ended"
        return f"{self.path} is in use by {whose}; `{self.command('stop')}` stops it"

    def write_operator(self, text: str) -> None:
        """Keeps the operator's capability, for the owner of the directory only."""
        put(self.files, self.operator_file, text.encode() + b"\n")

    def operator(self) -> str:
        """The text of the operator's capability; DirectoryRefused when there is none."""
        try:
            check_mode(self.operator_file)
            return self.operator_file.read_text("ascii").strip()
        except OSError as error:
            why = f"{self.operator_file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            why = f"{self.operator_file} is damaged"
        raise DirectoryRefused(f"{why}; a host that starts anew writes it again")

    @contextmanager
    def reachable_socket(self) -> Iterator[str]:
        """A path of the socket short enough for the kernel, to bind or connect within."""
        full = os.fspath(self.socket)
        if len(os.fsencode(full)) <= SOCKET_PATH_BYTES_MAX:
            yield full
            return
        if not sys.platform.startswith("linux"):
            raise DirectoryRefused(f"{full} is too long for a socket: choose a shorter --dir")
        fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{fd}/{self.socket.name}"
        finally:
            os.close(fd)


@dataclass(slots=True)
class Lock:
    """A held directory."""

    fd: int

    def close(self) -> None:
        """Gives the directory up; so does the end of the process."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _of_the_user(environ: Mapping[str, str]) -> Path:
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "avm-host"
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a relative path is invalid and ignored.
    base = Path(data) if data.startswith("/") else home / ".local" / "share"
    return base / "avm-host"


def check_mode(path: Path) -> None:
    """Refuses what others could open, with the remedy; KeysRefused."""
    mode = S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        right = "700" if path.is_dir() else "600"
        raise KeysRefused(f"others can open {path}; run `chmod {right} {quote(os.fspath(path))}`")
