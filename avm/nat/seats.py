"""Links as the ways round routers see them. Values."""

from dataclasses import dataclass

from avm.nat.effects import Way
from avm.nat.limits import MEET_BURST, MEET_RATE_S
from caps.identity import Endpoint, Route

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


@dataclass(slots=True)
class Seat:
    """A link that is up. `endpoint` is where the other end is, that of its relay for a relayed one.

    `hides`: it was told to keep that to itself; `asked`, `waits`, `introduces`: it was asked to introduce this host, has not answered, does so; `enlisted`: this host
    introduces it; `meets`, `meets_s`: how many introductions it may ask for, and since when.
    """

    number: int
    peer: bytes
    dialed: bool
    way: Way
    endpoint: Endpoint
    seen: Endpoint | None = None
    hides: bool = False
    asked: bool = False
    waits: bool = False
    introduces: bool = False
    enlisted: bool = False
    meets: float = MEET_BURST
    meets_s: float = 0.0

    @property
    def route(self) -> Route:
        """Where others find the other end."""
        return Route(self.peer, self.endpoint)

    def may_meet(self, now_s: float) -> bool:
        """Count an introduction it asks for, and tell whether it may."""
        self.meets = min(MEET_BURST, self.meets + (now_s - self.meets_s) * MEET_RATE_S)
        self.meets_s = now_s
        if self.meets < 1:
            return False
        self.meets -= 1
        return True
