"""The system calls that a worker makes, and the filter that lets no others through. Pure.

Around step 4 of the journey. All that is not named fails with EPERM: sockets, processes, signals,
writing to the file system, devices. A worker has one socket, which is connected, and makes no other.
"""

from collections.abc import Iterator, Mapping
from struct import Struct

# By what they are for; the numbers are of x86-64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl).
SPEAKING = {"recvfrom": 45, "sendto": 44, "read": 0, "write": 1, "readv": 19, "writev": 20}
# Those below depend on what else the kernel lets it open.
READING = {"open": 2, "openat": 257, "close": 3, "lseek": 8, "pread64": 17, "getdents64": 217}
FINDING = {"stat": 4, "fstat": 5, "lstat": 6, "newfstatat": 262, "statx": 332, "access": 21}
FINDING |= {"faccessat2": 439, "getcwd": 79, "readlink": 89, "readlinkat": 267}
MEMORY = {"mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28}
ITSELF = {"rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sigaltstack": 131}
ITSELF |= {"futex": 202, "sched_yield": 24, "getpid": 39, "gettid": 186, "getrandom": 318}
ITSELF |= {"rseq": 334, "set_robust_list": 273, "exit": 60, "exit_group": 231}
CLOCKS = {"clock_gettime": 228, "clock_getres": 229, "gettimeofday": 96, "time": 201}
X86_64: Mapping[str, int] = SPEAKING | READING | FINDING | MEMORY | ITSELF | CLOCKS
AUDIT_ARCH_X86_64 = 0xC000003E
EPERM = 1

INSTRUCTION = Struct("=HBBI")
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
KILL, ERROR, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
# Where the kernel puts what it is asked: the call, and the architecture that it is one of.
CALL, ARCHITECTURE = 0, 4


def filter_of(calls: Mapping[str, int]) -> bytes:
    """The filter's instructions, eight bytes each, that allow these calls of x86-64."""
    return b"".join(INSTRUCTION.pack(*one) for one in _instructions(calls))


def _instructions(calls: Mapping[str, int]) -> Iterator[tuple[int, int, int, int]]:
    """Each with how many to pass over where it holds, and where it does not."""
    yield LOAD, 0, 0, ARCHITECTURE
    yield EQUAL, 1, 0, AUDIT_ARCH_X86_64
    yield RETURN, 0, 0, KILL
    yield LOAD, 0, 0, CALL
    for number in calls.values():
        yield EQUAL, 0, 1, number
        yield RETURN, 0, 0, ALLOW
    yield RETURN, 0, 0, ERROR | EPERM
