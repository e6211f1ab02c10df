"""The shell around a node: it tells the time, hands datagrams over and wakes the node when it asks.

Step 7 of the journey, at the network. The shell needs no socket of its own: whoever owns the UDP port
(the QUIC transport shares it) gives it a `send` and calls `receive`. `UdpPort` is a small owner for
tests, benches and a node that runs alone.
"""

import socket
from collections.abc import Callable, Iterable, Mapping

import trio

from caps.hostproof import HostProof
from caps.identity import Endpoint, Identity
from dht.effects import Effect, Ended, Found, Published, Send
from dht.node import Node
from dht.proofs import Kind, Proved
from dht.record import Where
from dht.wire import PACKET_BYTES_MAX, is_quic

DATAGRAMS_A_PASS_MAX = 64
WAKE_MS_MIN = 1
NEVER_MS = 1 << 63

Sender = Callable[[bytes, Endpoint], None]
Teller = Callable[[Effect], None]


class _Wait:
    """What a task waits for: an effect, once it is there."""

    __slots__ = ("effect", "event")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.effect: Effect | None = None

    def settle(self, effect: Effect) -> None:
        self.effect = effect
        self.event.set()


class NodeShell:
    """Drives one node; `send` must not block and may drop, `tell` hears every other effect."""

    def __init__(
        self, node: Node, send: Sender, tell: Teller = lambda effect: None, *, began_ms: int
    ) -> None:
        """`began_ms` is what the wall clock says now, in milliseconds since 1970."""
        self.node = node
        self._send = send
        self._tell = tell
        self._began_ms = began_ms
        self._began = trio.current_time()
        self._ended: dict[int, _Wait] = {}
        self._found: dict[int, _Wait] = {}
        self._published: dict[tuple[Kind, bytes, tuple[int, int]], _Wait] = {}
        self._put: dict[tuple[Kind, bytes], _Wait] = {}
        self._changed = trio.Event()
        self._planned_ms = NEVER_MS

    def now_ms(self) -> int:
        """Return milliseconds since 1970, by the wall clock at the start and steady since."""
        return self._began_ms + int((trio.current_time() - self._began) * 1000)

    def serve(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Go on as a node that others reach at these endpoints; with none, as a client."""
        self.node.serve(self.now_ms(), endpoints)
        self._carry_out()

    def receive_untrusted(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Take a datagram that came from an endpoint."""
        self.node.receive_untrusted(self.now_ms(), datagram, endpoint)
        self._carry_out()

    async def run(self) -> None:
        """Wake the node when it asks for it, until cancelled."""
        while True:
            wake_ms = self.node.next_wake_ms()
            self._changed = trio.Event()
            self._planned_ms = NEVER_MS if wake_ms is None else wake_ms
            wait_s = float("inf")
            if wake_ms is not None:
                wait_s = max(WAKE_MS_MIN, wake_ms - self.now_ms()) / 1000
            with trio.move_on_after(wait_s):
                await self._changed.wait()
            self.node.tick(self.now_ms())
            self._carry_out()

    def join(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Enter the network through nodes at these endpoints."""
        self.node.join(self.now_ms(), endpoints)
        self._carry_out()

    def met(self, endpoint: Endpoint) -> None:
        """Note that a host was linked anew, whose node may be at this endpoint."""
        self.node.met(self.now_ms(), endpoint)
        self._carry_out()

    def ask(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Ask, once, whether there are nodes at these endpoints."""
        self.node.ask(self.now_ms(), endpoints)
        self._carry_out()

    async def locate(self, key: bytes, kind: Kind = Kind.LOCATION) -> Ended:
        """Look a key up to the end; no records is a miss. Raises `NodeBusy`."""
        number = self.node.locate(self.now_ms(), key, kind)
        wait = self._ended.setdefault(number, _Wait())
        self._carry_out()
        await wait.event.wait()
        assert isinstance(wait.effect, Ended)
        return wait.effect

    async def locate_first(self, key: bytes, kind: Kind = Kind.LOCATION) -> Proved | None:
        """Return the first valid record of a lookup, which goes on; None for a miss."""
        number = self.node.locate(self.now_ms(), key, kind)
        wait = self._found.setdefault(number, _Wait())
        self._carry_out()
        await wait.event.wait()
        match wait.effect:
            case Found(_, record):
                return record
            case Ended(records=(record, *_)):
                return record
            case _:
                return None

    async def publish_location(
        self, subject: Identity, incarnation: int, where: Where
    ) -> Published:
        """Publish where an address lives, until its holders have answered; then each hour."""
        record = self.node.publish_location(self.now_ms(), subject, incarnation, where)
        return await self._await_published(record)

    def announce_host(self, host: HostProof, where: Where) -> None:
        """Publish where the host of this node's key is, in place of what was published before."""
        shown = (host.identity, host.incarnation, where, host.certificate)
        self.node.publish_location(self.now_ms(), *shown)
        self._carry_out()

    def announce_location(
        self, subject: Identity, incarnation: int, where: Where, at_once: bool
    ) -> None:
        """Publish without waiting for the holders: at once, or when the turn of many comes."""
        self.node.publish_location(self.now_ms(), subject, incarnation, where, at_once=at_once)
        self._carry_out()

    def announce(self, places: Iterable[tuple[Kind, bytes]]) -> None:
        """Put own records again, before all others."""
        self.node.announce(self.now_ms(), places)
        self._carry_out()

    async def wait_published(self, places: Iterable[tuple[Kind, bytes]]) -> None:
        """Wait until a publication of each of these own records has ended."""
        for wait in [self._put.setdefault(place, _Wait()) for place in places]:
            await wait.event.wait()

    async def publish_provider(
        self, key: bytes, host: HostProof, metadata: Mapping[str, str]
    ) -> Published:
        """Publish that this host serves an address."""
        record = self.node.publish_provider(self.now_ms(), key, host, metadata)
        return await self._await_published(record)

    async def publish(self, kind: Kind, key: bytes, body: bytes) -> Published:
        """Publish a record that is signed already; raises `InvalidRecord`."""
        record = self.node.publish(self.now_ms(), kind, key, body)
        return await self._await_published(record)

    async def _await_published(self, record: Proved) -> Published:
        place = (record.kind, record.key, record.order)
        wait = self._published.setdefault(place, _Wait())
        self._carry_out()
        await wait.event.wait()
        assert isinstance(wait.effect, Published)
        return wait.effect

    def _carry_out(self) -> None:
        for effect in self.node.take_effects():
            match effect:
                case Send(datagram, endpoint):
                    self._send(datagram, endpoint)
                    continue
                case Ended(number):
                    _settle(self._ended.pop(number, None), effect)
                    _settle(self._found.pop(number, None), effect)
                case Found(number):
                    _settle(self._found.pop(number, None), effect)
                case Published(_, kind, key, order):
                    _settle(self._published.pop((kind, key, order), None), effect)
                    _settle(self._put.pop((kind, key), None), effect)
                case _:
                    pass
            self._tell(effect)
        wake_ms = self.node.next_wake_ms()
        if wake_ms is not None and wake_ms < self._planned_ms:
            self._changed.set()


def _settle(wait: _Wait | None, effect: Effect) -> None:
    if wait is not None:
        wait.settle(effect)


class UdpPort:
    """Owns one UDP socket and passes what is not QUIC to a receiver."""

    def __init__(self, ip: bytes, port: int = 0) -> None:
        family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
        self._family = family
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((socket.inet_ntop(family, ip), port))
        self.endpoint = self._endpoint(self._socket.getsockname())
        self.dropped = 0

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send a datagram; it is dropped, and counted, where the system will not take it."""
        if len(endpoint.ip) != len(self.endpoint.ip):
            self.dropped += 1
            return
        try:
            self._socket.sendto(
                datagram, (socket.inet_ntop(self._family, endpoint.ip), endpoint.port)
            )
        except OSError:
            self.dropped += 1

    async def run(self, receive_untrusted: Callable[[bytes, Endpoint], None]) -> None:
        """Hand each datagram to the receiver, many a pass, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            for _ in range(DATAGRAMS_A_PASS_MAX):
                try:
                    datagram, place = self._socket.recvfrom(PACKET_BYTES_MAX + 1)
                except OSError:
                    break
                if place[1] and not is_quic(datagram):
                    receive_untrusted(datagram, self._endpoint(place))

    def _endpoint(self, place: tuple[str, int]) -> Endpoint:
        return Endpoint(socket.inet_pton(self._family, place[0].partition("%")[0]), place[1])
