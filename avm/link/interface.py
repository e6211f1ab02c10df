"""What a host sees of its links, whichever transport carries them.

The step of the journey between an outbox and another host's core. A `Listener` is bound to one
endpoint: links come in there and are dialed from there. A `Link` is one authenticated connection: it
carries frames, which are opaque bytes, in order on each of its streams (`CONTROL` and `1` to
`DATA_STREAMS`), and small datagrams, which may be lost. Nothing here waits: sending is bounded by
`room`, what is received is given to an `Owner` in the receiving pass, and the peer gets credit for
as much as the owner says it has consumed.
"""

from collections import Counter
from collections.abc import Iterator
from enum import Enum
from typing import Protocol

from caps.certificate import Certificate
from caps.hostproof import HostProof
from caps.identity import Endpoint, Identity, Route
from caps.light import dataclass

# The address of a socket: an IP in text and a port.
Address = tuple[str, int]


class Why(Enum):
    """Why a link ended. A peer that is refused learns `REFUSED` and nothing more."""

    CLOSED = "closed here"
    LEFT = "closed by the peer"
    REFUSED = "refused by the peer"
    TIMED_OUT = "nothing was heard"
    FORGOTTEN = "the peer does not know the link any more"
    NO_HANDSHAKE = "the handshake took too long"
    WRONG_ADDRESS = "the peer has another address than the one dialed"
    WRONG_KEY = "the peer's certificate is not of its key"
    WRONG_SIGNATURE = "the peer's proof is not signed by its key"
    UNCERTIFIED = "the peer's key is not certified by its root key"
    EXPIRED = "the peer's certificate is not valid at this time"
    MALFORMED = "the peer sent what no host sends"
    STALLED = "the peer did not finish a frame"
    FLOODED = "the peer proved too much that was not so"
    BROKEN = "the transport failed"


@dataclass(frozen=True, slots=True)
class Down:
    """The end of a link, for the local operator."""

    why: Why
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """The two clocks at the start of a pass: seconds that never go back, and ms since 1970."""

    now_s: float
    now_ms: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a link is doing. Bytes are those of frames with their lengths, in either direction.

    `packet_bytes` is how large packets are by now, 0 where there are none.
    """

    round_trip_s: float
    sent_bytes: int
    received_bytes: int
    waiting_bytes: int
    unconsumed_bytes: int
    credit_bytes: int
    lost_packets: int
    packet_bytes: int
    lost_datagrams: int
    machines: int


class Link(Protocol):
    """One authenticated connection to another host."""

    @property
    def peer(self) -> Identity | None:
        """The other host, proven; None until the link is up."""

    @property
    def proof(self) -> HostProof | None:
        """By which key the other host is proven; None until the link is up."""

    @property
    def dialed(self) -> bool:
        """Whether this side dialed."""

    @property
    def is_up(self) -> bool:
        """Whether frames can be sent."""

    def room(self, stream: int) -> int:
        """How many bytes a frame sent now on that stream may have."""

    def send_nowait(self, stream: int, frame: bytes) -> None:
        """Send a frame, in order on its stream; raises `FrameTooBig`, `NoRoom`, `LinkClosed`."""

    def send_datagram_nowait(self, datagram: bytes) -> bool:
        """Send a datagram, or tell that too many wait; raises `DatagramTooBig`, `LinkClosed`."""

    def consumed(self, stream: int, size: int, frames: int = 1) -> None:
        """Give the peer credit for frames that together have `size` bytes and are done with."""

    def prove_nowait(self, machine: Identity, certificate: Certificate) -> None:
        """Prove that this host speaks for a machine; the answer comes to the owner."""

    def speaks_for(self, machine: bytes, now_ms: int) -> bool:
        """Tell whether the peer has proven that it speaks for that machine, and still does."""

    def close(self) -> None:
        """End the link; the owner is told before this returns."""

    def statistics(self) -> Statistics:
        """How the link is doing."""


class Owner(Protocol):
    """Whose links they are: told of everything, in the receiving pass, and never twice."""

    def link_up(self, link: Link) -> None:
        """Both sides are proven: frames can be sent."""

    def link_down(self, link: Link, down: Down) -> None:
        """The link has ended, or could not be made; nothing more is heard of it."""

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        """A frame has come; `consumed` is due when it is done with."""

    def datagram(self, link: Link, datagram: bytes) -> None:
        """A datagram has come."""

    def has_room(self, link: Link, stream: int) -> None:
        """A stream that was more than half full is not any more."""

    def speaks(self, link: Link, machine: bytes) -> None:
        """The peer has proven that it speaks for a machine."""

    def answered(self, link: Link, machine: bytes, accepted: bool) -> None:
        """The peer accepts, or refuses, that this host speaks for a machine."""


class Listener(Protocol):
    """A host's place in the network; `counts` is what came to it and was nothing, by its kind."""

    counts: Counter[str]

    @property
    def endpoint(self) -> Endpoint:
        """Where links can come in."""

    def dial_nowait(self, route: Route) -> Link:
        """Begin a link to a host; raises `TooManyLinks`. The owner is told how it went."""

    def dial_at_nowait(self, host: bytes, address: Address) -> Link:
        """The same, by the address of a socket or of a tunnel."""

    def address_of(self, link: Link) -> Address | None:
        """Where the other side of a link is: it has been heard from there, and answered."""

    def addresses(self) -> Iterator[tuple[Link, Address]]:
        """Where the other side of each link is now, if it has shown that it is there."""

    def close(self) -> None:
        """End all links and take no more."""
