"""Links as the ways round routers see them. Values."""

from enum import Enum, auto

from avm.nat.bucket import Bucket
from avm.nat.effects import Way
from avm.nat.limits import ASKED_BURST, ASKED_RATE_S, MEET_BURST, MEET_RATE_S
from caps.identity import Endpoint, Route
from caps.light import dataclass, field

# Where no router of the world's network is asked to carry anything to: RFC 1918, 3927, 4193, 6598.
_LOCAL_4 = (
    (b"\x7f", 8),
    (b"\x0a", 8),
    (b"\xac\x10", 12),
    (b"\xc0\xa8", 16),
    (b"\xa9\xfe", 16),
    (b"\x64\x40", 10),
)
_LOCAL_6 = ((b"\xfc", 7), (b"\xfe\x80", 10))
_LOOPBACK_6 = bytes(15) + b"\1"


def is_local(endpoint: Endpoint) -> bool:
    """Tell whether an endpoint means something only in a network of its own."""
    ip = endpoint.ip
    if ip == _LOOPBACK_6:
        return True
    number, bits = int.from_bytes(ip, "big"), 8 * len(ip)
    for prefix, length in _LOCAL_4 if len(ip) == 4 else _LOCAL_6:
        start = int.from_bytes(prefix.ljust(len(ip), b"\0"), "big")
        if number >> (bits - length) == start >> (bits - length):
            return True
    return False


def can_be_sent_to(endpoint: Endpoint, by: Endpoint) -> bool:
    """Tell whether a host may be sent to that another one names: no one far off names those near."""
    ip = endpoint.ip
    somewhere = 0 < ip[0] < 224 if len(ip) == 4 else ip[0] != 0xFF and any(ip)
    return somewhere and len(ip) == len(by.ip) and (is_local(by) or not is_local(endpoint))


class Help(Enum):
    """Whether the other end introduces this host."""

    UNASKED = auto()
    ASKED = auto()
    AGREED = auto()
    DECLINED = auto()


@dataclass(slots=True)
class Seat:
    """A link that is up. `endpoint` is where the other end is, or its relay; `seen` where it sees us.

    `hides`: it was told to tell nobody of that. `enlisted`: this host introduces it. `meets` are the
    introductions it may ask for, `asks` those that it may make of this host.
    """

    number: int
    peer: bytes
    dialed: bool
    way: Way
    endpoint: Endpoint
    seen: Endpoint | None = None
    hides: bool = False
    help: Help = Help.UNASKED
    enlisted: bool = False
    meets: Bucket = field(default_factory=lambda: Bucket(MEET_BURST, MEET_RATE_S, 0.0))
    asks: Bucket = field(default_factory=lambda: Bucket(ASKED_BURST, ASKED_RATE_S, 0.0))

    @property
    def route(self) -> Route:
        """Where others find the other end."""
        return Route(self.peer, self.endpoint)
