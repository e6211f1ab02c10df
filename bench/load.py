"""A load: many clients in one process, driven by one loop."""

import selectors
import socket
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from avm.run import protocol
from bench.wire import APPLIED, LENGTH, TIMEOUT_S, BenchFailed, Lane, connect

# Twice as much is a mapping of its own to the allocator, made and given back with each look.
RECEIVE_BYTES = 1 << 16


class Client:
    """One client: a connection with its lanes, by the receiver as it stands in a verdict."""

    def __init__(self, directory: Path, lanes: Sequence[Lane]) -> None:
        self.sock = connect(directory)
        self._lanes = {lane.before[2:36]: lane for lane in lanes}
        self._buffer = b""
        self._unsent = b""
        assert len(self._lanes) == len(lanes), "one lane to a machine"
        first = self._greeted()
        if first != protocol.WELCOME:
            raise BenchFailed(f"greeted with a frame of kind {first}")
        self.sock.setblocking(False)

    def _greeted(self) -> object:
        head = self.sock.recv(4, socket.MSG_WAITALL)
        body = self.sock.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL)
        return protocol.unpack_untrusted(body)[0]

    def offer(self) -> bool:
        """Writes what the windows allow; True when the socket takes no more for now."""
        for lane in self._lanes.values():
            if lane.left:
                self._unsent += lane.next_offers(lane.window)
        if self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                sent = 0
            self._unsent = self._unsent[sent:]
        return bool(self._unsent)

    def receive(self) -> None:
        """Takes verdicts; anything but `applied` ends the bench."""
        received = self.sock.recv(RECEIVE_BYTES)
        if not received:
            raise BenchFailed("the host has closed the connection")
        buffer = self._buffer + received
        start, end = 0, len(buffer)
        while end - start >= 4:
            stop = start + 4 + int.from_bytes(buffer[start : start + 4], "little")
            if stop > end:
                break
            if not buffer.endswith(APPLIED, start, stop):
                self._other(buffer[start + 4 : stop])
            else:
                self._lanes[buffer[start + 6 : start + 40]].settled += 1
            start = stop
        self._buffer = buffer[start:]

    def _other(self, body: bytes) -> None:
        frame = protocol.unpack_untrusted(body)
        raise BenchFailed(f"a frame of kind {frame[0]}, {frame[3:]}, and not a verdict `applied`")

    @property
    def finished(self) -> bool:
        """Whether all lanes are."""
        return all(lane.finished for lane in self._lanes.values())


def run_load(directory: Path, lanes: Sequence[Lane], connections: int) -> float:
    """Has all lanes offer all they have, lanes spread over connections; the seconds it took."""
    shares = [lanes[i::connections] for i in range(connections)]
    clients = [Client(directory, share) for share in shares if share]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.sock, selectors.EVENT_READ, client)
    running = len(clients)
    begun = perf_counter()
    for client in clients:
        _listen(selector, client, client.offer())
    while running:
        ready = selector.select(TIMEOUT_S)
        if not ready:
            raise BenchFailed(f"no verdict within {TIMEOUT_S:.0f} s")
        for key, mask in ready:
            client = key.data
            if mask & selectors.EVENT_READ:
                client.receive()
            if client.finished:
                selector.unregister(client.sock)
                running -= 1
                continue
            blocked = client.offer()
            if blocked != bool(key.events & selectors.EVENT_WRITE):
                _listen(selector, client, blocked)
    seconds = perf_counter() - begun
    for client in clients:
        client.sock.setblocking(True)
        client.sock.sendall(protocol.pack([protocol.END]))
        client.sock.close()
    selector.close()
    return seconds


def one_at_a_time(directory: Path, lane: Lane) -> list[float]:
    """Has a lane offer batch after batch, each when the one before has its verdict; the seconds of each."""
    client = Client(directory, [lane])
    client.sock.setblocking(True)
    times = []
    while not lane.finished:
        begun = perf_counter()
        client.offer()
        while lane.settled < lane.offered:
            client.receive()
        times.append(perf_counter() - begun)
    client.sock.sendall(protocol.pack([protocol.END]))
    client.sock.close()
    return times


def _listen(selector: selectors.DefaultSelector, client: Client, blocked: bool) -> None:
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if blocked else 0)
    selector.modify(client.sock, events, client)
