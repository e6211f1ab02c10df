"""The bare way of a message: `python -m bench.bare DIR` takes what clients offer, and does nothing with it.

What a message cannot do without, whoever writes it in Python: a client's socket, a worker in a process
of its own, a commit by a thread, and back. No check, no capability, no step, no journal to replay. What a
host takes above this is its own; what this takes is the machine's.
"""

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import apsw

from avm.run import protocol
from avm.run.protocol import Frames, framed
from bench.figures import Figure, Section, spread_ms
from bench.load import one_at_a_time, run_load
from bench.scale import BATCHES, Scale
from bench.throughput import LINE, WINDOW_MANY
from bench.wire import Lane

RECEIVE_BYTES = 1 << 16
# Whoever it is: nobody looks at it.
RECEIVER = bytes(32)
ROW = bytes(300)
# A turn writes to the journal, to its machine's row and to its channel's.
TABLES = ("journal", "machine", "channel")
CHANNELS = 64
WELCOME = protocol.pack([protocol.WELCOME])


def work(host: socket.socket) -> None:
    """The worker: decodes nothing, answers each frame."""
    frames = Frames()
    while received := host.recv(RECEIVE_BYTES):
        host.sendall(b"".join(framed(frame[:8]) for frame in frames.feed(received)))


class Rows:
    """A store that is told how many turns to keep, and keeps so many rows."""

    def __init__(self, path: Path, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._groups: SimpleQueue[int] = SimpleQueue()
        self._file = apsw.Connection(str(path))
        self._file.pragma("page_size", 8192)
        self._file.pragma("journal_mode", "wal")
        self._file.pragma("synchronous", "FULL")
        for table in TABLES:
            self._file.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, row BLOB)")
        threading.Thread(target=self._run, daemon=True).start()

    def commit(self, count: int) -> None:
        """Has so many turns committed, and tells."""
        self._groups.put(count)

    def _run(self) -> None:
        journal, machine, channel = (f"REPLACE INTO {table} VALUES (?, ?)" for table in TABLES)
        last = 0
        while count := self._groups.get():
            entries = [(number, ROW) for number in range(last, last + count)]
            with self._file:
                self._file.executemany(journal, entries)
                self._file.execute(machine, (1, ROW))
                self._file.executemany(channel, [(n, ROW) for n in range(min(count, CHANNELS))])
            last += count
            self._tell()


class Bare:
    """Sockets on one side, a worker on the other, and what is under way between them."""

    def __init__(self, directory: Path) -> None:
        self._poll = select.epoll()
        self._bell, self._ring = socket.socketpair()
        self._worker, end = socket.socketpair()
        if not os.fork():
            self._worker.close()
            work(end)
            os._exit(0)
        end.close()
        self._rows = Rows(directory / "bare.db", lambda: self._ring.sendall(b"!"))
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(directory / "control.sock"))
        self._door.listen(128)
        self._clients: dict[int, tuple[socket.socket, Frames]] = {}
        self._answers = Frames()
        self._given: list[tuple[int, bytes]] = []
        self._folded = 0
        self._committing: list[tuple[int, bytes]] = []
        for sock in (self._bell, self._worker, self._door):
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Serves for as long as the process lives."""
        while True:
            offered: list[bytes] = []
            for number, _events in self._poll.poll():
                if number in self._clients:
                    offered += self._take(number)
                elif number == self._worker.fileno():
                    self._folded += len(self._answers.feed(self._worker.recv(RECEIVE_BYTES)))
                elif number == self._bell.fileno():
                    self._bell.recv(RECEIVE_BYTES)
                    self._settle()
                else:
                    self._admit()
            if offered:
                self._worker.sendall(b"".join(offered))
            if self._folded and not self._committing:
                self._committing = self._given[: self._folded]
                del self._given[: self._folded]
                self._rows.commit(self._folded)
                self._folded = 0

    def _admit(self) -> None:
        client, _address = self._door.accept()
        self._clients[client.fileno()] = (client, Frames())
        self._poll.register(client.fileno(), select.EPOLLIN)

    def _take(self, number: int) -> list[bytes]:
        client, frames = self._clients[number]
        received = client.recv(RECEIVE_BYTES)
        if not received:
            del self._clients[number]
            client.close()
        offers = []
        for frame in frames.feed(received):
            kind = frame[1]
            if kind == protocol.HELLO:
                client.sendall(WELCOME)
            elif kind == protocol.OFFER:
                self._given.append((number, frame[4:36]))
                offers.append(framed(frame))
        return offers

    def _settle(self) -> None:
        said: dict[int, list[bytes]] = {}
        for number, receiver in self._committing:
            said.setdefault(number, []).append(protocol.pack_applied(receiver, 1))
        self._committing = []
        for number, verdicts in said.items():
            if number in self._clients:
                self._clients[number][0].sendall(b"".join(verdicts))


@contextmanager
def serving(directory: Path) -> Iterator[None]:
    """One for as long as the block runs."""
    command = [sys.executable, "-m", "bench.bare", str(directory)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def measure(directory: Path, scale: Scale) -> Section:
    """The loads of a host on the bare way."""
    figures = []
    with serving(directory):
        for batch, messages in zip(BATCHES, scale.messages, strict=True):
            offers = max(1, messages // batch // scale.senders)
            for share in (max(1, offers // 10), offers):
                lanes = [_lane(batch, share, WINDOW_MANY[batch]) for _ in range(scale.senders)]
                seconds = run_load(directory, lanes, scale.senders)
            what = f"{scale.senders} senders, batches of {batch}"
            rate = offers * scale.senders * batch / seconds
            figures.append(Figure(what, rate, "messages/s"))
        figures += spread_ms(
            "one message at a time", one_at_a_time(directory, _lane(1, scale.idle, 1)), None
        )
    text = "What a message cannot do without, in Python, and nothing else: a client's socket, a worker's process, rows in"
    text += " three tables committed by a thread, and back. No check, no step, nothing that could be replayed."
    return Section("The bare way", text, figures)


def _lane(batch: int, offers: int, window: int) -> Lane:
    return Lane.to_receiver(RECEIVER, b"", [LINE] * batch, offers, window)


if __name__ == "__main__":
    bare = Bare(Path(sys.argv[1]))
    print("bare is ready", flush=True)
    bare.run()
