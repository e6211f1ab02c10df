"""`python -m bench.dht_speed [--seconds N] [--runs N]`: the closest of a full table, and requests a second on loopback.

The server is one node on one socket in a process of its own; the client is a plain loop over sockets at
many addresses of 127/8, so that no endpoint or subnet is over its rate, and a request is a find without a
token, padded as every first one is.
"""

import argparse
import os
import signal
import socket
import sys
import time
from itertools import cycle
from random import Random
from time import perf_counter, process_time

import trio

from bench.cost import best_us, calls
from bench.dht_world import endpoint_of
from bench.figures import Figure
from caps.identity import RootKey
from dht.contact import Contact
from dht.node import Node
from dht.settings import CLOSEST, ID_BITS, Settings
from dht.table import Table
from dht.udp import NodeShell, UdpPort
from dht.wire import PADDED_BYTES, Find, encode_request

SOCKETS = 200
WINDOW = 32
POINTS = 1_024
A_ROUND = 200


def full_table(seed: int) -> Table:
    """A table with every bucket full that a network of a million nodes fills."""
    random = Random(seed)
    table = Table(random.randbytes(32), Settings())
    number = 0
    for bits in range(17):
        for _ in range(CLOSEST):
            low = random.getrandbits(ID_BITS - bits - 1)
            octets = (table.own ^ (1 << (ID_BITS - 1 - bits)) ^ low).to_bytes(32, "big")
            table.add_contact(Contact(octets, endpoint_of(number)))
            number += 1
    return table


def closest_us(spread_s: float, seed: int = 1) -> float:
    """Microseconds to find the closest 20 to a random point, the best of many short rounds."""
    table = full_table(seed)
    assert len(table) == 17 * CLOSEST
    random = Random(seed + 1)
    points = cycle([random.getrandbits(ID_BITS) for _ in range(POINTS)])
    work = calls(lambda: table.closest(next(points), CLOSEST))
    return best_us({"closest": work}, A_ROUND, spread_s)["closest"]


def serve(write: int) -> None:
    """Serve until terminated; the port and then the processor time go down the pipe."""

    async def run() -> None:
        port = UdpPort(b"\x7f\0\0\1")
        node = Node(RootKey(b"s" * 32), os.urandom, endpoints=(port.endpoint,))
        for contact in full_table(2):
            node.table.add_contact(contact)
        shell = NodeShell(node, port.send, began_ms=time.time_ns() // 1_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.run, shell.receive_untrusted)
            os.write(write, f"{port.endpoint.port}\n".encode())
            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    break
            nursery.cancel_scope.cancel()

    trio.run(run)
    os.write(write, f"{process_time()}\n".encode())


def requests(seconds: float, runs: int) -> tuple[float, float]:
    """Requests a second on the wall clock, and per second of the server's processor time: the best of so many runs."""
    walls, cores = zip(*(_run(seconds) for _ in range(runs)), strict=True)
    return max(walls), max(cores)


def _run(seconds: float) -> tuple[float, float]:
    read, write = os.pipe()
    server = os.fork()
    if not server:
        os.close(read)
        serve(write)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        target = ("127.0.0.1", int(pipe.readline()))
        answered, took = _ask(target, seconds)
        os.kill(server, signal.SIGTERM)
        used = float(pipe.readline())
    os.waitpid(server, 0)
    return answered / took, answered / used


def _ask(target: tuple[str, int], seconds: float) -> tuple[int, float]:
    random = Random(3)
    sockets = []
    for number in range(SOCKETS):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((f"127.0.{number + 1}.1", 0))
        one.settimeout(0.5)
        one.connect(target)
        sockets.append(one)
    finds = [
        encode_request(
            Find(random.randbytes(8), None, b"", random.randbytes(32)), padded_bytes=PADDED_BYTES
        )
        for _ in range(512)
    ]
    answered = asked = 0
    begun = perf_counter()
    try:
        while perf_counter() - begun < seconds:
            for first in range(0, SOCKETS, WINDOW):
                some = sockets[first : first + WINDOW]
                for one in some:
                    one.send(finds[asked % len(finds)])
                    asked += 1
                for one in some:
                    try:
                        answered += len(one.recv(1_500)) > 1_000
                    except TimeoutError:
                        continue
    finally:
        for one in sockets:
            one.close()
    return answered, perf_counter() - begun


def main() -> int:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(prog="python -m bench.dht_speed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.9, help="how long to ask (1.9)")
    parser.add_argument("--runs", type=int, default=6, help="the best of how many runs (6)")
    options = parser.parse_args()
    wall, core = requests(options.seconds, options.runs)
    figures = [
        Figure("closest 20 of a full table", closest_us(options.seconds), "us", most=5),
        Figure("requests answered a second of one core", core, "1/s", least=10_000),
        Figure("requests answered a second, one client", wall, "1/s"),
    ]
    for figure in figures:
        print(f"{figure.what}: {figure.value:,.2f} {figure.unit} {figure.verdict}")
    return int(any(figure.verdict == "**missed**" for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
