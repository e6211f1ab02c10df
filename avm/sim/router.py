"""A simulated router: what a packet is called outside, and which ones it lets in. Values.

`cone`: the port inside is that outside; `symmetric`: another for each endpoint that is sent to, one after
the other; `random`: any other for each; `firewall`: the same endpoint inside and outside. All let in only what was sent to of late.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

from caps.identity import Endpoint

KEEPS_US = 60_000_000
PORTS_FROM = 20_000
MAPPED_MAX = 65_536 - PORTS_FROM


@dataclass(slots=True)
class Router:
    """A router in front of one host. `out`: the port outside for an endpoint, and when it was used."""

    kind: str
    ip: bytes
    keeps_us: int = KEEPS_US
    out: dict[Endpoint, tuple[int, int]] = field(default_factory=dict)
    next_port: int = PORTS_FROM
    kept_us: int = -1

    @property
    def nature(self) -> tuple[str, int]:
        """Its kind, and how long it keeps what is not used."""
        return self.kind, self.keeps_us

    def keep(self, to: Endpoint, now_us: int) -> None:
        """A link to that endpoint is in use."""
        known = self.out.get(to)
        if known is not None:
            self.out[to] = (known[0], now_us)

    def has_forgotten(self, to: Endpoint, now_us: int) -> bool:
        """Whether it knew a port for an endpoint, and does no more."""
        known = self.out.get(to)
        return known is not None and now_us - known[1] >= self.keeps_us

    def outward(self, inside: Endpoint, to: Endpoint, now_us: int) -> Endpoint:
        """What the host is called where this packet goes."""
        known = self.out.get(to)
        if known is not None and now_us - known[1] < self.keeps_us:
            port = known[0]
        elif self.kind in ("symmetric", "random"):
            port = self.next_port
            self.next_port = PORTS_FROM + (port + self._stride() - PORTS_FROM) % MAPPED_MAX
        else:
            port = inside.port
        if len(self.out) >= MAPPED_MAX:
            self._sweep(now_us)
        self.out[to] = (port, now_us)
        return Endpoint(self.ip, port)

    def lets_in(self, source: Endpoint, port: int, now_us: int) -> bool:
        """Whether a packet from there to this port outside comes in."""
        known = self.out.get(source)
        if known is None or known[0] != port or now_us - known[1] >= self.keeps_us:
            return False
        self.out[source] = (port, now_us)
        return True

    def _stride(self) -> int:
        """How far the next port is from the last."""
        if self.kind == "symmetric":
            return 1
        drawn = blake2b(self.ip + self.next_port.to_bytes(2, "big"), digest_size=2).digest()
        return 1 + int.from_bytes(drawn, "big")

    def _sweep(self, now_us: int) -> None:
        self.out = {to: one for to, one in self.out.items() if now_us - one[1] < self.keeps_us}
