"""A port in memory: the simulator's, an equal of the one over UDP. Pure.

Datagrams cross a `MemoryNetwork`, and a `Weather` decides by the entropy it is given how long each
takes, and whether it is lost or comes twice; later ones overtake earlier ones. There are no routers:
a tunnel can be dug, and nobody is at its other end. Links do not go by it, see `avm.link.memory`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address

from avm.link.errors import EndpointInUse
from avm.link.interface import Address, Moment
from avm.link.memory import MemoryNetwork, endpoint_at
from avm.link.port import Take
from caps.identity import Endpoint

# The address of a tunnel is of the discard prefix (RFC 6666): no host has it.
TUNNELS = 0x0100 << 112
TUNNEL_PORT = 65_535
ASIDE_PORT = 65_534
GRAIN = 1 << 32

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Weather:
    """What becomes of datagrams: how long each takes, and the shares that are lost or doubled."""

    latency_s: float = 0.001
    jitter_s: float = 0.0
    loss: float = 0.0
    double: float = 0.0

    def delays_s(self, entropy: Entropy) -> list[float]:
        """How long each copy of a datagram takes; none when it is lost."""
        if _share(entropy) < self.loss:
            return []
        copies = 2 if _share(entropy) < self.double else 1
        return [self.latency_s + self.jitter_s * _share(entropy) for _ in range(copies)]


def _share(entropy: Entropy) -> float:
    return int.from_bytes(entropy(4), "big") / GRAIN


class MemoryPort:
    """A port of a memory network."""

    def __init__(
        self, network: MemoryNetwork, endpoint: Endpoint, weather: Weather, entropy: Entropy
    ) -> None:
        """Bind it; raises `EndpointInUse`."""
        if endpoint in network.ports:
            raise EndpointInUse(f"{endpoint} is in use")
        self.endpoint = endpoint
        self.weather = weather
        self.lost_datagrams = 0
        self._network = network
        self._entropy = entropy
        self._closed = False

    def serve(self, take: Take) -> None:
        """Give the datagrams that come to `take`."""
        self._network.ports[self.endpoint] = take

    def moment(self) -> Moment:
        """What both clocks say now."""
        return self._network.at

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send a datagram; the weather may lose it."""
        self._send(datagram, self.endpoint, endpoint)

    def send_aside(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send datagrams from a port that is used for nothing else."""
        for datagram in datagrams:
            self._send(datagram, Endpoint(self.endpoint.ip, ASIDE_PORT), endpoint)

    def _send(self, datagram: bytes, source: Endpoint, target: Endpoint) -> None:
        if self._closed:
            return
        self._network.watch("sent", source, target, datagram)
        delays_s = self.weather.delays_s(self._entropy)
        self.lost_datagrams += not delays_s
        for delay_s in delays_s:
            self._network.plan(delay_s, partial(self._arrive, datagram, source, target))

    def _arrive(self, datagram: bytes, source: Endpoint, target: Endpoint) -> None:
        take = self._network.ports.get(target)
        if take is None or self._network.is_parted(self.endpoint, target):
            self.lost_datagrams += 1
            return
        self._network.watch("came", source, target, datagram)
        take(datagram, source)

    # Tunnels.

    def dig(self, number: int, head: bytes, relay: Endpoint) -> None:
        """Nobody is at the other end of a tunnel."""

    def fill(self, number: int) -> None:
        """Nothing goes by a tunnel."""

    def hear(self, packet: bytes, number: int) -> None:
        """A packet that came by a tunnel: links are made of no packets here."""

    def tunnel_address(self, number: int) -> Address:
        """The address that links have whose packets go by a tunnel."""
        return str(IPv6Address(TUNNELS + number)), TUNNEL_PORT

    def tunnel_at(self, address: Address) -> int | None:
        """The number of the tunnel with that address; None for the address of a host."""
        if ":" not in address[0]:
            return None
        number = int(IPv6Address(address[0])) - TUNNELS
        return number if 0 <= number < 1 << 64 else None

    # Addresses.

    def address_of(self, endpoint: Endpoint) -> Address:
        """The address of an endpoint."""
        return endpoint.host_text, endpoint.port

    def endpoint_at(self, address: Address) -> Endpoint:
        """The endpoint of an address."""
        return endpoint_at(address)

    def local_endpoint(self, towards: Endpoint) -> Endpoint:
        """What this port has as its own endpoint: there are no routers."""
        return self.endpoint

    # Passes: all is carried by the network, in its own time.

    def hear_clock(self) -> None:
        """The clock is the network's."""

    def begin_pass(self) -> None:
        """What is sent goes at once."""

    def settle(self) -> None:
        """Nothing waits for the end of a pass."""

    def next_wake_s(self) -> float | None:
        """Links are woken by the network."""
        return None

    def close(self) -> None:
        """Give the port back; also what a host does that dies."""
        if not self._closed:
            self._closed = True
            self._network.ports.pop(self.endpoint, None)
