"""Chance for a world: a small generator whose whole state is one number. Pure.

SplitMix64 (Steele, Lea and Flood, 2014). What needs unguessable bytes takes them from `Entropy`.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

WORD = (1 << 64) - 1
MILLION = 1_000_000


class Chance:
    """Numbers from a seed: the same on any machine, and saved as one number."""

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = seed & WORD

    def draw(self) -> int:
        """The next 64 bits."""
        self.state = z = (self.state + 0x9E3779B97F4A7C15) & WORD
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        return z ^ (z >> 31)

    def below(self, limit: int) -> int:
        """A number from 0 up to, not including, the limit."""
        return self.draw() % limit

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.draw() % len(options)]

    def hits(self, share: float) -> bool:
        """True in this share of cases; draws nothing for a share of 0."""
        return share > 0 and self.draw() % MILLION < share * MILLION

    def tail(self, mean: int) -> int:
        """A whole number of an exponential kind: small mostly, now and then many times the mean."""
        if mean <= 0:
            return 0
        drawn = self.draw()
        zeros = (drawn & -drawn).bit_length() - 1 if drawn else 63
        return mean * zeros + (drawn >> 32) % mean
