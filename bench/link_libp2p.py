"""py-libp2p's QUIC host under the load of `bench.link`, which runs this with `--libp2p PYTHON`.

It needs libp2p 0.8, which is in no lock file here, and nothing of ours. One long-lived stream a load,
frames of a length and as many bytes, as the other stacks.
"""

import json
import os
import secrets
import statistics
import sys
import time
from typing import Any

import trio
from libp2p import new_host  # type: ignore[import-not-found, unused-ignore]
from libp2p.crypto.ed25519 import create_new_key_pair  # type: ignore[import-not-found, unused-ignore]
from libp2p.custom_types import TProtocol  # type: ignore[import-not-found, unused-ignore]
from libp2p.peer.peerinfo import info_from_p2p_addr  # type: ignore[import-not-found, unused-ignore]
from multiaddr import Multiaddr  # type: ignore[import-not-found, unused-ignore]

MESSAGE_BYTES = 200
IN_FLIGHT = 32
ECHO, COUNT = TProtocol("/bench/echo/1"), TProtocol("/bench/count/1")
ACK = b"acknowledged"


class Frames:
    """Frames over a libp2p stream."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.held = bytearray()

    async def send(self, frame: bytes) -> None:
        await self.stream.write(len(frame).to_bytes(4, "big") + frame)

    async def receive(self) -> bytes:
        while True:
            if len(self.held) >= 4:
                end = 4 + int.from_bytes(self.held[:4], "big")
                if len(self.held) >= end:
                    frame = bytes(self.held[4:end])
                    del self.held[:end]
                    return frame
            chunk = await self.stream.read(65_536)
            if not chunk:
                raise EOFError
            self.held += chunk


async def answer(stream: Any, echo: bool) -> None:
    frames = Frames(stream)
    while True:
        frame = await frames.receive()
        await frames.send(frame if echo else ACK)


def make_host() -> Any:
    return new_host(key_pair=create_new_key_pair(secrets.token_bytes(32)), enable_quic=True)


async def serve() -> None:
    host = make_host()
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")]):

        async def echo(stream: Any) -> None:
            await answer(stream, True)

        async def count(stream: Any) -> None:
            await answer(stream, False)

        host.set_stream_handler(ECHO, echo)
        host.set_stream_handler(COUNT, count)
        address = next(str(one) for one in host.get_addrs() if "127.0.0.1" in str(one))
        print(address, flush=True)
        await trio.sleep_forever()


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return time.process_time() + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def measure(address: str, pid: int, trips: int, seconds: float) -> dict[str, float]:
    host = make_host()
    figures: dict[str, float] = {}
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")]):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        frames = Frames(await host.new_stream(info.peer_id, [ECHO]))
        took_s, used = [], cpu_s(pid)
        for _ in range(trips):
            begun = time.perf_counter()
            await frames.send(bytes(MESSAGE_BYTES))
            await frames.receive()
            took_s.append(time.perf_counter() - begun)
        took_s.sort()
        figures["round trip p50, us"] = statistics.median(took_s) * 1e6
        figures["p99, us"] = took_s[len(took_s) * 99 // 100] * 1e6
        figures["CPU a round trip, us"] = (cpu_s(pid) - used) / trips * 1e6
        for batch in (1, 10, 100):
            stream = Frames(await host.new_stream(info.peer_id, [COUNT]))
            figures |= await pour(stream, batch, seconds, pid)
    return figures


async def pour(frames: Frames, batch: int, seconds: float, pid: int) -> dict[str, float]:
    frame = bytes(MESSAGE_BYTES * batch)
    begun, used, answered = time.perf_counter(), cpu_s(pid), 0
    for _ in range(IN_FLIGHT):
        await frames.send(frame)
    while time.perf_counter() < begun + seconds:
        await frames.receive()
        answered += 1
        await frames.send(frame)
    for _ in range(IN_FLIGHT):
        await frames.receive()
        answered += 1
    messages = answered * batch
    return {
        f"batches of {batch}, messages/s": messages / (time.perf_counter() - begun),
        f"batches of {batch}, CPU a message, us": (cpu_s(pid) - used) / messages * 1e6,
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        trio.run(serve)
    else:
        _, _, endpoint, server, count, span = sys.argv
        print(json.dumps(trio.run(measure, endpoint, int(server), int(count), float(span))))
