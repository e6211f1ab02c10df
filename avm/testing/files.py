"""The one place of the test kit that reads files: a machine's file and those beside it. Shell."""

import os


def path_of(source: object) -> object:
    """The absolute path, as text, of what is a path or a text; anything else as it is."""
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(os.fspath(source))
    return source


def read(path: str) -> bytes | None:
    """The bytes of a file, or None where there is none."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return file.read()
