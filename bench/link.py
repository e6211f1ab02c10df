"""Links over loopback between two processes, beside aioquic's own asyncio driver: `python -m bench.link`.

Both sides speak the same: frames of a length and as many bytes, on long-lived streams. Each stack's
server is a process of its own (`python -m bench.link serve STACK`), its client is another, and the
stacks take turns, so that whatever else the machine does falls on all of them.
"""

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from avm.link.frames import Assembly, cut
from avm.link.handshake import Credentials
from avm.link.interface import Down, Link
from avm.link.limits import LinkLimits
from avm.link.quic import QuicListener
from avm.link.udp import UdpPort, moment
from caps.identity import RootKey, Route, parse_endpoint
from caps.tls import tls_certificate

MESSAGE_BYTES = 200
IN_FLIGHT = 32
BULK_FRAME_BYTES = 64 * 1024
BULK_IN_FLIGHT = 8
ECHO, COUNT = 1, 2
ACK = b"acknowledged"
STACKS = ("avm", "aioquic")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    trips: int = 3_000
    seconds: float = 2.0
    handshakes: int = 150
    idle: int = 100
    rounds: int = 3


QUICK = Scale(trips=200, seconds=0.2, handshakes=5, idle=5, rounds=1)


def key_of(seed: int) -> RootKey:
    return RootKey(seed.to_bytes(32, "big"))


def cpu_s(pid: int) -> float:
    """What this process and that one have used of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Load:
    """What a client sends and counts: frames in flight, their answers, and the time it took."""

    send: Callable[[int, bytes], None]
    stream: int = ECHO
    frame: bytes = b""
    left: int = 0
    until_s: float = 0.0
    answered: int = 0
    trips_s: list[float] = field(default_factory=list)
    sent_s: float = 0.0
    done: Callable[[], None] = lambda: None

    def ping(self) -> None:
        self.sent_s = time.perf_counter()
        self.send(ECHO, self.frame)

    def ponged(self) -> None:
        self.trips_s.append(time.perf_counter() - self.sent_s)
        self.left -= 1
        if self.left:
            self.ping()
        else:
            self.done()

    def pour(self, in_flight: int) -> None:
        for _ in range(in_flight):
            self.send(COUNT, self.frame)

    def poured(self) -> None:
        self.answered += 1
        if time.perf_counter() < self.until_s:
            self.send(COUNT, self.frame)
        else:
            self.done()


# Ours.


class Server:
    """An owner that answers."""

    def link_up(self, link: Link) -> None: ...

    def link_down(self, link: Link, down: Down) -> None: ...

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        link.consumed(stream, len(frame))
        link.send_nowait(stream, frame if stream == ECHO else ACK)

    def datagram(self, link: Link, datagram: bytes) -> None: ...

    def has_room(self, link: Link, stream: int) -> None: ...

    def speaks(self, link: Link, machine: bytes) -> None: ...

    def answered(self, link: Link, machine: bytes, accepted: bool) -> None: ...


class Client(Server):
    """An owner that makes the load."""

    def __init__(self) -> None:
        self.load: Load | None = None
        self.event = trio.Event()
        self.waiting: deque[bytes] = deque()

    def send(self, link: Link, stream: int, frame: bytes) -> None:
        if self.waiting or link.room(stream) < len(frame):
            self.waiting.append(frame)
        else:
            link.send_nowait(stream, frame)

    def has_room(self, link: Link, stream: int) -> None:
        while self.waiting and link.room(stream) >= len(self.waiting[0]):
            link.send_nowait(stream, self.waiting.popleft())

    def link_up(self, link: Link) -> None:
        self.event.set()

    def link_down(self, link: Link, down: Down) -> None:
        self.event.set()

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        link.consumed(stream, len(frame))
        assert self.load is not None
        if stream == ECHO:
            self.load.ponged()
        else:
            self.load.poured()


def make_host(seed: int, owner: Server) -> tuple[UdpPort, QuicListener]:
    port = UdpPort()
    me = Credentials(key_of(seed), key_of(seed).identity({}))
    limits = LinkLimits(links=10_000, retry_half_open=1_000, half_open=1_000, half_open_ip=1_000)
    quic = QuicListener(port.endpoint, me, owner, os.urandom, limits, moment(), port.wake)
    port.serve(quic)
    return port, quic


async def serve_avm() -> None:
    port, _quic = make_host(2, Server())
    print(port.endpoint, flush=True)
    await port.run()


class AvmStack:
    """Our client, as the bench drives it."""

    def __init__(self, endpoint: str) -> None:
        self.route = Route(key_of(2).identity({}).address, parse_endpoint(endpoint))
        self.owner = Client()
        self.port, self.quic = make_host(1, self.owner)

    async def dial(self) -> Link:
        self.owner.event = trio.Event()
        self.port.hear_clock()
        link = self.quic.dial_nowait(self.route)
        await self.owner.event.wait()
        assert link.is_up
        return link

    async def load(self, link: Link, load: Load, begin: Callable[[], None]) -> None:
        done = trio.Event()
        load.send, load.done = partial(self.owner.send, link), done.set
        self.owner.load = load
        begin()
        await done.wait()


async def measure_avm(endpoint: str, pid: int, scale: Scale) -> dict[str, float]:
    stack = AvmStack(endpoint)
    figures: dict[str, float] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stack.port.run)
        link = await stack.dial()
        for name, load, begin in loads(scale):
            started = time.perf_counter(), cpu_s(pid)
            await stack.load(link, load, begin)
            await drained(load, partial(trio.sleep, 0.01))
            figures |= figures_of(name, load, started, pid)
        took_s = 0.0
        for _ in range(scale.handshakes):
            begun = time.perf_counter()
            shaken = await stack.dial()
            took_s += time.perf_counter() - begun
            shaken.close()
        figures["handshakes/s"] = scale.handshakes / took_s
        before = rss_bytes(os.getpid()), rss_bytes(pid)
        links = [await stack.dial() for _ in range(scale.idle)]
        await trio.sleep(0.2)
        after = rss_bytes(os.getpid()), rss_bytes(pid)
        for side, low, high in zip(("client", "server"), before, after, strict=True):
            figures[f"idle {side} kB"] = (high - low) / len(links) / 1000
        nursery.cancel_scope.cancel()
    stack.port.close()
    return figures


# aioquic's own asyncio driver.


class Answering(QuicConnectionProtocol):
    """Its protocol, answering frames as ours does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.assemblies: dict[int, Assembly] = {}

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.StreamDataReceived):
            stream = event.stream_id // 4 + 1
            assembly = self.assemblies.setdefault(stream, Assembly())
            for frame in assembly.feed_untrusted(event.data):
                self.frame(event.stream_id, stream, frame)

    def frame(self, number: int, stream: int, frame: bytes) -> None:
        self._quic.send_stream_data(number, cut(frame if stream == ECHO else ACK))


class Loading(Answering):
    """Its protocol, making the load."""

    load: Load | None = None

    def frame(self, number: int, stream: int, frame: bytes) -> None:
        assert self.load is not None
        if stream == ECHO:
            self.load.ponged()
        else:
            self.load.poured()

    def send(self, stream: int, frame: bytes) -> None:
        self._quic.send_stream_data(4 * (stream - 1), cut(frame))
        self._transmit_soon()


async def serve_aioquic() -> None:
    with TemporaryDirectory() as folder:
        configuration = QuicConfiguration(is_client=False, alpn_protocols=["bench"])
        key = Ed25519PrivateKey.from_private_bytes((2).to_bytes(32, "big"))
        certificate = load_der_x509_certificate(tls_certificate(key_of(2)))
        (Path(folder) / "certificate").write_bytes(certificate.public_bytes(Encoding.PEM))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (Path(folder) / "key").write_bytes(private)
        configuration.load_cert_chain(Path(folder) / "certificate", Path(folder) / "key")
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Answering)
    assert server._transport is not None
    host, port = server._transport.get_extra_info("sockname")
    print(f"{host}:{port}", flush=True)
    await asyncio.Event().wait()


async def measure_aioquic(endpoint: str, pid: int, scale: Scale) -> dict[str, float]:
    host, port = endpoint.rsplit(":", 1)
    configuration = QuicConfiguration(alpn_protocols=["bench"], verify_mode=ssl.CERT_NONE)
    dial = partial(connect, host, int(port), configuration=configuration, create_protocol=Loading)
    figures: dict[str, float] = {}
    async with dial() as link:
        assert isinstance(link, Loading)
        for name, load, begin in loads(scale):
            done = asyncio.Event()
            load.send, load.done = link.send, done.set
            link.load = load
            started = time.perf_counter(), cpu_s(pid)
            begin()
            await done.wait()
            await drained(load, partial(asyncio.sleep, 0.01))
            figures |= figures_of(name, load, started, pid)
    took_s = 0.0
    for _ in range(scale.handshakes):
        begun = time.perf_counter()
        async with dial() as link:
            took_s += time.perf_counter() - begun
            link.close()
    figures["handshakes/s"] = scale.handshakes / took_s
    before = rss_bytes(os.getpid()), rss_bytes(pid)
    links = [dial() for _ in range(scale.idle)]
    for one in links:
        await one.__aenter__()
    await asyncio.sleep(0.2)
    after = rss_bytes(os.getpid()), rss_bytes(pid)
    for side, low, high in zip(("client", "server"), before, after, strict=True):
        figures[f"idle {side} kB"] = (high - low) / len(links) / 1000
    return figures


# What both measure.


def loads(scale: Scale) -> list[tuple[str, Load, Callable[[], None]]]:
    """The loads in their order, with what begins each."""
    made: list[tuple[str, Load, Callable[[], None]]] = []
    nothing: Callable[[int, bytes], None] = lambda stream, frame: None
    trip = Load(nothing, frame=bytes(MESSAGE_BYTES), left=scale.trips)
    made.append(("round trip", trip, trip.ping))
    for batch in (1, 10, 100):
        load = Load(nothing, COUNT, bytes(MESSAGE_BYTES * batch))
        made.append((f"batches of {batch}", load, partial(begin_pour, load, IN_FLIGHT, scale)))
    bulk = Load(nothing, COUNT, bytes(BULK_FRAME_BYTES))
    made.append(("bulk", bulk, partial(begin_pour, bulk, BULK_IN_FLIGHT, scale)))
    return made


def begin_pour(load: Load, in_flight: int, scale: Scale) -> None:
    load.until_s = time.perf_counter() + scale.seconds
    load.left = in_flight
    load.pour(in_flight)


async def drained(load: Load, pause: Callable[[], Any]) -> None:
    """Wait until what is still in flight has been answered, so that the next load is alone."""
    before = -1
    while load.stream == COUNT and load.answered != before:
        before = load.answered
        await pause()


def figures_of(name: str, load: Load, started: tuple[float, float], pid: int) -> dict[str, float]:
    took_s, used_s = time.perf_counter() - started[0], cpu_s(pid) - started[1]
    if load.stream == ECHO:
        trips = sorted(load.trips_s)
        p99 = trips[len(trips) * 99 // 100]
        figures = {"round trip p50, us": statistics.median(trips) * 1e6, "p99, us": p99 * 1e6}
        return figures | {"CPU a round trip, us": used_s / len(trips) * 1e6}
    sent_bytes = load.answered * len(load.frame)
    if name == "bulk":
        return {"bulk, MB/s": sent_bytes / took_s / 1e6, "CPU a MB, ms": used_s / sent_bytes * 1e9}
    messages = sent_bytes / MESSAGE_BYTES
    return {
        f"{name}, messages/s": messages / took_s,
        f"{name}, CPU a message, us": used_s / messages * 1e6,
    }


def run_stack(stack: str, scale: Scale) -> dict[str, float]:
    """Measure one stack, its client in a process of its own too."""
    command = [sys.executable, "-m", "bench.link"]
    amount = [json.dumps(asdict(scale))]
    return run_pair([*command, "serve", stack], [*command, "client", stack], amount)


def run_libp2p(python: str, scale: Scale) -> dict[str, float]:
    """Measure py-libp2p by the interpreter that has it."""
    command = [python, str(Path(__file__).with_name("link_libp2p.py"))]
    amount = [str(scale.trips), str(scale.seconds)]
    return run_pair([*command, "serve"], [*command, "client"], amount)


def run_pair(serve: list[str], client: list[str], amount: Sequence[str] = ()) -> dict[str, float]:
    """Run a server and its client; the client's figures."""
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            endpoint = server.stdout.readline().decode().strip()
            whole = [*client, endpoint, str(server.pid), *amount]
            out = subprocess.run(whole, check=True, stdout=subprocess.PIPE, timeout=120).stdout
            figures: dict[str, float] = json.loads(out)
            return figures
        finally:
            server.kill()


def compare(scale: Scale, libp2p: str = "") -> dict[str, dict[str, float]]:
    """All stacks in turns; of each figure the median."""
    runs: dict[str, Callable[[], dict[str, float]]] = {
        stack: partial(run_stack, stack, scale) for stack in STACKS
    }
    if libp2p:
        runs["py-libp2p"] = partial(run_libp2p, libp2p, scale)
    rounds = [{stack: run() for stack, run in runs.items()} for _ in range(scale.rounds)]
    return {
        stack: {
            name: statistics.median(one[stack][name] for one in rounds) for name in rounds[0][stack]
        }
        for stack in runs
    }


def page(figures: dict[str, dict[str, float]]) -> str:
    """The figures side by side, and how many times the peer's ours are."""
    ours, *peers = figures
    head = [ours, *(text for peer in peers for text in (peer, f"avm / {peer}"))]
    lines = ["| what | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for name, value in figures[ours].items():
        cells = [shown(value)]
        for peer in peers:
            other = figures[peer].get(name)
            cells += ["", ""] if other is None else [shown(other), f"{value / other:.2f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.link", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works")
    parser.add_argument("--libp2p", default="", help="a Python that has libp2p 0.8, to measure too")
    parser.add_argument("role", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else Scale()
    match arguments.role:
        case ["serve", "avm"]:
            with suppress(KeyboardInterrupt):
                trio.run(serve_avm)
        case ["serve", "aioquic"]:
            asyncio.run(serve_aioquic())
        case ["client", "avm", endpoint, pid, amount]:
            scale = Scale(**json.loads(amount))
            print(json.dumps(trio.run(measure_avm, endpoint, int(pid), scale)))
        case ["client", "aioquic", endpoint, pid, amount]:
            scale = Scale(**json.loads(amount))
            print(json.dumps(asyncio.run(measure_aioquic(endpoint, int(pid), scale))))
        case _:
            print(page(compare(scale, arguments.libp2p)))


if __name__ == "__main__":
    main()
