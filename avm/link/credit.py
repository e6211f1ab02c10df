"""Receive credit of one stream: how far the peer may send, moved only by what was consumed. Pure.

The limit is an offset in the stream, as QUIC's (RFC 9000, section 4.1): what was consumed and a fixed
window. It is told again when it has moved by a quarter of the window, so that small frames do not each
cost an update.
"""

from avm.link.limits import STREAM_WINDOW_BYTES

UPDATES_A_WINDOW = 4


class Credit:
    """Counts what came and what was consumed."""

    __slots__ = ("_window", "consumed_bytes", "limit", "received_bytes")

    def __init__(self, window: int = STREAM_WINDOW_BYTES) -> None:
        self._window = window
        self.limit = window
        self.received_bytes = 0
        self.consumed_bytes = 0

    @property
    def unconsumed_bytes(self) -> int:
        """What came and is not consumed: it can never be more than the window."""
        return self.received_bytes - self.consumed_bytes

    def consume(self, count: int) -> bool:
        """Count bytes as consumed; tells whether the peer should hear of the new limit."""
        assert 0 <= count <= self.unconsumed_bytes, "only what came can be consumed"
        self.consumed_bytes += count
        limit = self.consumed_bytes + self._window
        if limit - self.limit < self._window // UPDATES_A_WINDOW:
            return False
        self.limit = limit
        return True
