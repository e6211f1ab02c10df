"""How fast something may go on: so many a second, and a few at once after a rest. A token bucket.

Step 7 of the journey, beforehand: what a node announces must not fill the table of rates of those
that keep it, nor its owner's line. Kept as the one moment up to which all is spent.
"""

from math import ceil


class Pace:
    """Lets `rate` a second through, up to `burst` of them at once; times in milliseconds."""

    __slots__ = ("_gap_ms", "_room_ms", "_spent_ms")

    def __init__(self, rate: float, burst: int) -> None:
        self._gap_ms = 1000 / rate
        self._room_ms = (burst - 1) * self._gap_ms
        self._spent_ms = 0.0

    def next_ms(self) -> int:
        """Return from when on one may pass."""
        return ceil(self._spent_ms - self._room_ms)

    def take(self, now_ms: int) -> bool:
        """Let one pass, if it may."""
        if now_ms < self.next_ms():
            return False
        self._spent_ms = max(self._spent_ms, float(now_ms)) + self._gap_ms
        return True
