"""How large the packets are that a path takes: larger ones are tried, and given up where they go missing. Pure.

Theory of operation (RFC 8899 for QUIC: RFC 9000, section 14.3). Every path of QUIC takes packets of
`PACKET_BYTES`. A larger size is tried by a packet that says nothing: if it is acknowledged all packets are
as large, and when it went missing `TRIES` times the next smaller size is tried. A path can change
unseen, and swallow what it took before: where nothing is acknowledged any more the search begins anew.
"""

PACKET_BYTES = 1_200
"""What every path takes (RFC 9000, section 14)."""
# What is left of 1,500 bytes by IPv6, and of the 1,420 of most tunnels.
SIZES = (1_372, 1_452)
TRIES = 3
# So long after a search is the next one for what is larger.
AGAIN_S = 600.0
# Probe time-outs one after the other, nothing acknowledged between them.
QUIET_TIMEOUTS = 2
_NOW = 0.0
_NEVER = float("inf")


class PathSize:
    """The size of packets on one path, in bytes of UDP, and when another is to be tried.

    `due_s` is never while one is under way.
    """

    __slots__ = ("_missing", "_most", "_sizes", "due_s", "size")

    def __init__(self, most: int) -> None:
        """`most`: the largest size that is tried; with `PACKET_BYTES` none is."""
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self.size = PACKET_BYTES
        self._search(_NOW)

    def _search(self, at_s: float) -> None:
        larger = {size for size in (*SIZES, self._most) if self.size < size <= self._most}
        self._sizes = sorted(larger)
        self._missing = 0
        self.due_s = at_s if larger else _NEVER

    def begin_try(self) -> int:
        """The size of a packet that goes now; what becomes of it is to be told."""
        self.due_s = _NEVER
        return self._sizes[-1]

    def arrived(self, size: int, now_s: float) -> None:
        """A packet that was tried is acknowledged."""
        if self._is_asked(size):
            self.size = size
            self._search(now_s + AGAIN_S)

    def went_missing(self, size: int, now_s: float) -> None:
        """A packet that was tried is not."""
        if not self._is_asked(size):
            return
        self._missing += 1
        self.due_s = _NOW
        if self._missing == TRIES:
            self._missing = 0
            self._sizes.pop()
            if not self._sizes:
                self._search(now_s + AGAIN_S)

    def _is_asked(self, size: int) -> bool:
        """Whether it is the size of this search, and not of one before."""
        return bool(self._sizes) and size == self._sizes[-1]

    def went_quiet(self) -> None:
        """Nothing is acknowledged any more."""
        if self.size > PACKET_BYTES:
            self._begin()
