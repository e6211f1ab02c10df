"""Workers whose steps have broken out of Python: what the kernel lets them do, tried by real processes."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from avm.limits import Limits
from avm.machine.allowed import STDLIB
from avm.machine.calls import X86_64
from avm.machine.confined import available, libraries
from avm.run.spawn import Prepared
from tests.avm.test_worker import asked, ended, forked, packed

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(not all((available().files, available().calls)), reason="no such kernel"),
]
PROGRAM = str(Path(__file__).with_name("escape_worker.py"))
CANARY = "do not tell"
Ask = Callable[[str], list[str]]


@contextmanager
def broken_out(*confined: str) -> Iterator[tuple[Ask, Prepared, int, socket.socket]]:
    """A worker that runs what it is sent; of what confines it only these where there are some."""
    with (
        closing(Prepared.start(0, Limits(), (PROGRAM, *confined))) as process,
        forked(process) as (pid, sock),
    ):

        def ask(text: str) -> list[str]:
            answer: list[str] = json.loads(asked(sock, text.encode()))
            return answer

        yield ask, process, pid, sock


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    with broken_out() as (found, _process, _pid, _sock):
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What there is to be found: a file, and somebody who listens by each way."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "canary").write_text(CANARY)
    listening = {
        "tcp": socket.create_server(("127.0.0.1", 0)),
        "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    }
    listening["udp"].bind(("127.0.0.1", 0))
    listening["unix"].bind(str(folder / "door"))
    listening["unix"].listen()
    for one in listening.values():
        one.setblocking(False)
    names: dict[str, Any] = {"here": str(folder), "host": os.getpid(), "folder": folder}
    names |= {name: one.getsockname()[1] for name, one in listening.items() if name != "unix"}
    yield {**names, "listening": listening}
    for one in listening.values():
        one.close()


FILES = {
    "a file of the host's": "found = open('{here}/canary').read()",
    "its directory": "import os; found = os.listdir('{here}')",
    "what every user may read": "found = open('/etc/passwd').read()",
    "from an open directory": (
        "import os; kept = os.open('{here}', os.O_PATH); os.open('canary', 0, dir_fd=kept)"
    ),
    "a new file": "open('{here}/new', 'w')",
    "more in a file": "open('{here}/canary', 'a')",
    "less in a file": "import os; os.open('{here}/canary', os.O_WRONLY | os.O_TRUNC)",
    "a device": "open('/dev/null', 'w')",
    "its own environment": "found = open('/proc/self/environ').read()",
    "another's environment": "found = open('/proc/{host}/environ').read()",
    "another's memory": "found = open('/proc/{host}/mem', 'rb')",
    "what processes there are": "import os; found = os.listdir('/proc')",
    "a file beside the libraries": "import os; open(os.path.dirname(os.__file__) + '/new', 'w')",
}


@pytest.mark.parametrize("way", FILES)
def test_x01_a_step_that_breaks_out_of_python_reads_and_writes_no_file(
    ask: Ask, place: dict[str, Any], way: str
) -> None:
    assert ask(FILES[way].format(**place))[0] == "PermissionError"
    assert sorted(path.name for path in place["folder"].iterdir()) == ["canary", "door"]
    assert (place["folder"] / "canary").read_text() == CANARY


CALLS = {
    "a stream": "import socket; socket.create_connection(('127.0.0.1', {tcp}))",
    "a datagram": """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp}))
""",
    "a name": "import socket; socket.getaddrinfo('localhost', 80, socket.AF_INET6)",
    "a local door": "import socket; socket.socket(socket.AF_UNIX).connect('{here}/door')",
    "packets as they are": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "the kernel's tables": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a pair of sockets": "import socket; socket.socketpair()",
    "its own socket, elsewhere": "import socket; socket.socket(fileno=3).connect('{here}/door')",
    "a child": "import os; os.fork()",
    "a program": "import os; os.execv('/bin/true', ['true'])",
    "a program beside it": "import os; os.posix_spawn('/bin/true', ['true'], dict())",
    "a thread": "import _thread; _thread.start_new_thread(print, ())",
    "a pipe": "import os; os.pipe()",
    "a signal to who made it": "import os; os.kill(os.getppid(), 9)",
    "a signal to another": "import os; os.kill({host}, 9)",
    "a hold on another": "import os; os.pidfd_open({host})",
    "another's limits": "import resource; resource.prlimit({host}, resource.RLIMIT_NOFILE, (9, 9))",
    "more of what it may": "import resource; resource.getrlimit(resource.RLIMIT_NOFILE)",
    "its urgency": "import os; os.nice(-1)",
    "a file's end": "import os; os.unlink('{here}/canary')",
    "a file's name": "import os; os.rename('{here}/canary', '{here}/x')",
    "a file's second name": "import os; os.link('{here}/canary', '{here}/x')",
    "a pointer to a file": "import os; os.symlink('{here}/canary', '{here}/x')",
    "a file's mode": "import os; os.chmod('{here}/canary', 0o777)",
    "a file's length": "import os; os.truncate('{here}/canary', 0)",
    "a directory": "import os; os.mkdir('{here}/x')",
    "a place for messages": "import os; os.mkfifo('{here}/x')",
    "memory with a name": "import os; os.memfd_create('x')",
    "another root": "import os; os.chroot('{here}')",
    "another user": "import os; os.setuid(1)",
    "what a terminal is told": "import fcntl; fcntl.ioctl(2, 0x5412, b'x')",
    "a descriptor's owner": "import fcntl; fcntl.fcntl(3, fcntl.F_SETOWN, {host})",
    "a while of nothing": "import time; time.sleep(0.001)",
}


@pytest.mark.parametrize("way", CALLS)
def test_x01_a_step_that_breaks_out_of_python_reaches_nobody(
    ask: Ask, place: dict[str, Any], way: str
) -> None:
    kind, said = ask(CALLS[way].format(**place))
    assert kind in {"PermissionError", "RuntimeError", "gaierror"}, (kind, said)
    for one in place["listening"].values():
        with pytest.raises(BlockingIOError):
            one.recv(1) if one.type == socket.SOCK_DGRAM else one.accept()
    assert sorted(path.name for path in place["folder"].iterdir()) == ["canary", "door"]


UNNAMED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for number in {numbers}:
    ctypes.set_errno(0)
    got = libc.syscall(number, -1, -1, -1, -1, -1, -1)
    assert (got, ctypes.get_errno()) == (-1, 1), (number, got, ctypes.get_errno())
"""
NUMBERS = 512
# The probes of the kernel's own, which it lets past every filter: to others they are an error or an end.
PROBES = {335, 336}
X32 = 1 << 30


def test_x01_every_call_that_is_not_named_is_refused(ask: Ask) -> None:
    unnamed = sorted(set(range(NUMBERS)) - set(X86_64.values()) - PROBES)
    assert ask(UNNAMED.format(numbers=unnamed)) == ["done", "None"]
    assert ask(UNNAMED.format(numbers=[X32 | n for n in range(NUMBERS)])) == ["done", "None"]


# The calls of 32 bits have other numbers: 20 is getpid there, and here it would write.
OTHER_CALLS = """
import ctypes, mmap
code = bytes.fromhex('b814000000cd80c3')
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
found = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def test_x01_calls_of_another_kind_end_the_worker() -> None:
    with broken_out() as (_ask, process, pid, sock):
        sock.sendall(packed(OTHER_CALLS.encode()))
        assert ended(sock)
        assert process.end(pid) == -signal.SIGSYS


@pytest.mark.parametrize("name", sorted(STDLIB))
def test_what_a_step_may_import_is_there(ask: Ask, name: str) -> None:
    assert ask(f"import {name}") == ["done", "None"]


ACCELERATED = """
import _decimal, _bisect, _heapq, _json, _statistics, _struct, _datetime, math, zlib, hashlib
found = [hashlib.new(name, b'x').hexdigest()[:4] for name in ('md5', 'sha256', 'sha3_256', 'blake2b')]
"""


IN_USE = """
import datetime, unicodedata
found = datetime.datetime.strptime('2026', '%Y').year, 'x'.encode('idna'), 'x'.encode('cp1252')
"""


def test_what_is_written_in_c_and_what_is_imported_in_use_is_found(ask: Ask) -> None:
    assert ask(ACCELERATED)[0] == "done"
    assert ask(IN_USE) == ["done", "(2026, b'x', b'x')"]


@pytest.mark.parametrize(
    ("confined", "reads", "calls"),
    [("nothing", True, True), ("files", False, True), ("calls", True, False)],
)
def test_a_worker_runs_where_the_kernel_confines_less(
    place: dict[str, Any], confined: str, reads: bool, calls: bool
) -> None:
    with broken_out(confined) as (ask, _process, _pid, _sock):
        assert ask("found = 1 + 1") == ["done", "2"]
        read = ask(FILES["a file of the host's"].format(**place))
        assert read == ["done", CANARY] if reads else read[0] == "PermissionError"
        paired = ask(CALLS["a pair of sockets"])
        assert paired[0] == ("done" if calls else "PermissionError")


def test_no_file_of_a_user_is_among_the_libraries() -> None:
    home = Path(__file__).resolve().parent.parent.parent
    for path in map(Path, libraries()):
        assert path not in (home, *home.parents) and path != Path("/")
