"""What the kernel keeps a worker from: files but libraries, the network, other processes. Shell.

Around step 4 of the journey. A step that breaks out of Python stands here: Landlock (a ruleset for
files, Linux 5.13) and seccomp (a filter for system calls). Both hold for good, and need no rights.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

from avm.machine.calls import ERROR, X86_64, filter_of
from caps.light import dataclass

PR_SET_NO_NEW_PRIVS = 38
# Numbers of system calls that all architectures share, but for seccomp's.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
SECCOMP = 317
SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL = 1, 2
# Without it some kernels switch off what makes the processor guess, for each process with a filter.
SPEC_ALLOW = 1 << 2
RULESET_VERSION = 1
PATH_BENEATH = 1
READ_FILE = 1 << 2
READ = READ_FILE | 1 << 3
# What each version of Landlock can refuse: rights on files, on TCP ports, and to reach other processes.
FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
PORTS = {4: 0b11}
SCOPED = {6: 0b11}
RULESET, PATH_RULE = struct.Struct("=QQQ"), struct.Struct("=Qi")
# Where the linker finds what an extension of the standard library asks for.
LINKED = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")


@dataclass(frozen=True, slots=True)
class Confinement:
    """What this kernel can keep a worker from."""

    files: bool
    calls: bool


def available() -> Confinement:
    """What can be had here; asks, and changes nothing."""
    if not sys.platform.startswith("linux"):
        return Confinement(False, False)
    return Confinement(_landlock() > 0, _has_filters())


def ruleset(readable: Iterable[str]) -> int:
    """A descriptor of what `confine_files` takes: nothing but what is below `readable` is read. -1: none here."""
    if not available().files:
        return -1
    version = _landlock()
    files, ports, scoped = (
        max((rights for since, rights in one.items() if since <= version), default=0)
        for one in (FILES, PORTS, SCOPED)
    )
    rules = RULESET.pack(files, ports, scoped)
    size = 24 if scoped else 16 if ports else 8
    libc = _libc()
    found = _must(libc.syscall(CREATE_RULESET, rules, ctypes.c_size_t(size), 0))
    for path in readable:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = READ if os.path.isdir(path) else READ_FILE
        _must(libc.syscall(ADD_RULE, found, PATH_BENEATH, PATH_RULE.pack(rights, place), 0))
        os.close(place)
    return found


def confine_files(found: int) -> None:
    """Keeps this process from all files that a ruleset does not name, for good; OSError."""
    if found >= 0:
        libc = _libc()
        _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _must(libc.syscall(RESTRICT_SELF, found, 0))


def confine_calls() -> None:
    """Keeps this process from all calls but those of a worker, for good; OSError."""
    if not available().calls:
        return
    program = filter_of(X86_64)
    body = ctypes.create_string_buffer(program, len(program))
    # A count of instructions, and where they are.
    said = struct.pack("@HP", len(program) // 8, ctypes.addressof(body))
    libc = _libc()
    _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _must(libc.syscall(SECCOMP, SECCOMP_SET_MODE_FILTER, SPEC_ALLOW, said))


def libraries() -> list[str]:
    """The directories that a worker may have to import from: none of them has a user's files."""
    paths = {os.path.dirname(os.__file__), *LINKED}
    for name, module in sys.modules.items():
        places = getattr(module, "__path__", ()) if "." not in name else ()
        paths.update(map(os.path.realpath, places))
    return sorted(path for path in paths if os.path.exists(path))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _must(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _landlock() -> int:
    """The version of Landlock, 0 where there is none."""
    found: int = _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), RULESET_VERSION)
    return max(0, found)


def _has_filters() -> bool:
    if os.uname().machine != "x86_64" or sys.maxsize < 2**32:
        return False
    answer = struct.pack("=I", ERROR)
    return bool(_libc().syscall(SECCOMP, SECCOMP_GET_ACTION_AVAIL, 0, answer) == 0)
