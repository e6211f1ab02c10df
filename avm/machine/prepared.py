"""The prepared process: imports what steps need once, then forks workers that have it at hand.

Before step 4 of the journey. The host starts it before any key is loaded, so that no worker ever
has one. It answers requests on a socket until the host is gone, and takes its workers with it.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
import traceback

from avm.limits import Limits
from avm.machine import worker
from avm.machine.bundle import BundleRefused, decode
from avm.machine.confined import confine_calls, confine_files, libraries, ruleset
from avm.machine.inside import Inside
from avm.machine.live import CannotLoad
from avm.machine.loader import Code, load
from avm.machine.requests import ANSWER, FORK, REQUEST, UNKNOWN
from avm.machine.undumped import forbid_dumps, limit
from avm.machine.worker import Interior, MakeInside, Tell
from caps.errors import Malformed

STDERR_FD, WORKER_FD = 2, 3
WORKER_FILES_MAX = 16
ENDED_MAX = 1024
WORDS_BYTES_MAX = 8 * 1024
PR_SET_PDEATHSIG = 1


def serve(control: socket.socket, worker_bytes: int) -> socket.socket | None:
    """Answers the host: in each forked worker returns its socket, in this process None at the end.

    A host that has gone in the middle of an answer is the same end.
    """
    files = ruleset(libraries())
    running: dict[int, int] = {}
    prepared = os.getpid()
    with contextlib.suppress(ConnectionError):
        fd = _answer(control, running)
    if os.getpid() != prepared:
        return _become_worker(control, fd, prepared, worker_bytes, files)
    for pid in running:
        _kill(pid)
    return None


def _answer(control: socket.socket, running: dict[int, int]) -> int:
    """Answers until the host closes; in a worker returns its descriptor.

    What runs is known with where its last words are read.
    """
    ended: dict[int, int] = {}
    while True:
        request, fds, _flags, _address = socket.recv_fds(control, REQUEST.size, 1)
        if not request:
            return -1
        kind, pid = REQUEST.unpack(request)
        if kind == FORK:
            _reap(running, ended)
            error, pid, said = _fork()
            if not error and not pid:
                return fds[0]
            os.close(fds[0])
            if not error:
                ended.pop(pid, None)
                running[pid] = said
            control.send(ANSWER.pack(error, pid))
        else:
            control.send(ANSWER.pack(*_end(pid, running, ended)))


def _fork() -> tuple[int, int, int]:
    """An error, a worker's process id, and where its last words are read; in the worker nothing but zeros."""
    try:
        said, words = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.errno or UNKNOWN, 0, 0
    try:
        pid = os.fork()
    except OSError as error:
        os.close(said)
        os.close(words)
        return error.errno or UNKNOWN, 0, 0
    if not pid:
        os.dup2(words, STDERR_FD)
        return 0, 0, 0
    os.close(words)
    return 0, pid, said


def _end(pid: int, running: dict[int, int], ended: dict[int, int]) -> tuple[int, int]:
    if pid in running:
        code = _kill(pid)
        _tell(running.pop(pid))
        return 0, code
    known = ended.pop(pid, None)
    return (UNKNOWN, 0) if known is None else (0, known)


def _kill(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _tell(said: int) -> None:
    """Passes on the last words of a worker that has ended: few, and as text that moves no cursor."""
    with contextlib.suppress(OSError):
        words = os.read(said, WORDS_BYTES_MAX).decode("utf-8", "backslashreplace")
        lines = ("".join(map(_plain, line)) for line in words.splitlines())
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    os.close(said)


def _plain(letter: str) -> str:
    return letter if letter.isprintable() else f"\\x{ord(letter):02x}"


def _reap(running: dict[int, int], ended: dict[int, int]) -> None:
    """Takes leave of workers that have ended, and keeps the newest exit codes."""
    for pid in tuple(running):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _tell(running.pop(pid))
            ended[pid] = os.waitstatus_to_exitcode(status)
    while len(ended) > ENDED_MAX:
        ended.pop(next(iter(ended)))


def _become_worker(
    control: socket.socket, fd: int, parent: int, worker_bytes: int, files: int
) -> socket.socket:
    """Keeps nothing open but its own socket, and is limited and confined for good."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(worker.EXIT_DONE)
    most = os.sysconf("SC_OPEN_MAX")  # that of before its own limit
    lay_limits(worker_bytes)
    confine_files(files)
    control.detach()
    if fd != WORKER_FD:
        os.dup2(fd, WORKER_FD, inheritable=False)
    os.closerange(WORKER_FD + 1, most)
    ours = socket.socket(fileno=WORKER_FD)
    confine_calls()
    return ours


def lay_limits(worker_bytes: int) -> None:
    """Limits memory to `worker_bytes` beyond what is mapped now, files to none that grow."""
    sys.dont_write_bytecode = True
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as adjust:
        adjust.write("1000")
    with open("/proc/self/statm") as sizes:
        mapped = int(sizes.read().split()[0]) * resource.getpagesize()
    limit(resource.RLIMIT_AS, mapped + worker_bytes)
    limit(resource.RLIMIT_NOFILE, WORKER_FILES_MAX)
    limit(resource.RLIMIT_FSIZE, 0)
    forbid_dumps()


def die_with_parent() -> None:
    """Has the kernel kill this process when the one that made it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def load_bytes(body: bytes, printed_bytes: int) -> Code:
    """Loads the bytes of a bundle; raises `CannotLoad` with one line."""
    try:
        return load(decode(body), printed_bytes)
    except (BundleRefused, Malformed) as error:
        raise CannotLoad(str(error)) from None


def main() -> None:
    """`python -m avm.machine.prepared FD LIMITS`, the limits as a JSON object."""
    limits = Limits(**json.loads(sys.argv[2]))

    def inside(tell: Tell) -> Interior:
        return Inside(limits, lambda body: load_bytes(body, limits.printed_bytes), tell)

    start(int(sys.argv[1]), limits.worker_bytes, inside)


def start(fd: int, worker_bytes: int, make_inside: MakeInside) -> None:
    """Becomes the prepared process on this socket, or one of its workers; never returns."""
    limit(resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    gc.collect()
    gc.freeze()
    sock = serve(socket.socket(fileno=fd), worker_bytes)
    if sock is None:
        sys.exit()
    try:
        os._exit(worker.run(sock, make_inside))
    finally:  # only an error comes here; the socket stays open until the exit code is certain
        try:
            traceback.print_exc()
        finally:
            os._exit(worker.EXIT_BROKEN)


if __name__ == "__main__":
    main()
