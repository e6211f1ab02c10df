"""The worker's loop over a socket pair, and the prepared process with its workers, for real."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.limits import MIB, Limits
from avm.machine import frames
from avm.machine.bundle import Bundle, Source
from avm.machine.prepared import WORDS_BYTES_MAX
from avm.machine.worker import (
    EXIT_BAD_FRAME,
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_MEMORY,
    LENGTH,
    READ_BYTES,
    WRITE_BYTES,
    run,
)
from avm.run.spawn import Prepared, PreparedLost
from caps.codec import dumps_plain, encode_content, encode_state

ECHO = (str(Path(__file__).with_name("echo_worker.py")),)
ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 20.0


class Words:
    """An inside that answers `silent` not at all, `twice` twice, `full` by running out."""

    def receive(self, frame: bytes) -> list[bytes]:
        if frame == b"full":
            raise MemoryError
        return [frame] * {b"silent": 0, b"twice": 2}.get(frame, 1)


def packed(frame: bytes) -> bytes:
    return LENGTH.pack(len(frame)) + frame


def read_frame(sock: socket.socket) -> bytes:
    (length,) = LENGTH.unpack(read_bytes(sock, 4))
    return read_bytes(sock, length)


def read_bytes(sock: socket.socket, count: int) -> bytes:
    body = b""
    while len(body) < count:
        more = sock.recv(min(count - len(body), MIB))
        assert more, "the stream ended"
        body += more
    return body


class Running:
    """A worker's loop in a thread, and the host's end of its socket."""

    def __init__(self, most: int = 2 * MIB) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(DEADLINE_S)
        self.code: int | None = None

        def target() -> None:
            with theirs:
                self.code = run(theirs, lambda _tell: Words(), most)

        self._thread = Thread(target=target)
        self._thread.start()

    def end(self) -> int | None:
        self.sock.close()
        return self.wait()

    def wait(self) -> int | None:
        self._thread.join(DEADLINE_S)
        return self.code


FRAMES = st.one_of(
    st.sampled_from([b"silent", b"twice", b"x"]),
    st.binary(min_size=1, max_size=50).filter(lambda frame: frame != b"full"),
    st.builds(lambda n, b: b * n, st.integers(1, READ_BYTES * 2), st.sampled_from([b"a", b"b"])),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 700_000), max_size=12))
def test_however_a_stream_is_cut_its_frames_are_answered_in_order(
    frames: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(packed, frames))
    running = Running()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})

    def write() -> None:
        for start, stop in pairwise(places):
            running.sock.sendall(stream[start:stop])

    writer = Thread(target=write)
    writer.start()
    expected = [answer for frame in frames for answer in Words().receive(frame)]
    answers = [read_frame(running.sock) for _ in expected]
    writer.join(DEADLINE_S)
    assert answers == expected
    assert running.end() == EXIT_DONE


@pytest.mark.parametrize("length", [0, 1001, 2**32 - 1])
def test_p08_a_frame_of_a_bad_length_ends_the_worker_before_any_room_is_made(length: int) -> None:
    running = Running(most=1000)
    running.sock.sendall(packed(b"x" * 1000) + LENGTH.pack(length))
    assert running.wait() == EXIT_BAD_FRAME
    running.end()


@pytest.mark.parametrize("left", [b"", b"\x01", LENGTH.pack(9), packed(b"x" * READ_BYTES)[:-1]])
def test_a_stream_that_ends_anywhere_ends_the_worker_quietly(left: bytes) -> None:
    running = Running()
    running.sock.sendall(left)
    running.sock.shutdown(socket.SHUT_WR)
    assert running.wait() == EXIT_DONE
    running.end()


def test_running_out_of_memory_in_the_loop_has_an_exit_code_of_its_own() -> None:
    running = Running()
    running.sock.sendall(packed(b"full"))
    assert running.wait() == EXIT_MEMORY
    running.end()


class Gate:
    """An inside whose `slow` frame takes until the answers before it have been read."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.seen: list[bytes] = []

    def receive(self, frame: bytes) -> list[bytes]:
        if frame == b"take 2 ms":
            end = monotonic() + 0.002
            while monotonic() < end:
                pass
        if frame == b"slow":
            self._sock.settimeout(DEADLINE_S)
            self.seen.append(read_frame(self._sock))
        return [frame]


def test_an_answer_does_not_wait_behind_a_slow_turn() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate = Gate(ours)
        frames = [b"take 2 ms", b"take 2 ms", b"slow"]
        ours.sendall(b"".join(map(packed, frames)))
        ours.shutdown(socket.SHUT_WR)
        assert run(theirs, lambda _tell: gate) == EXIT_DONE
    assert gate.seen == [b"take 2 ms"]


def test_many_answers_are_sent_before_the_input_is_used_up() -> None:
    class Wide(Gate):
        def receive(self, frame: bytes) -> list[bytes]:
            super().receive(frame)
            return [b"y" * (WRITE_BYTES // 2)]

    ours, theirs = socket.socketpair()
    with ours, theirs:
        wide = Wide(ours)
        ours.sendall(packed(b"a") + packed(b"b") + packed(b"slow"))
        ours.shutdown(socket.SHUT_WR)
        assert run(theirs, lambda _tell: wide) == EXIT_DONE
    assert wide.seen == [b"y" * (WRITE_BYTES // 2)]


# Real processes.


@contextmanager
def prepared(hash_seed: int = 1, worker_bytes: int = 64 * MIB) -> Iterator[Prepared]:
    limits = replace(Limits(), worker_bytes=worker_bytes)
    with closing(Prepared.start(hash_seed, limits, ECHO)) as process:
        yield process


@contextmanager
def forked(process: Prepared) -> Iterator[tuple[int, socket.socket]]:
    pid, sock = process.fork()
    sock.settimeout(DEADLINE_S)
    with sock:
        yield pid, sock


def asked(sock: socket.socket, frame: bytes) -> bytes:
    sock.sendall(packed(frame))
    return read_frame(sock)


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def until(holds: Callable[[], bool]) -> bool:
    deadline = monotonic() + DEADLINE_S
    while not holds():
        if monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def gone(pid: int) -> bool:
    """Whether no such process runs; one that waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.net
def test_x01_a_worker_has_nothing_but_its_socket_and_tight_limits() -> None:
    with ExitStack() as stack:
        # So that what the prepared process has open has numbers beyond what a worker may open.
        for _ in range(40):
            stack.enter_context(open(os.devnull))
        process = stack.enter_context(prepared())
        stack.enter_context(forked(process))
        pid, sock = stack.enter_context(forked(process))
        facts = json.loads(asked(sock, b"about"))
        assert facts["fds"] == [0, 1, 2, 3]
        limits = Path(f"/proc/{pid}/limits").read_text()
        for name, most in (("open files", 16), ("file size", 0), ("core file size", 0)):
            assert re.search(rf"^Max {name} +{most} +{most} ", limits, re.MULTILINE), limits
        assert facts["sigint_ignored"]
        score = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
        assert score == 1000 or os.getuid() != 0
        assert facts["cwd"] == "/"
        assert set(facts["env"]) <= {
            *("PYTHONHASHSEED", "TZ", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"),
        }
        assert not gone(pid)


@pytest.mark.net
def test_workers_of_one_seed_hash_alike_and_of_another_do_not() -> None:
    with (
        prepared(1) as one,
        prepared(2) as two,
        forked(one) as (_, a),
        forked(one) as (_, b),
        forked(two) as (_, c),
    ):
        hashes = [json.loads(asked(sock, b"about"))["hash"] for sock in (a, b, c)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.net
def test_x01_memory_is_limited_beyond_what_the_process_had() -> None:
    with prepared(worker_bytes=64 * MIB) as process:
        with forked(process) as (_, sock):
            assert asked(sock, b"eat %d" % (32 * MIB)) == b"%d" % (32 * MIB)
            assert asked(sock, b"still here") == b"still here"
        with forked(process) as (pid, sock):
            sock.sendall(packed(b"eat %d" % (200 * MIB)))
            assert ended(sock)
            assert process.end(pid) == EXIT_MEMORY


@pytest.mark.net
def test_x01_a_worker_writes_no_file(tmp_path: Path) -> None:
    with prepared() as process, forked(process) as (pid, sock):
        sock.sendall(packed(b"write %s" % str(tmp_path / "x").encode()))
        assert ended(sock)
        assert process.end(pid) == EXIT_BROKEN
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.net
@pytest.mark.parametrize("ends", [b"exit 5", b""])
def test_x01_of_what_a_worker_says_a_little_is_told_at_its_end_and_moves_no_cursor(
    capfd: pytest.CaptureFixture[str], ends: bytes
) -> None:
    with prepared() as process:
        with forked(process) as (pid, sock):
            assert int(asked(sock, b"say " + b"\x1b[2J" * 300 + b"\n")) < 1_000
            assert capfd.readouterr().err == ""
            if ends:
                sock.sendall(packed(ends))
                assert ended(sock)
            process.end(pid)
        with forked(process):
            pass
    told = capfd.readouterr().err
    assert "\\x1b[2J\\x1b[2J" in told and "\x1b" not in told
    assert len(told) < 4 * WORDS_BYTES_MAX


@pytest.mark.net
def test_exit_codes_are_told_once_and_a_running_worker_is_killed() -> None:
    with prepared() as process:
        for frame, code in (
            (b"exit 5", 5),
            (b"raise", EXIT_MEMORY),
            (b"stop", EXIT_BROKEN),
            (b"", EXIT_BAD_FRAME),
        ):
            with forked(process) as (pid, sock):
                sock.sendall(packed(frame))
                assert ended(sock)
                assert process.end(pid) == code
                with pytest.raises(ValueError, match=f"no worker {pid}"):
                    process.end(pid)
        with forked(process) as (pid, sock):
            sock.sendall(packed(b"slow 1000"))
            assert process.end(pid) == -signal.SIGKILL
            assert ended(sock)


@pytest.mark.net
def test_a_worker_ends_when_the_host_closes_its_socket_and_its_code_is_kept() -> None:
    with prepared() as process:
        with forked(process) as (pid, sock):
            assert asked(sock, b"hello") == b"hello"
        assert until(lambda: gone(pid))
        with forked(process):
            assert not Path(f"/proc/{pid}").exists(), "a fork reaps those that have ended"
            assert process.end(pid) == EXIT_DONE


@pytest.mark.net
def test_closing_ends_all_workers_and_the_process() -> None:
    with prepared() as process, forked(process) as (first, _), forked(process) as (second, _):
        process.close()
        assert process.process.returncode == 0
        assert until(lambda: gone(first) and gone(second))
        with pytest.raises(PreparedLost):
            process.fork()


@pytest.mark.net
def test_a_killed_prepared_process_takes_its_workers_along_and_is_noticed() -> None:
    with prepared() as process, forked(process) as (pid, sock):
        sock.sendall(packed(b"slow 1000"))
        process.process.kill()
        assert until(lambda: gone(pid))
        assert ended(sock)
        with pytest.raises(PreparedLost, match="start another"):
            process.fork()


@pytest.mark.net
def test_a_process_killed_before_it_listens_is_noticed() -> None:
    with prepared() as process:
        process.process.kill()
        with pytest.raises(PreparedLost):
            process.fork()


COUNTER = """
from avm import Me, Message, Step

def init(message: Message, me: Me) -> Step[Me]:
    return message.answer({"add": me("add")}), me

def step(message: Message, state: Me) -> Step[Me]:
    return [], state
"""


@pytest.mark.net
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (COUNTER, ""),
        ("import random", "counter.py:1: `import random` is not allowed in a step: use message.id"),
        ("x = 1", "counter.py: has no function `step`"),
        (None, "not a code bundle of this version"),
    ],
)
def test_a_real_worker_loads_a_bundle_or_says_why_not(text: str | None, why: str) -> None:
    bundle = Bundle("counter", "3.11", (Source("counter", False, text or ""),))
    body = bundle.encode() if text else dumps_plain([])
    with closing(Prepared.start(0, Limits())) as process, forked(process) as (_, sock):
        sock.sendall(packed(frames.pack([frames.CODE, b"1", body])))
        sock.sendall(packed(frames.pack([frames.LOAD, 1, b"1", None, [], 0, 0])))
        answer = frames.unpack(asked(sock, frames.pack([frames.LOADED, 1, 7])))
    assert answer[:3] == [frames.LOADED, 1, 7]
    assert str(answer[3]).startswith(why) and bool(answer[3]) == bool(why)


LOOPS = """
def init(message, me):
    return [], ()

def step(message, state):
    while message.content == 2:
        pass
    return message.answer(message.content), state
"""


@pytest.mark.net
def test_c06_a_turn_that_is_tried_alone_tells_how_far_it_came_before_it_hangs() -> None:
    body = Bundle("loops", "3.11", (Source("loops", False, LOOPS),)).encode()
    nothing = encode_state(None)[0]
    said = [[nothing, encode_content(n)[0], "null~", [], []] for n in (0, 1, 2, 3)]
    given = frames.pack([1, "channel", 1, False, said])
    with closing(Prepared.start(0, Limits())) as process, forked(process) as (_, sock):
        for frame in ([frames.CODE, b"1", body], [frames.LOAD, 1, b"1", None, [], 0, 0]):
            sock.sendall(packed(frames.pack(frame)))
        sock.sendall(packed(frames.pack([frames.ALONE, 1, 7, frames.MESSAGES, given])))
        told = [frames.unpack(read_frame(sock)) for _ in range(2)]
    assert told == [[frames.COME, 1, 7, 1], [frames.COME, 1, 7, 2]]


HOST = """
import sys
from avm.limits import Limits
from avm.run.spawn import Prepared
prepared = Prepared.start(1, Limits(), (sys.argv[1],))
workers = [prepared.fork() for _ in range(2)]
workers[0][1].sendall(b"\\x09\\0\\0\\0slow 1000")
print(prepared.process.pid, *(pid for pid, _ in workers), flush=True)
sys.stdin.read()
"""


@pytest.mark.net
@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGTERM])
def test_processes_do_not_outlive_their_host(word: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, *ECHO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 3 and not any(map(gone, pids))
        host.send_signal(word)
        assert host.wait(DEADLINE_S) == -word
        assert until(lambda: all(map(gone, pids)))
