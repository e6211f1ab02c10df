"""The UDP port of a host: one socket for all its QUIC links and for the DHT. The shell of links.

A datagram whose first byte has the bit 0x40 set is QUIC's (its fixed bit, which is never greased
here), any other is the DHT's. A reactor calls `begin_pass` ahead of each pass, `read_now` when `sock`
is readable, and `settle` at the end of the pass; it makes one in time for `next_wake_s`. `run` does the
same as a task of its own.
"""

import errno
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address

import trio

from avm.link.connection import TICK_S
from avm.link.errors import EndpointInUse
from avm.link.interface import Address, Moment
from avm.link.port import Take
from avm.link.quic import QuicListener
from avm.link.segments import can_receive_runs, can_send_runs, receive_run, runs, send_run
from caps.identity import Endpoint, parse_endpoint

FIXED_BIT = 0x40
DATAGRAM_BYTES_MAX = 2_048
# How many datagrams are read before what they made is sent.
BATCH_DATAGRAMS = 64
BUFFER_BYTES = 4 * 1024 * 1024
TIMER_S = TICK_S
LONGEST_S = 60.0
ENDPOINTS_KEPT = 4_096
# Linux: nothing is cut on the way, and what its cards take counts, not what strangers say of a path.
_MTU_DISCOVER = {
    socket.AF_INET: (socket.IPPROTO_IP, 10),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23),
}
_PROBE = 3
# No room for now, or a way that takes less than it did: nothing is wrong with runs.
_LOST = (errno.EAGAIN, errno.EMSGSIZE)
# An address of a tunnel has port 0 and an IP of the discard prefix (RFC 6666): no socket has it.
TUNNELS = 0x0100 << 112


def moment() -> Moment:
    """Read both clocks."""
    return Moment(time.monotonic(), time.time_ns() // 1_000_000)


def _drop(_datagram: bytes, _endpoint: Endpoint) -> None:
    return None


class UdpPort:
    """A bound UDP socket."""

    def __init__(self, endpoint: Endpoint | None = None, ip: str = "127.0.0.1") -> None:
        """Bind it; without an endpoint to some free port of that IP. Raises `EndpointInUse`."""
        # aioquic warns of whatever a stranger does wrong: that is told as the end of a link.
        logging.getLogger("quic").setLevel(logging.CRITICAL)
        self.sock = _bind((ip, 0) if endpoint is None else _address(endpoint))
        self.endpoint = _endpoint_of(self.sock)
        self.closing: Callable[[], None] = lambda: None
        self.lost_datagrams = 0
        self._quic: QuicListener | None = None
        self._take: Take = _drop
        self._endpoints: dict[Address, Endpoint] = {}
        self._tunnels: dict[Address, tuple[bytes, Address]] = {}
        self._alarm = trio.CancelScope()
        self._alarm_s = float("inf")
        self._in_pass = False
        self._sent_ahead = False
        self._closed = False
        self._cuts = can_send_runs(self.sock)
        self._gathers = can_receive_runs(self.sock)

    def moment(self) -> Moment:
        """What both clocks say now."""
        return moment()

    def serve(self, quic: QuicListener | None, take: Take = _drop) -> None:
        """Give QUIC's datagrams to a listener, and the DHT's to `take`."""
        self._quic = quic
        self._take = take

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send a datagram of the DHT's; one that there is no room for is lost."""
        assert datagram and not datagram[0] & FIXED_BIT, "the bit 0x40 is QUIC's"
        self._send([(datagram, _address(endpoint))])

    def send_aside(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send datagrams from a port that is used for nothing else."""
        try:
            with socket.socket(self.sock.family, socket.SOCK_DGRAM) as aside:
                aside.bind((self.endpoint.host_text, 0))
                for datagram in datagrams:
                    aside.sendto(datagram, _address(endpoint))
        except OSError:
            self.lost_datagrams += len(datagrams)

    def dig(self, number: int, head: bytes, relay: Endpoint) -> None:
        """Have packets for the address of a tunnel go to a relay, with `head` before each."""
        self._tunnels[self.tunnel_address(number)] = (head, _address(relay))

    def fill(self, number: int) -> None:
        """Forget a tunnel: packets for it are lost."""
        self._tunnels.pop(self.tunnel_address(number), None)

    def tunnel_address(self, number: int) -> Address:
        """The address that links have whose packets go by a tunnel."""
        return str(IPv6Address(TUNNELS + number)), 0

    def tunnel_at(self, address: Address) -> int | None:
        """The number of the tunnel with that address; None for the address of a socket."""
        return None if address[1] else int(IPv6Address(address[0])) - TUNNELS

    def hear(self, packet: bytes, number: int) -> None:
        """Take a packet that came by a tunnel, in a pass."""
        if self._quic is not None:
            self._quic.receive(packet, self.tunnel_address(number))

    def local_endpoint(self, towards: Endpoint) -> Endpoint:
        """What this port has as its own endpoint on the way to another."""
        if any(self.endpoint.ip):
            return self.endpoint
        try:
            with socket.socket(self.sock.family, socket.SOCK_DGRAM) as probe:
                probe.connect(_address(towards))  # sends nothing
                return Endpoint(_endpoint_of(probe).ip, self.endpoint.port)
        except OSError:
            return self.endpoint

    def hear_clock(self) -> None:
        """Read the clocks: what links are told from now on happens at this time."""
        if self._quic is not None:
            self._quic_now()

    def begin_pass(self) -> None:
        """Begin a pass: what is sent in it goes when it is settled."""
        self.hear_clock()
        self._in_pass = True

    def wake(self) -> None:
        """Links have something to send: the first of a tick goes at once, the rest with the pass."""
        if self._in_pass or self._closed:
            return
        if not self._sent_ahead:
            self._sent_ahead = True
            self._quic_now().flush(self._send)
        self._alarm.cancel()

    def read_now(self) -> bytes | None:
        """Take the datagrams that are there, and give them on; what remains is for another pass."""
        self._in_pass = True
        self._read_batch()
        if self._quic is not None:
            self._quic.deliver()
        return None

    def settle(self) -> None:
        """End a pass: do what is due and send what it has made."""
        self._in_pass = True
        if self._quic is not None and not self._closed:
            self._quic_now().tick()
            self._quic.flush(self._send)
        self._in_pass = self._sent_ahead = False

    def next_wake_s(self) -> float | None:
        """When `settle` is due, at the latest, by the monotonic clock."""
        return None if self._quic is None else self._quic.next_wake_s()

    async def run(self) -> None:
        """Read and send until closed or cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            while not self._closed:
                try:
                    await trio.lowlevel.wait_readable(self.sock)
                except trio.ClosedResourceError:
                    continue
                self.read_now()
                self.settle()
                self._set_alarm()
            nursery.cancel_scope.cancel()

    async def _keep_time(self) -> None:
        """Make a pass whenever one is due and nothing comes; reading alone sets no time-outs."""
        while True:
            with trio.CancelScope() as self._alarm:
                due_s = self.next_wake_s()
                wait_s = LONGEST_S if due_s is None else max(TIMER_S, due_s - time.monotonic())
                self._alarm_s = time.monotonic() + wait_s
                self._alarm.deadline = trio.current_time() + wait_s
                await trio.sleep_forever()
            self.settle()

    def _set_alarm(self) -> None:
        due_s = self.next_wake_s()
        if due_s is not None and due_s < self._alarm_s - TIMER_S:
            wait_s = max(TIMER_S, due_s - time.monotonic())
            self._alarm_s = time.monotonic() + wait_s
            self._alarm.deadline = trio.current_time() + wait_s

    def rebind(self) -> None:
        """Go on from another port, as after a change of network; dialed links survive it."""
        old, self.sock = self.sock, _bind((self.endpoint.host_text, 0))
        self.endpoint = _endpoint_of(self.sock)
        self._cuts = can_send_runs(self.sock)
        self._gathers = can_receive_runs(self.sock)
        trio.lowlevel.notify_closing(old)
        old.close()
        self._alarm.cancel()

    def close(self) -> None:
        """Close the socket; links are ended first, by their listener."""
        if self._closed:
            return
        if self._quic is not None:
            self._quic.flush(self._send)
        self._closed = True
        self.closing()
        with suppress(RuntimeError):
            trio.lowlevel.notify_closing(self.sock)
        self.sock.close()
        self._alarm.cancel()

    # Inside.

    def _quic_now(self) -> QuicListener:
        assert self._quic is not None
        self._quic.hear_clock(moment())
        return self._quic

    def _read_batch(self) -> None:
        quic = None if self._quic is None else self._quic_now()
        receive = receive_run if self._gathers else _receive_one
        taken = 0
        while taken < BATCH_DATAGRAMS:
            taken += 1
            try:
                datagrams, source = receive(self.sock)
            except BlockingIOError:
                return
            except OSError:
                continue
            if not source[1]:  # no socket has that port, only a tunnel's address
                continue
            for datagram in datagrams:
                taken += 1
                if not datagram:
                    continue
                if not datagram[0] & FIXED_BIT:
                    self._take(datagram, self._endpoint(source))
                elif quic is not None:
                    quic.receive(datagram, source)

    def address_of(self, endpoint: Endpoint) -> Address:
        """The socket's address of an endpoint."""
        return _address(endpoint)

    def endpoint_at(self, address: Address) -> Endpoint:
        """The endpoint of a socket's address."""
        return self._endpoint(address)

    def _endpoint(self, address: Address) -> Endpoint:
        endpoint = self._endpoints.get(address)
        if endpoint is None:
            if len(self._endpoints) >= ENDPOINTS_KEPT:
                self._endpoints.clear()
            endpoint = self._endpoints[address] = _endpoint(address)
        return endpoint

    def _send(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        """Send datagrams; what there is no room for is lost, as on any network."""
        if any(not address[1] for _, address in datagrams):
            datagrams = self._by_tunnel(datagrams)
        if len(datagrams) == 1 or not self._cuts:
            for datagram, address in datagrams:
                self._send_one(datagram, address)
            return
        for run, address in runs(datagrams):
            if len(run) == 1:
                self._send_one(run[0], address)
            else:
                self._send_run(run, address)

    def _by_tunnel(self, packets: Sequence[tuple[bytes, Address]]) -> list[tuple[bytes, Address]]:
        """What goes out for packets of which some go by a tunnel; without one they are lost."""
        out: list[tuple[bytes, Address]] = []
        for packet, address in packets:
            tunnel = self._tunnels.get(address)
            if tunnel is not None:
                out.append((tunnel[0] + packet, tunnel[1]))
            elif address[1]:
                out.append((packet, address))
            else:
                self.lost_datagrams += 1
        return out

    def _send_one(self, datagram: bytes, address: Address) -> None:
        try:
            self.sock.sendto(datagram, address)
        except OSError:
            self.lost_datagrams += 1

    def _send_run(self, run: list[bytes], address: Address) -> None:
        try:
            send_run(self.sock, run, address)
        except OSError as error:
            if error.errno in _LOST:
                self.lost_datagrams += len(run)
                return
            # Some network cards cannot do this, and say so only now.
            self._cuts = False
            for datagram in run:
                self._send_one(datagram, address)


def _receive_one(sock: socket.socket) -> tuple[list[bytes], Address]:
    datagram, source = sock.recvfrom(DATAGRAM_BYTES_MAX)
    return [datagram], source[:2]


def _address(endpoint: Endpoint) -> Address:
    return endpoint.host_text, endpoint.port


def _endpoint(address: Address) -> Endpoint:
    host, port = address
    host = host.partition("%")[0]
    return parse_endpoint(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _endpoint_of(sock: socket.socket) -> Endpoint:
    host, port = sock.getsockname()[:2]
    return _endpoint((host, port))


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "linux":
            # Where a sandbox does not know it, packets may be cut on the way.
            with suppress(OSError):
                sock.setsockopt(*_MTU_DISCOVER[family], _PROBE)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        text = f"cannot bind {address[0]} port {address[1]}: {error.strerror}; choose another"
        raise EndpointInUse(text) from error
    return sock
