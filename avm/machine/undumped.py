"""A process whose memory goes into no core dump, and that no other of its user reads. Shell.

Around the journey: the host calls it before it reads its keys, a worker before it takes its first
turn. A limit of 0 alone does not hold back a program that the kernel pipes core dumps to.
"""

import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4


def limit(which: int, most: int) -> None:
    """Lowers a limit of this process for good; one that is lower already stays."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def forbid_dumps() -> None:
    """Has no core dump made of this process; a program that it starts begins anew."""
    limit(resource.RLIMIT_CORE, 0)
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
