"""What can go wrong around a host's directory, its configuration and its keys: the operator's to mend."""

from pathlib import Path

from avm.errors import AvmError


class RunError(AvmError):
    """The host cannot run like that."""


class ConfigRefused(RunError):
    """A key or a value of the configuration is not one of those there are."""


class DirectoryInUse(RunError):
    """The directory is in use by another host."""


class DirectoryRefused(RunError):
    """The directory cannot be made, read or written."""


class KeysRefused(RunError):
    """The host's keys are not there, not whole, or others can read them."""


class KeysLocked(KeysRefused):
    """The host's keys are under a passphrase, and nobody gave it."""


class RootKeyAlone(KeysRefused):
    """The file has a host's root key, and no other key of it."""


class PassphraseRefused(RunError):
    """The passphrase is not the one, or is none."""


def none_at(path: str | Path) -> str:
    """Why nothing was read of a file, where there is none."""
    return "it is a directory" if Path(path).is_dir() else "there is no such file"
