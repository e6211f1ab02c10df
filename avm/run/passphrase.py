"""Where a passphrase comes from: a descriptor, a credential of systemd, or a terminal. Shell.

Before the journey. It never stands in an argument or in the environment, where others could read it.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from unicodedata import normalize

from avm.run.errors import KeysLocked, PassphraseRefused
from caps.locked import PASSPHRASE_BYTES_MAX

# Only who is asked at a terminal needs it.
TERMINAL = "getpass"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIAL = "avm-host"
# The present one and the new one, a line each.
READ_BYTES_MAX = 2 * (PASSPHRASE_BYTES_MAX + 2)
WAYS = f"type it on a terminal, or give it by --passphrase-fd N or as ${CREDENTIALS}/{CREDENTIAL}"


@dataclass(slots=True)
class Passphrases:
    """Asks for each passphrase once, and no earlier than it is needed."""

    environ: Mapping[str, str]
    fd: int | None = None
    _known: bytes | None = None
    _lines: list[bytes] | None = field(default=None, repr=False)

    def present(self) -> bytes:
        """The one under which the keys are; KeysLocked where there is nobody to ask."""
        if self._known is None:
            self._known = self._asked()
        return self._known

    def fresh(self) -> bytes:
        """A new one, which a terminal is asked for twice; PassphraseRefused."""
        if self.fd is not None:
            chosen = self._line()
            if self._lines:
                raise PassphraseRefused(f"descriptor {self.fd} has too many lines: {self._wanted}")
            return chosen
        if self.credential is not None and self._known is None:
            return _credential(self.credential)
        if not sys.stdin.isatty():
            raise PassphraseRefused(f"nobody says the new passphrase: {WAYS}")
        chosen = _typed("new passphrase: ")
        if chosen != _typed("the same again: "):
            raise PassphraseRefused("the two are not the same: nothing was changed")
        return chosen

    @property
    def _wanted(self) -> str:
        """Which lines there are to be for a new passphrase."""
        if self._known is None:
            return "the keys are in the open, so it is one, the new passphrase"
        return "it is two, the present passphrase and the new one"

    @property
    def credential(self) -> Path | None:
        """The credential that a service manager has put there."""
        directory = self.environ.get(CREDENTIALS)
        path = Path(directory) / CREDENTIAL if directory else None
        return path if path is not None and path.exists() else None

    def _asked(self) -> bytes:
        if self.fd is not None:
            return self._line()
        if self.credential is not None:
            return _credential(self.credential)
        if not sys.stdin.isatty():
            raise KeysLocked(f"the keys are under a passphrase: {WAYS}")
        return _typed("passphrase: ")

    def _line(self) -> bytes:
        assert self.fd is not None
        if self._lines is None:
            self._lines = _read(self.fd).splitlines()
        if not self._lines:
            lines = "one a passphrase, the present one first and then the new one"
            raise PassphraseRefused(f"descriptor {self.fd} has too few lines: {lines}")
        return _checked(self._lines.pop(0))


def _read(fd: int) -> bytes:
    read = b""
    try:
        while len(read) <= READ_BYTES_MAX and (more := os.read(fd, READ_BYTES_MAX)):
            read += more
        os.close(fd)
    except OSError as error:
        raise PassphraseRefused(f"--passphrase-fd {fd}: {error.strerror}") from None
    if len(read) > READ_BYTES_MAX:
        raise PassphraseRefused(f"--passphrase-fd {fd}: a passphrase is a line, no file")
    return read


def _credential(path: Path) -> bytes:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PassphraseRefused(f"{path}: {error.strerror}") from None
    return _checked(lines[0] if lines else b"")


def _typed(prompt: str) -> bytes:
    return _checked(import_module(TERMINAL).getpass(prompt).encode("utf-8", "surrogateescape"))


def _checked(said: bytes) -> bytes:
    """The same text is the same passphrase, however a keyboard puts its accents together."""
    try:
        said = normalize("NFC", said.decode()).encode()
    except UnicodeDecodeError:
        pass
    if not said:
        raise PassphraseRefused("a passphrase is not empty")
    if len(said) > PASSPHRASE_BYTES_MAX:
        raise PassphraseRefused(f"a passphrase has at most {PASSPHRASE_BYTES_MAX:,} bytes")
    return said
