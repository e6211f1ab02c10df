"""Why this user may not use a file, and what to do: the sentence in the place of the system's. Shell.

Beside the journey. Only asked after the system has refused; it decides nothing.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from pwd import getpwuid
from shlex import quote

DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def refusal(path: Path, error: OSError) -> str:
    """What the system says against a file, with the remedy where it is a matter of rights."""
    why = why_forbidden(path) if error.errno in DENIED else ""
    return why or f"{path}: {error.strerror}"


def why_forbidden(path: Path) -> str:
    """Why this user may not read and write a file or its directory; empty where none is seen."""
    for place, wanted, word in _wanted(path):
        if os.path.exists(place) and not _may(place, wanted):
            return f"{place} may not be {word} by this user: {_remedy(place, wanted)}"
    return ""


def _wanted(path: Path) -> Iterator[tuple[Path, int, str]]:
    """What has to be allowed where, what it is most likely about first."""
    for above in reversed(path.parent.parents):
        yield above, os.X_OK, "entered"
    yield path, os.R_OK | os.W_OK, "read and written"
    yield path.parent, os.R_OK | os.W_OK | os.X_OK, "read and written"


def _may(place: Path, wanted: int) -> bool:
    return os.access(place, wanted, effective_ids=os.access in os.supports_effective_ids)


def _remedy(place: Path, wanted: int) -> str:
    if wanted & os.W_OK and os.statvfs(place).f_flag & os.ST_RDONLY:
        return "its disk is mounted read-only; copy the directory, and name the copy with --dir"
    owner = place.stat().st_uid
    if owner == os.geteuid():
        rights = "rwx" if place.is_dir() else "rw"
        return f"`chmod u+{rights} {quote(os.fspath(place))}`"
    return f"run the command as its owner, {_name(owner)}"


def _name(user: int) -> str:
    try:
        return getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
