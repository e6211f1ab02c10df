"""The sources of `caps.patterns`, which go into a machine's bundle like the modules beside its file.

Before the journey, while code is collected. So a machine's code is all that its bundle's hash names:
a newer release with other patterns changes none that is created, and replay takes the old ones.
"""

from pkgutil import get_data

from avm.machine.allowed import PATTERNS
from caps import patterns

PARENT = PATTERNS.partition(".")[0]


def source_of(name: str) -> tuple[bool, bytes] | None:
    """Whether a module of the library is a package, and its text; None where there is none."""
    if name == PARENT:
        return True, b""
    if name == PATTERNS:
        return True, _read("__init__.py") or b""
    package, _, stem = name.rpartition(".")
    text = _read(f"{stem}.py") if package == PATTERNS and stem.isidentifier() else None
    return None if text is None else (False, text)


def _read(file: str) -> bytes | None:
    try:
        return get_data(patterns.__name__, file)
    except OSError:
        return None
