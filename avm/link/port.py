"""What a host sees of its port: datagrams for the DHT and the ways round routers, tunnels, time.

The step of the journey below a `Listener`, whose packets go by the same port. The equals behind it
are a UDP socket (`avm.link.udp`) and one in memory (`avm.link.memory_port`), which is the simulator's.
Only the port reads a clock: what stands on it asks it for the time.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from avm.link.interface import Address, Listener, Moment, Owner
from caps.identity import Endpoint

Take = Callable[[bytes, Endpoint], None]


class Port(Protocol):
    """A bound port."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is bound."""

    def moment(self) -> Moment:
        """What both clocks say now."""

    # Datagrams.

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send a datagram that is not a link's; one that there is no room for is lost."""

    def send_aside(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send datagrams from a port that is used for nothing else."""

    # Tunnels: packets of links that a relay passes on.

    def dig(self, number: int, head: bytes, relay: Endpoint) -> None:
        """Have packets for the address of a tunnel go to a relay, with `head` before each."""

    def fill(self, number: int) -> None:
        """Forget a tunnel: packets for it are lost."""

    def hear(self, packet: bytes, number: int) -> None:
        """Take a packet that came by a tunnel, in a pass."""

    def tunnel_address(self, number: int) -> Address:
        """The address that links have whose packets go by a tunnel."""

    def tunnel_at(self, address: Address) -> int | None:
        """The number of the tunnel with that address; None for the address of a socket."""

    # Addresses.

    def address_of(self, endpoint: Endpoint) -> Address:
        """The socket's address of an endpoint."""

    def endpoint_at(self, address: Address) -> Endpoint:
        """The endpoint of a socket's address."""

    def local_endpoint(self, towards: Endpoint) -> Endpoint:
        """What this port has as its own endpoint on the way to another."""

    # Passes.

    def hear_clock(self) -> None:
        """Read the clocks: what links are told from now on happens at this time."""

    def begin_pass(self) -> None:
        """Begin a pass: what is sent in it goes when it is settled."""

    def settle(self) -> None:
        """End a pass: do what is due and send what it has made."""

    def next_wake_s(self) -> float | None:
        """When `settle` is due, at the latest; None when it is not."""

    def close(self) -> None:
        """Give the port back; links are ended first, by their listener."""


# Has what comes to a port given on: links to their owner, other datagrams to the function.
Listen = Callable[[Owner, Take], Listener]
