"""What comes out of a traversal: frames, datagrams, links to be dialed, and what is to be announced."""

from enum import Enum
from typing import NamedTuple, TypeAlias

from caps.identity import Endpoint, Route


class Way(Enum):
    """How packets of a link go."""

    DIRECT = "direct"
    PUNCHED = "punched"
    RELAYED = "relayed"


class Tell(NamedTuple):
    """A frame for the control stream of a link."""

    link: int
    frame: bytes


class Send(NamedTuple):
    """A datagram for an endpoint."""

    datagram: bytes
    endpoint: Endpoint


class SendAside(NamedTuple):
    """Datagrams for an endpoint, all from one port that is used for nothing else."""

    datagrams: tuple[bytes, ...]
    endpoint: Endpoint


class Tunnel(NamedTuple):
    """A way through a relay: packets go to it under a token, and come from it under the same one."""

    number: int
    relay: Endpoint
    token: bytes


class Dig(NamedTuple):
    """From now on packets may come and go by this tunnel."""

    tunnel: Tunnel


class Fill(NamedTuple):
    """The tunnel is not there any more."""

    number: int


class Hear(NamedTuple):
    """A packet has come by a tunnel."""

    packet: bytes
    number: int


class Through(NamedTuple):
    """A link to this host is needed; where it cannot be made, `not_through` is to be told."""

    via: Route


class DialAt(NamedTuple):
    """A way to a host is open: it can be dialed there now; `spare`: there is a link already."""

    host: bytes
    at: Endpoint | Tunnel
    spare: bool


class NotMet(NamedTuple):
    """No way to a host could be opened, by none of those who might have introduced it."""

    host: bytes
    why: str


class Retire(NamedTuple):
    """A link has a better one beside it now."""

    link: int


class Hidden(NamedTuple):
    """A peer says that nobody reaches it unasked where it was seen."""

    link: int


class Announce(NamedTuple):
    """Where this host says that it is has changed; see `Standing.routes`."""


Effect: TypeAlias = (
    Tell
    | Send
    | SendAside
    | Dig
    | Fill
    | Hear
    | Through
    | DialAt
    | NotMet
    | Retire
    | Hidden
    | Announce
)
