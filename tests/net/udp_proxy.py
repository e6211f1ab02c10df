"""A proxy for UDP that loses, doubles, delays, reorders and corrupts datagrams, from a seed.

It stands before one endpoint and has a socket of its own for each client, so that the far side
answers there; `rebind` changes those sockets, as a NAT does that has forgotten its mappings.
"""

import random
import socket
from contextlib import suppress
from dataclasses import dataclass

import trio

from caps.identity import Endpoint, parse_endpoint

CLIENTS_MAX = 1_000
DATAGRAM_BYTES_MAX = 2_048

Address = tuple[str, int]


@dataclass
class Faults:
    """What happens to a datagram, in shares of all of them; delays in seconds."""

    loss: float = 0.0
    double: float = 0.0
    corrupt: float = 0.0
    late: float = 0.0
    delay_s: float = 0.0
    late_s: float = 0.02
    parted: bool = False


class UdpProxy:
    """Runs in a nursery, in front of `target`; dial its `endpoint`."""

    def __init__(self, target: Endpoint, seed: int, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.lost = self.carried = 0
        self.target = target
        self._random = random.Random(seed)
        self._front = _socket()
        self._backs: dict[Address, trio.socket.SocketType] = {}
        self._scopes: list[trio.CancelScope] = []
        host, port = self._front.getsockname()
        self.endpoint = parse_endpoint(f"{host}:{port}")
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Carry datagrams until cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                while True:
                    datagram, client = await self._front.recvfrom(DATAGRAM_BYTES_MAX)
                    to = (self.target.host_text, self.target.port)
                    self._carry(datagram, self._back_of(client), to)
        finally:
            self._front.close()
            self.rebind()

    def rebind(self) -> None:
        """Have all clients come from new ports from now on."""
        for scope in self._scopes:
            scope.cancel()
        for back in self._backs.values():
            back.close()
        self._scopes.clear()
        self._backs.clear()

    def _back_of(self, client: Address) -> trio.socket.SocketType:
        back = self._backs.get(client)
        if back is None:
            assert len(self._backs) < CLIENTS_MAX and self._nursery is not None
            back = self._backs[client] = _socket()
            scope = trio.CancelScope()
            self._scopes.append(scope)
            self._nursery.start_soon(self._answer, back, client, scope)
        return back

    async def _answer(
        self, back: trio.socket.SocketType, client: Address, scope: trio.CancelScope
    ) -> None:
        # A socket can be closed between its waking and its reading.
        with scope, suppress(OSError, trio.ClosedResourceError):
            while True:
                datagram, _ = await back.recvfrom(DATAGRAM_BYTES_MAX)
                self._carry(datagram, self._front, client)

    def _carry(self, datagram: bytes, sock: trio.socket.SocketType, to: Address) -> None:
        chance, faults = self._random.random, self.faults
        if faults.parted or chance() < faults.loss:
            self.lost += 1
            return
        for _ in range(2 if chance() < faults.double else 1):
            if chance() < faults.corrupt:
                at = self._random.randrange(len(datagram))
                bit = 1 << self._random.randrange(8)
                datagram = datagram[:at] + bytes([datagram[at] ^ bit]) + datagram[at + 1 :]
            late_s = faults.late_s if chance() < faults.late else 0.0
            self._send_after(faults.delay_s + late_s * chance(), datagram, sock, to)

    def _send_after(
        self, delay_s: float, datagram: bytes, sock: trio.socket.SocketType, to: Address
    ) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._send_late, delay_s, datagram, sock, to)

    async def _send_late(
        self, delay_s: float, datagram: bytes, sock: trio.socket.SocketType, to: Address
    ) -> None:
        if delay_s:
            await trio.sleep(delay_s)
        self.carried += 1
        try:
            await sock.sendto(datagram, to)
        except (OSError, trio.ClosedResourceError):
            self.lost += 1


def _socket() -> trio.socket.SocketType:
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        plain.setsockopt(socket.SOL_SOCKET, option, 4 * 1024 * 1024)
    plain.bind(("127.0.0.1", 0))
    plain.setblocking(False)
    return trio.socket.from_stdlib_socket(plain)
