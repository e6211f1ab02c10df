"""How much of a thing may be done at once, and how much in time: a token bucket. Pure."""


class Bucket:
    """Holds `most`, and gets `rate_s` back each second."""

    __slots__ = ("_at_s", "_left", "_most", "_rate_s")

    def __init__(self, most: float, rate_s: float, now_s: float) -> None:
        self._most = self._left = most
        self._rate_s = rate_s
        self._at_s = now_s

    def take(self, now_s: float, amount: float = 1) -> bool:
        """Take so much, if it is there."""
        self._left = min(self._most, self._left + max(0.0, now_s - self._at_s) * self._rate_s)
        self._at_s = now_s
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def wait_s(self, amount: float = 1) -> float:
        """How long after the last try there is so much."""
        return max(0.0, amount - self._left) / self._rate_s
