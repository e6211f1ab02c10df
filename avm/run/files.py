"""A machine's files, read from the disk into a bundle. Shell, before the journey."""

from pathlib import Path

from avm.machine.bundle import Bundle, collect


def read(path: str) -> bytes | None:
    """The bytes of a file, or None where there is none."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def bundle_of(path: str) -> Bundle:
    """The bundle of a machine's file; raises `BundleRefused` with one line."""
    return collect(path, read)
