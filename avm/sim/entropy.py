"""Entropy from a seed: the same seed gives the same bytes and choices, on any machine. Pure."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Entropy:
    """A stream of bytes from a seed."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(16, "big", signed=True)
        self._count = 0

    def bytes(self, size: int) -> bytes:
        """The next bytes."""
        out = b""
        while len(out) < size:
            self._count += 1
            block = self._seed + self._count.to_bytes(8, "big")
            out += hashlib.blake2b(block, person=b"avm sim").digest()
        return out[:size]

    __call__ = bytes

    def below(self, limit: int) -> int:
        """A number from 0 up to, not including, the limit."""
        return int.from_bytes(self.bytes(8), "big") % limit

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.below(len(options))]

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.below(1_000_000) < share * 1_000_000
